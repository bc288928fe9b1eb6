"""``python -m drex`` is ``drex``."""

from __future__ import annotations

import sys

from drex.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
