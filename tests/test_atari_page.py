"""The page on Atari says what the presets hold, and its commands are ones that drex knows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from benchmarks import atari_parity
from benchmarks.atari import noise_table, row
from benchmarks.readme import with_tables
from drex.cli.main import main
from drex.presets.presets import demonstrator, preset

PAGE = Path(__file__).parent.parent / "docs" / "atari.md"
TEXT = PAGE.read_text()
PUBLISHED = ("BeamRider", "Breakout", "Enduro", "Pong", "Qbert", "Seaquest", "SpaceInvaders")


def test_the_tables_are_those_of_the_results():
    assert with_tables(TEXT) == TEXT


@pytest.mark.parametrize("line", re.findall(r"^drex .*", TEXT, flags=re.MULTILINE))
def test_every_option_on_the_page_is_one_that_drex_knows(line, capsys):
    words = shlex.split(line, comments=True)[1:]
    assert main([*words, "--help-all" if words[0] == "run" else "--help"]) == 0
    said = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in said] == []


def test_the_page_states_the_presets_sizes():
    small, default, paper = (preset(name, "ALE/Breakout-v5") for name in ("small", "default", "paper"))
    steps = re.search(r"\| PPO \| ([\d,]+) steps, .*\| (\d+)M, .*\| (\d+)M,", TEXT)
    rewards = re.search(r"\| three networks, (\d+) gradient steps \| three networks, ([\d,]+) \|", TEXT)
    assert steps is not None and rewards is not None
    assert int(steps[1].replace(",", "")) == small.learner.environment_steps
    assert int(steps[2]) * 1_000_000 == default.learner.environment_steps
    assert int(steps[3]) * 1_000_000 == paper.learner.environment_steps
    assert int(rewards[1]) == small.reward.gradient_steps
    assert int(rewards[2].replace(",", "")) == default.reward.gradient_steps
    assert {small.reward.members, default.reward.members, paper.reward.members} == {3, 1}


def test_the_page_states_the_published_demonstrators_scores():
    sentence = " ".join(TEXT.split()).split("that D-REX's authors published: ")[1].split(". The bundled")[0]
    stated = [float(score) for score in re.findall(r" ([\d.]+)(?:,|$)", sentence)]
    targets = [demonstrator(f"ALE/{game}-v5").target_return for game in PUBLISHED]
    assert stated == [pytest.approx(target, abs=0.6) for target in targets]


def some_facts(**changes):
    facts = {
        "name": "Pong-v5-small",
        "seed": 0,
        "demonstrator": {"mean": 14.5, "best": 21.0},
        "bc": {"mean": 15.6},
        "policy": {"mean": 18.25, "interval": [17.0, 19.5]},
        "trained_deterministic": {"mean": 20.0},
        "controls": {"constant": {"mean": 12.0}},
        "random": {"mean": 1.5},
        "reward": {"kendall_tau": 0.75},
        "seconds": {"bc": 60.0, "policy": 1740.0},
        "noise": [
            {"level": level, "return": {"mean": 10 - 9 * level}, "length": 400} for level in (0.0, 1.0)
        ],
    }
    return facts | changes


def test_a_row_says_what_was_beaten():
    cells = [cell.strip() for cell in row(some_facts()).strip("|").split("|")]
    assert cells == [
        "Pong-small",
        "0",
        "14.5 / 21",
        "15.6",
        "**18.2** [17.0, 19.5]",
        "20.0",
        "12.0",
        "",
        "1.5",
        "0.75",
        "average, clone",
        "30",
    ]
    sampled = row(some_facts(bc_stochastic={"mean": 19.0})).split("|")
    assert sampled[4].strip() == "15.6 / 19.0" and sampled[-3].strip() == "average"
    beaten = some_facts(policy={"mean": 3.0, "interval": [2.0, 4.0]})
    assert row(beaten).split("|")[-3].strip() == "nothing"


def test_the_noise_table_holds_every_level():
    assert noise_table([some_facts()])[-1] == "| Pong-small, seed 0 | 10.0 (400) | 1.0 (400) |"
    sampled = some_facts(ranking={"rollout_policy": {"chosen": "stochastic"}})
    assert noise_table([sampled])[-1].startswith("| Pong-small, seed 0, sampling clone | 10.0 (400)")


def parity_result(side, seed, score, curve):
    return {
        "side": side,
        "seed": seed,
        "steps": 200,
        "seconds": 4.0,
        "mean_score": score,
        "std": 1.0,
        "games": 30,
        "curve": curve,
    }


@pytest.fixture
def parity(tmp_path):
    """Two seeds of one side, the second a checkpoint longer, and one of the other."""
    found = [
        parity_result("ours", 0, 5.0, [[100, 2.0], [200, 4.0]]),
        parity_result("ours", 1, 9.0, [[100, 4.0], [200, 8.0], [300, 9.0]]),
        parity_result("theirs", 0, 6.0, [[100, 3.0], [200, 5.0]]),
    ]
    for facts in found:
        (tmp_path / f"{facts['side']}-seed{facts['seed']}.json").write_text(json.dumps(facts))
    return tmp_path


def test_parity_is_told_with_its_error_over_seeds(parity):
    lines = atari_parity.table(parity).splitlines()
    assert lines[2] == "| ours | 0 | 200 | 5.0 ± 1.0 (30 games) | 4.0 | 50 |"
    # one seed has no error; two that are 4 apart have a deviation of sqrt(8), over sqrt(2)
    assert lines[5:] == ["| ours | all 2 | | **7.0**, standard error over seeds 2.0 | 6.5 | |"]


def test_parity_is_drawn_as_far_as_all_seeds_have_come(parity):
    figure = atari_parity.draw(parity)
    lines = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].get_lines()}
    assert lines["ours, mean of 2 seeds"] == [[100, 3.0], [200, 6.0]]
    assert lines["theirs, mean of 1 seeds"] == [[100, 3.0], [200, 5.0]]
    assert len(figure.axes[0].get_lines()) == 5
