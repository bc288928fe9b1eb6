"""Types are checked as tests run: a wrong argument or result stops the test that made it."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import WrongType

from drex.envs.data.trajectories import Trajectories

LENGTHS = np.array([2, 1])


@pytest.mark.parametrize(
    "wrong",
    [{"lengths": LENGTHS.astype(np.float64)}, {"terminated": np.zeros(2, np.int64)}, {"actions": [0] * 3}],
)
def test_an_array_of_another_dtype_is_noticed(wrong):
    right = {
        "observations": np.zeros((3, 2)),
        "actions": np.zeros(3),
        "lengths": LENGTHS,
        "terminated": np.zeros(2, np.bool_),
    }
    Trajectories(**right)
    with pytest.raises(WrongType, match=next(iter(wrong))):
        Trajectories(**right | wrong)
