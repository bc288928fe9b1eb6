"""The glossary names options and names that exist, and the pages lead to it and to each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import drex
from drex.cli.run_options import RunOptions
from drex.presets.presets import preset

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md", *DOCS]
TEXT = (ROOT / "docs" / "glossary.md").read_text()


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`--([\w.-]+?)(?:\.\*)?(?: [^`]*)?`", TEXT))))
def test_every_option_of_the_glossary_is_one_of_a_run(option):
    first, *rest = option.replace("-", "_").split(".")
    found = RunOptions(task="ALE/Breakout-v5", settings=preset("default", "ALE/Breakout-v5"))
    value = getattr(found.settings if hasattr(found.settings, first) else found, first)
    for name in rest:
        value = getattr(value, name)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`drex\.(\w+)`", TEXT))))
def test_every_name_of_the_glossary_is_public(name):
    assert name in drex.__all__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_pages_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_leads_to_every_page_of_the_docs():
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in DOCS if f"(docs/{page.name})" not in readme] == []
