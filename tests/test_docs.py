"""What the pages say of the definitions is so."""

import re
from pathlib import Path

import pytest

from nasbench.claims.claim import load_claims
from nasbench.space.load import list_spaces, load_space

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")]


def test_the_page_of_architectures_lists_every_space_with_its_number_of_networks():
    text = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    listed = {
        name: (int(count), about)
        for name, count, about in re.findall(r"^\| `(\w+)` \| (\d+) \| .* \| (.*) \|$", text, re.M)
    }

    spaces = [load_space(path) for path in list_spaces().values()]
    assert listed == {space.name: (len(space.architectures), space.about) for space in spaces}


def test_the_readme_counts_networks_and_spaces_as_they_are():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    spaces = [load_space(path) for path in list_spaces().values()]

    assert f"{sum(len(space.architectures) for space in spaces)} networks of {len(spaces)} spaces are here" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) + re.findall(r'<img src="([^"]+)"', text)

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_counts_claims_as_they_are():
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert f"{len(load_claims())} claims of papers stand in one YAML file" in text


def test_the_page_of_figures_shows_what_its_commands_draw():
    from nasbench.cli.plot import KINDS, STUDIES

    text = (ROOT / "docs" / "plots.md").read_text(encoding="utf-8")
    commands = re.findall(r"^nasbench plot (.+) --kind (\w+) --out docs/(images/\S+)$", text, re.M)
    assert {"hypervolume", "importance", "parallel", "latency", "devices", "layers", "samples"} == {
        kind for _, kind, _ in commands
    }
    for runs, _, image in commands:
        assert all((ROOT / run).is_dir() for run in runs.split()) and f"]({image})" in text
    assert all(f"`{kind}`" in text or f"## {kind}\n" in text for kind in {**KINDS, **STUDIES})
