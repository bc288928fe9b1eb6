"""The ranking for the reward: by noise (D-REX), by the user (T-REX), or both."""

from __future__ import annotations

from pathlib import Path

from stable_baselines3.common.policies import ActorCriticPolicy

from drex.demonstrations.load_and_save import Demonstrations
from drex.envs.data.trajectories import Trajectories
from drex.errors import UserError
from drex.files.run_layout import DEMONSTRATIONS, RANKED, RANKED_NOISE, RANKING, Stage
from drex.presets.names import Method
from drex.rankings.preferences import Preferences
from drex.rankings.ranked_episodes import RankedEpisodes, from_noise, from_user_ranking
from drex.rankings.user_ranking import Ranking
from drex.rankings.user_ranking_files import load_ranking, ranking_beside, save_ranking
from drex.stages.cloning import best_episodes
from drex.stages.context import Context
from drex.stages.demonstrations import IN_MEMORY
from drex.stages.noisy_rollouts import roll_out_with_noise


def given_ranking(
    given: str | Path | Ranking | Preferences | None, method: Method, demonstrations: Demonstrations
) -> Ranking | None:
    """The user's ranking for T-REX, checked; ``None`` for D-REX.

    Raises:
        UserError: a ranking with D-REX, or none that fits the demonstrations with T-REX.
    """
    if method == "drex":
        if given is not None:
            found = str(given) if isinstance(given, str | Path) else given.source
            raise UserError("ranking", expected="none with method drex", found=found, do="add --method trex")
        return None
    if given is None and demonstrations.source == IN_MEMORY:
        raise UserError("ranking", expected="a ranking of the demonstrations in memory", found="none")
    if given is None:
        given = ranking_beside(demonstrations.source)
    if isinstance(given, Preferences):
        given = Ranking.of(given)
    ranking = given if isinstance(given, Ranking) else load_ranking(given)
    ranking.rank(demonstrations.trajectories)
    return ranking


def rank_noisy_rollouts(run: Context, cloned: Trajectories, bc: ActorCriticPolicy) -> RankedEpisodes:
    """D-REX: rollouts of the clone, ranked by their noise level."""
    rollouts, choice = roll_out_with_noise(run, RANKED, cloned, bc)
    return from_noise(rollouts, run.noise, choice)


def rank_as_user(
    run: Context, demonstrations: Demonstrations, given: Ranking, bc: ActorCriticPolicy | None
) -> RankedEpisodes:
    """T-REX: the demonstrations in the user's ranking, with noisy rollouts if the settings have them."""
    trajectories = demonstrations.trajectories
    ranking = run.load_or_make(
        RANKED,
        lambda _: given,
        save=lambda ranking, place: save_ranking(place / RANKING, ranking),
        load=lambda place: load_ranking(place / RANKING),
        settings={"ranking": given.to_json()},
        inputs=[DEMONSTRATIONS],
    )
    ranked = ranking.rank(trajectories)
    if run.settings.noise is None or bc is None:
        return from_user_ranking(demonstrations, ranked)
    cloned = trajectories.select(best_episodes(run, trajectories, ranking))
    noisy, choice = roll_out_with_noise(run, RANKED_NOISE, cloned, bc)
    return from_user_ranking(demonstrations, ranked, extra=noisy, settings=run.noise, rollout_policy=choice)


def ranked_stages(episodes: RankedEpisodes) -> list[Stage]:
    """The stages that made these episodes."""
    both = episodes.user is not None and episodes.noise is not None
    return [RANKED, RANKED_NOISE] if both else [RANKED]
