"""What every test shares: one torch thread, and the tiny environments of ``tiny_environments`` registered."""

from __future__ import annotations

import tiny_environments  # noqa: F401  registers drex-tests/...
import torch

torch.set_num_threads(1)  # small networks are faster on one, and equal weights need one order of sums
