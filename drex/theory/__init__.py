"""The theory of D-REX as functions of numpy and scipy: when a learned reward beats the demonstrator.

The experiments are ``python -m benchmarks.theory``; docs/theory.md explains their results.
"""

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
    deterministic_policies,
    expected_returns,
    feature_expectations,
    occupancies,
    optimal_policies,
    random_mdps,
    state_values,
    uniform_policies,
)
from drex.theory.noise import (
    flawed_policies,
    largest_rise,
    mix_with_uniform,
    noisy_returns,
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

__all__ = ["Guarantee", "better_than_demonstrator"]
__all__ += ["chance_of_no_contradiction", "demonstrations_for_reduction", "equivalent_true_labels"]
__all__ += ["log_share_with_true_labels", "pairs_for_reduction", "share_with_independent_sides"]
__all__ += ["share_with_true_labels"]
__all__ += ["TabularMDPs", "action_values", "deterministic_policies", "expected_returns"]
__all__ += ["feature_expectations", "occupancies", "optimal_policies", "random_mdps", "state_values"]
__all__ += ["uniform_policies"]
__all__ += ["flawed_policies", "largest_rise", "mix_with_uniform", "noisy_returns"]
__all__ += ["share_ranked_right", "softmax_policies"]
__all__ += ["all_pairs", "clone_policies", "fit_linear_rewards", "noisy_feature_sums", "sample_rollouts"]
__all__ += ["RunAmbiguity", "Spread", "run_ambiguity", "spread_of_returns", "spread_of_weights"]
__all__ += ["Consistent", "consistent_rewards", "hit_and_run", "shares_by_adding_pairs"]
__all__ += ["survivors_by_rejection", "unit_rewards", "wilson_interval"]
