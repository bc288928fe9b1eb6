"""Rankings that users bring: every form read, written back and understood, every mistake one sentence."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ranked_examples import trajectories_of

from drex.errors import UserError
from drex.rankings.user_ranking import Ranking, describe_user_ranking
from drex.rankings.user_ranking_files import load_ranking, ranking_beside, ranking_of_words, save_ranking

FOUR = trajectories_of(np.ones(4), np.zeros((4, 1)))


def pairs(ranked):
    """The pairs as (better, worse), sorted."""
    return sorted(zip(ranked.preferences.better.tolist(), ranked.preferences.worse.tolist(), strict=True))


def read(folder, text, suffix=".json"):
    file = folder / f"ranking{suffix}"
    file.write_text(text)
    return load_ranking(file)


# Forms


ORDERED = [(0, 2), (1, 0), (1, 2)]  # 2, then 0, then 1 the best


@pytest.mark.parametrize(
    ("held", "expected", "source"),
    [
        ({"order": [2, 0, 1]}, ORDERED, "the user's order"),
        ({"tiers": [[2], [0], [], [1]]}, ORDERED, "the user's tiers"),
        ({"tiers": [[0, 3], [1, 2]]}, [(1, 0), (1, 3), (2, 0), (2, 3)], "the user's tiers"),
        ({"scores": [0.5, 1e9, -3, None]}, ORDERED, "the user's scores"),
        ({"pairs": [[1, 0], [0, 1, 0.5]]}, [(0, 1), (1, 0)], "the user's pairs"),
        ({"file_order": 4}, [(b, a) for b in range(4) for a in range(b)], "training time"),
        ({"format": 1, "episodes": 4, "order": [3, 1]}, [(1, 3)], "the user's order"),
    ],
)
def test_a_json_ranking_means_its_pairs_and_survives_its_file(tmp_path, held, expected, source):
    ranking = read(tmp_path, json.dumps(held))
    ranked = ranking.rank(FOUR)
    assert pairs(ranked) == expected
    assert ranked.preferences.source == source
    save_ranking(tmp_path / "again.json", ranking)
    again = load_ranking(tmp_path / "again.json")
    assert again.to_json() == ranking.to_json() == {"format": 1} | held
    assert pairs(again.rank(FOUR)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("episode\n2\n0\n1\n", ORDERED),
        ("Episode, Tier\n0,2\n1,3\n2,1\n3,\n", ORDERED),
        ("episode,score\r\n1,1e3\r\n0,-0.5\r\n2,-7\r\n", ORDERED),
        ("better,worse\n1,0\n\n0,1\n", [(0, 1), (1, 0)]),
        ("\ufeffbetter,worse,weight\n1,0,0.5\n", [(1, 0)]),
    ],
)
def test_a_csv_ranking_says_by_its_head_what_it_holds(tmp_path, text, expected):
    assert pairs(read(tmp_path, text, ".csv").rank(FOUR)) == expected


def test_weights_of_pairs_are_kept(tmp_path):
    for ranking in (
        read(tmp_path, '{"pairs": [[1, 0, 0.25], [2, 3]]}'),
        read(tmp_path, "better,worse,weight\n1,0,0.25\n2,3,1\n", ".csv"),
    ):
        assert ranking.rank(FOUR).preferences.weight.tolist() == [0.25, 1.0]


@hypothesis_settings(max_examples=40, deadline=None)
@given(scores=st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4).filter(lambda s: len(set(s)) > 1))
def test_scores_are_ranks_alone_in_every_form(tmp_path_factory, scores):
    folder = tmp_path_factory.mktemp("scores")
    by_json = read(folder, json.dumps({"scores": scores}))
    rows = "".join(f"{episode},{score!r}\n" for episode, score in enumerate(scores))
    by_csv = read(folder, f"episode,score\n{rows}", ".csv")
    squeezed = read(folder, json.dumps({"scores": [sorted(set(scores)).index(score) for score in scores]}))
    assert pairs(by_json.rank(FOUR)) == pairs(by_csv.rank(FOUR)) == pairs(squeezed.rank(FOUR))


@pytest.mark.parametrize(
    ("by", "words", "expected"),
    [
        ("order", ["2", "0", "1"], ORDERED),
        ("tiers", ["0,3", "1,2"], [(1, 0), (1, 3), (2, 0), (2, 3)]),
        ("scores", ["0.5", "7", "-3", "none"], ORDERED),
        ("pairs", ["1,0", "0,1,0.5"], [(0, 1), (1, 0)]),
        ("file-order", [], [(b, a) for b in range(4) for a in range(b)]),
    ],
)
def test_words_of_a_command_line_are_a_ranking_with_its_number_of_episodes(tmp_path, by, words, expected):
    ranking = ranking_of_words(by, words, episodes=4)
    save_ranking(tmp_path / "ranking.json", ranking)
    assert pairs(load_ranking(tmp_path / "ranking.json").rank(FOUR)) == expected
    assert json.loads((tmp_path / "ranking.json").read_text())["episodes"] == 4


def test_a_ranking_file_is_checked_and_copied_by_words(tmp_path):
    (tmp_path / "mine.csv").write_text("better,worse\n1,0\n")
    ranking = ranking_of_words("file", [str(tmp_path / "mine.csv")], episodes=4)
    assert ranking.to_json() == {"format": 1, "episodes": 4, "pairs": [[1, 0]]}


def test_a_ranking_lies_beside_its_demonstrations(tmp_path):
    assert ranking_beside(tmp_path / "walk.npz") == tmp_path / "walk.ranking.json"
    assert ranking_beside(tmp_path / "walk.v1") == tmp_path / "walk.v1.ranking.json"
    assert ranking_beside(tmp_path / "walk.v2.hdf5") == tmp_path / "walk.v2.ranking.json"


def test_a_description_counts_what_is_compared_and_contradicted():
    lines = describe_user_ranking(Ranking("pairs", [[1, 0], [0, 1], [2, 0]], "here").rank(FOUR))
    assert lines == [
        "episodes      4, 3 compared",
        "pairs         3, 66.7% contradicted by others",
        "best quarter  2",
    ]


# Mistakes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "ranking.json: expected a JSON object, found other text"),
        ("[0, 1]", "expected a JSON object, found JSON of type list"),
        ("{}", "expected one of the keys order, tiers, scores, pairs, file_order, found none of them"),
        ('{"order": [0, 1], "file_order": 4}', "found order and file_order"),
        ('{"ordr": [0, 1]}', "found the unknown key 'ordr'"),
        ('{"format": 2, "order": [0, 1]}', "ranking.json: format: expected 1, found 2"),
        ('{"episodes": 0, "order": [0, 1]}', "episodes: expected a positive whole number, found 0"),
        (
            '{"episodes": 5, "order": [0, 1]}',
            "expected a ranking of 4, as many as the demonstrations, found one",
        ),
        ('{"order": 3}', "order: expected a list of episodes, found 3"),
        ('{"order": []}', "order: expected two episodes or more, found 0"),
        ('{"order": [1]}', "order: expected two episodes or more, found 1"),
        ('{"order": [0, 4]}', "order: expected episodes from 0 to 3, found 4"),
        ('{"order": [0, -1]}', "order: expected episodes from 0 to 3, found -1"),
        ('{"order": [0, 1.5]}', "order: expected episodes from 0 to 3, found 1.5"),
        ('{"order": [0, true]}', "order: expected episodes from 0 to 3, found true"),
        ('{"order": [0, 1, 0]}', "order: expected each episode named once, found 0 twice"),
        ('{"tiers": [0, 1]}', "tiers: expected a list of lists of episodes, found [0, 1]"),
        ('{"tiers": [[0, 1], []]}', "tiers: expected two tiers or more with episodes, found 1"),
        ('{"tiers": [[0, 1], [1]]}', "tiers: expected each episode named once, found 1 twice"),
        ('{"tiers": [[0], [7]]}', "tiers: expected episodes from 0 to 3, found 7"),
        ('{"scores": [1, 2]}', "scores: expected 4, one an episode, found 2"),
        ('{"scores": [1, 2, 3, NaN]}', "scores: expected a list of finite numbers"),
        ('{"scores": [1, 2, 3, "4"]}', "scores: expected a list of finite numbers"),
        ('{"scores": [1, 1, 1, null]}', "expected two different scores or more, found the same for all"),
        ('{"scores": [null, null, null, null]}', "expected two different scores or more, found none"),
        ('{"pairs": []}', "pairs: expected at least one pair, found none"),
        ('{"pairs": [[1, 0, 1, 1]]}', "expected a list of [better, worse] or [better, worse, weight]"),
        ('{"pairs": [[1, 4]]}', "pairs: expected episodes from 0 to 3, found 4"),
        ('{"pairs": [[1, 1]]}', "pairs: expected two different episodes in each pair, found [1, 1]"),
        ('{"pairs": [[1, 0, 0]]}', "pairs: expected positive weights, found [1, 0, 0]"),
        ('{"file_order": 5}', "file_order: expected 4, the number of episodes, found 5"),
    ],
)
def test_a_bad_json_ranking_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError) as refused:
        read(tmp_path, text).rank(FOUR)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
    assert "ranking.json" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected one of the heads better,worse; better,worse,weight; episode,score;"),
        ("winner,loser\n1,0\n", "found winner,loser"),
        ("better,worse\n1\n", "row 2: expected 2 cells, found 1"),
        ("better,worse\n1,b\n", "expected a whole number, an episode, found 'b'"),
        ("better,worse\n1,9\n", "pairs: expected episodes from 0 to 3, found 9"),
        ("episode,score\n1,high\n", "expected a finite number, found 'high'"),
        ("episode,score\n1,inf\n", "expected a finite number, found 'inf'"),
        ("episode,score\n1,2\n1,3\n", "expected episodes from 0, each named once, found 1 twice"),
        ("episode,tier\n0,1\n1,1\n", "tiers: expected two tiers or more with episodes, found 1"),
        ("episode\n", "order: expected two episodes or more, found 0"),
    ],
)
def test_a_bad_csv_ranking_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError) as refused:
        read(tmp_path, text, ".csv").rank(FOUR)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_none_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: expected a ranking .* found No such file"):
        load_ranking(tmp_path / "none.json")
    (tmp_path / "ranking.txt").write_text("0 1")
    with pytest.raises(
        UserError, match=re.escape("a ranking in a .json or .csv file, found the suffix '.txt'")
    ):
        load_ranking(tmp_path / "ranking.txt")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="a ranking of the demonstrations, JSON or CSV"):
        load_ranking(tmp_path / "bytes.json")
    with pytest.raises(UserError, match=r"expected a \.json file to write the ranking to, found '\.csv'"):
        save_ranking(tmp_path / "out.csv", Ranking("file_order", 4, "here"))


@pytest.mark.parametrize(
    ("by", "words", "sentence"),
    [
        ("file-order", ["3"], "--by file-order: expected no values, found 3"),
        ("file", [], "--by file: expected one file, found none"),
        ("order", ["1", "two"], "--by order: expected a whole number, an episode, found 'two'"),
        ("scores", ["1", "nan"], "--by scores: expected a finite number, found 'nan'"),
    ],
)
def test_words_that_say_no_ranking_are_one_sentence(by, words, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        ranking_of_words(by, words, episodes=4)
