"""What every test shares: types checked as code runs, one torch thread, and the tiny environments registered.

A test that means to give a wrong type is marked ``filterwarnings("ignore::conftest.WrongType")``.
"""

from __future__ import annotations

from beartype import BeartypeConf
from beartype.claw import beartype_packages

CHECKED = (
    "drex.agents.behavioral_cloning",
    "drex.agents.policies",
    "drex.agents.ppo",
    "drex.agents.rollouts",
    "drex.envs.data.trajectories",
    "drex.evaluation",
    "drex.theory",
)
"""Packages whose annotations are checked at each call. Others import names for type checkers alone, or have
annotations that beartype cannot read: ``ArrayLike``, named tuples, fields inherited from another module,
options that the command line must be given."""


class WrongType(UserWarning):
    """An argument or a result is not what its annotation says; an error, as every warning is."""


# int for float is as PEP 484 has it; variables keep their casts
beartype_packages(
    CHECKED, conf=BeartypeConf(is_pep484_tower=True, claw_is_pep526=False, violation_type=WrongType)
)

import tiny_environments  # noqa: E402, F401  registers drex-tests/...
import torch  # noqa: E402

torch.set_num_threads(1)  # small networks are faster on one, and equal weights need one order of sums
