"""The paper's theory as functions: why learning from ranked demonstrations can beat the demonstrator.

Needs numpy and scipy only. The experiments on it are ``python -m benchmarks.theory``; docs/theory.md explains
their results.
"""

from drex.theory.ambiguity import AmbiguousCorridor, ambiguous_corridor, is_optimal
from drex.theory.guarantee import Guarantee, better_than_demonstrator
from drex.theory.half_spaces import (
    chance_of_no_contradiction,
    demonstrations_for_reduction,
    equivalent_true_labels,
    log_share_with_true_labels,
    pairs_for_reduction,
    share_with_independent_sides,
    share_with_true_labels,
)
from drex.theory.mdps import (
    TabularMDPs,
    action_values,
    deterministic_mdp,
    deterministic_policies,
    expected_returns,
    feature_expectations,
    occupancies,
    optimal_policies,
    random_mdps,
    state_values,
    uniform_policies,
    value_iteration,
)
from drex.theory.noise import (
    flawed_policies,
    largest_rise,
    mix_with_uniform,
    noisy_returns,
    precarious_corridor,
    share_ranked_right,
    softmax_policies,
)
from drex.theory.ranked_pairs import (
    all_pairs,
    clone_policies,
    fit_linear_rewards,
    noisy_feature_sums,
    sample_rollouts,
)
from drex.theory.run_ambiguity import (
    RunAmbiguity,
    Spread,
    run_ambiguity,
    spread_of_returns,
    spread_of_weights,
)
from drex.theory.volumes import (
    Consistent,
    consistent_rewards,
    hit_and_run,
    shares_by_adding_pairs,
    survivors_by_rejection,
    unit_rewards,
    wilson_interval,
)

__all__ = [
    "AmbiguousCorridor",
    "Consistent",
    "Guarantee",
    "RunAmbiguity",
    "Spread",
    "TabularMDPs",
    "action_values",
    "all_pairs",
    "ambiguous_corridor",
    "better_than_demonstrator",
    "chance_of_no_contradiction",
    "clone_policies",
    "consistent_rewards",
    "demonstrations_for_reduction",
    "deterministic_mdp",
    "deterministic_policies",
    "equivalent_true_labels",
    "expected_returns",
    "feature_expectations",
    "fit_linear_rewards",
    "flawed_policies",
    "hit_and_run",
    "is_optimal",
    "largest_rise",
    "log_share_with_true_labels",
    "mix_with_uniform",
    "noisy_feature_sums",
    "noisy_returns",
    "occupancies",
    "optimal_policies",
    "pairs_for_reduction",
    "precarious_corridor",
    "random_mdps",
    "run_ambiguity",
    "sample_rollouts",
    "share_ranked_right",
    "share_with_independent_sides",
    "share_with_true_labels",
    "shares_by_adding_pairs",
    "softmax_policies",
    "spread_of_returns",
    "spread_of_weights",
    "state_values",
    "survivors_by_rejection",
    "uniform_policies",
    "unit_rewards",
    "value_iteration",
    "wilson_interval",
]
