"""The diagnosis of a run, printed as soon as it is known and before PPO spends its time."""

from __future__ import annotations

from drex.diagnosis.finding import Finding
from drex.diagnosis.findings import ranking_findings, reward_findings
from drex.envs.data.trajectories import Trajectories
from drex.evaluation.held_out import HeldOutPairs
from drex.files.atomic import read_json, write_json
from drex.files.run_layout import DEMONSTRATIONS, DIAGNOSIS, REWARD
from drex.rankings.ranked_episodes import RankedEpisodes
from drex.rewards.learned_reward import LearnedReward
from drex.stages.context import Context
from drex.stages.ranking import ranked_stages


def diagnose_ranking_and_reward(
    run: Context,
    demonstrations: Trajectories,
    episodes: RankedEpisodes,
    reward: LearnedReward,
    held_out: HeldOutPairs,
) -> list[Finding]:
    """All findings before PPO; none reads a true return."""

    def make(_: object) -> list[Finding]:
        found = []
        if episodes.noise is not None:
            kinds = episodes.noise.ranked_kinds(run.noise.grade_margin)
            found += list(ranking_findings(demonstrations, episodes.noise, kinds))
        found += list(reward_findings(demonstrations, episodes.ranked, reward, held_out.accuracy))
        return found

    file = DIAGNOSIS.files[0]
    findings = run.load_or_make(
        DIAGNOSIS,
        make,
        save=lambda found, place: write_json(place / file, [finding.to_json() for finding in found]),
        load=lambda place: [Finding(**facts) for facts in read_json(place / file)],
        settings={},
        inputs=[DEMONSTRATIONS, *ranked_stages(episodes), REWARD],
    )
    for finding in findings:
        run.progress.write(finding.line())
    return findings
