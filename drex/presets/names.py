"""Values of the common options; a module of its own, so that ``--help`` does not wait for torch."""

from __future__ import annotations

from typing import Literal

Method = Literal["drex", "trex"]
"""Source of the ranking: noise injected into a clone (``drex``), or the user (``trex``)."""

Control = Literal["constant", "shuffled_labels", "true_reward"]
"""``constant``: the same reward for every step; ``shuffled_labels``: a reward learned from shuffled pairs;
``true_reward``: the ceiling, what the same training reaches on the true reward."""

Device = Literal["auto", "cpu", "cuda"]
