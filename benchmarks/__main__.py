"""``python -m benchmarks NAME …`` runs one benchmark; without a name it lists them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from drex.errors import UserError


def main() -> int:
    """Run the named benchmark as a script, with the words that follow its name."""
    names = sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_"))
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        if asked not in names:
            raise UserError("benchmark", expected=f"one of {', '.join(names)}", found=asked or "none")
        sys.argv = [f"benchmarks {asked}", *sys.argv[2:]]
        runpy.run_module(f"benchmarks.{asked}", run_name="__main__", alter_sys=True)
    except UserError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
