"""docs/theory.md shows what ``python -m benchmarks.theory`` measured, and the record keeps its promises."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "theory"
PAGE = (ROOT / "docs" / "theory.md").read_text()


@pytest.fixture(scope="module")
def record():
    return json.loads((RESULTS / "theory.json").read_text())


def quoted(record):
    """Every measured number that the page quotes, as it quotes it, by section."""
    found = record["experiments"]
    bound, learning = found["better_than_demonstrator"], found["learning_from_pairs"]
    laws = {
        row["dimensions"]: row["law"]
        for row in found["ranked_pairs"]["curves"]["true_labels"]
        if row["pairs"] == 8
    }
    fits = {(row["kind"], row["pairs"]): row for row in learning["rows"]}
    left_open = found["unranked_demonstrations"]["of_these_call_reckless_better"]
    families = found["noise_degrades"]["families"]
    rises = {name: f"{family['all_better']['not_monotone']:.0%}" for name, family in families.items()}
    runs = {(row["kind"], row["pairs"]): row for row in found["what_a_run_knows"]["rows"]}
    whole, known = runs["noise pairs, all of a run's", 1680], runs["independent pairs, true labels", 64]
    return {
        "1.": {
            "cases": f"{bound['cases']:,} random cases",
            "violations": f"exceeded\n{bound['violations']} times",
            "guaranteed": f"success in {bound['guaranteed']:.0%}",
            "better": f"{bound['better']:.0%} succeeded",
            "tight_random": f"the loss was {bound['tightness_random_errors']['median']:.1%}",
            "tight_misled": f"{bound['tightness_misleading_errors']['median']:.1%} with adversarial",
        },
        "2.": {
            "reckless": f"{left_open['share']:.0%} prefer",
        },
        "3.": {
            "eight_2": f"8 pairs leave {laws[2]:.3f}",
            "eight_4": f"{laws[4]:.3f},",
            "eight_8": f"{laws[8]:.4f} and",
            "eight_16": f"{laws[16]:.4f} in 4, 8 and 16",
            "points": f"{found['ranked_pairs']['points_with_law']} measured points",
            "joint": f"points {found['ranked_pairs']['joint_intervals_missing_their_law']} have an interval",
        },
        "4.": {
            "runs": f"{learning['runs']} random MDPs",
            "demonstrator_regret": f"regret is {learning['demonstrator_regret']:.2f}",
            "drex_16": f"falls to {fits['noise', 16]['regret']:.2f}",
            "drex_512": f"with 512 to {fits['noise', 512]['regret']:.2f}",
            "trex_16": f"gives {fits['noise_truly_labelled', 16]['regret']:.2f}",
            "trex_512": f"and {fits['noise_truly_labelled', 512]['regret']:.2f}",
            "accuracy": f"true reward on {learning['noise_label_accuracy']:.0%} of",
            "angle": f"{fits['noise', 512]['angle']:.0f} degrees off",
        },
        "5.": {
            "rise_dense": f"somewhere in {rises['every state reachable']}",
            "rise_sparse": f"in {rises['3 next states']} of MDPs where",
            "rise_deterministic": f"in {rises['deterministic']} of deterministic",
            "right": f"{families['deterministic']['label_accuracy_when_better']:.0%} of level pairs",
            "wrong": f"random, only {families['deterministic']['label_accuracy_when_worse']:.0%} are",
        },
        "6.": {
            "known": f"returns {known['independent_pairs']:.0f} (",
            "least": f"({known['least']:.0f} to",
            "most": f"to {known['most']:.0f} in single",
            "pairs": f"{whole['pairs']:,} pairs from 80",
            "worth": f"worth {whole['independent_pairs']:.0f}.",
            "degrees": f"by {whole['mean_angle_degrees']:.0f} degrees",
            "disagreement": f"on {whole['disagreement']:.1%} of fresh",
            "blind": f"{runs['the same, coin-flip labels', 1680]['contradicted']:.0%} of them",
            "contradicted": f"against {whole['contradicted']:.0%}",
        },
    }


def squeezed(text):
    return re.sub(r"\s+", " ", text)


def test_every_number_on_the_page_is_the_measured_one(record):
    sections = {section[:2]: squeezed(section) for section in PAGE.split("\n## ")[1:]}
    for section, numbers in quoted(record).items():
        for name, text in numbers.items():
            assert squeezed(text) in sections[section], (section, name, text)


def test_every_linked_file_is_there_in_both_formats():
    links = re.findall(r"\]\(\.\./(benchmarks/results/theory/[^)]+)\)", PAGE)
    assert len(links) == 7
    for link in links:
        assert (ROOT / link).stat().st_size > 1000
        assert link.endswith(".json") or (ROOT / link).with_suffix(".svg").stat().st_size > 1000


def test_the_page_explains_each_result_in_ten_lines():
    for section in PAGE.split("\n## ")[1:]:
        explained = section.split("![")[0].strip().splitlines()[2:]
        assert 8 <= len(explained) <= 11, explained


def test_the_measured_record_keeps_what_the_theory_promises(record):
    found = record["experiments"]
    bound, pairs = found["better_than_demonstrator"], found["ranked_pairs"]
    assert bound["cases"] >= 10_000
    assert bound["violations"] == bound["violations_of_sharper_bound"] == 0
    assert pairs["joint_intervals_missing_their_law"] == 0
    for kind, law in (("independent_sides", "2^-k"), ("true_labels", "E[(1 − θ/π)^k]")):
        rows = pairs["curves"][kind]
        assert {row["dimensions"] for row in rows} == {2, 4, 8, 16}
        for row in rows:
            low, high = row["joint_interval"]
            assert low <= row["law"] <= high, (law, row)
    assert pairs["pointwise_intervals_missing_their_law"] <= 3 * pairs["expected_pointwise_misses"]
    assert found["unranked_demonstrations"]["after_one_ranked_pair_call_reckless_better"] == 0
    assert all(row["demonstrations_optimal_under_both"] for row in found["unranked_demonstrations"]["gaps"])
    assert all(family["mean_curve_monotone"] for family in found["noise_degrades"]["families"].values())


def test_the_record_says_how_it_was_made(record):
    assert record["command"] == f"python -m benchmarks.theory --seed {record['seed']}"
    assert set(record["versions"]) == {"python", "numpy", "scipy", "matplotlib"}
    assert set(record["machine"]) == {"cpu", "cores"}
    assert record["cpu_seconds"] < 300
