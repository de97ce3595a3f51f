"""One file, the same for the same runs, in which no script but its own can run."""

import base64
import hashlib
import html
import json
import re
import sys
from html.parser import HTMLParser

import pytest
from report_runs import HOSTILE, make_hostile, make_search

from nasbench.cli.main import main
from nasbench.report.data import make_document
from nasbench.report.document import Document
from nasbench.report.page import make_page
from nasbench.store.parquet import read_run


class Parts(HTMLParser):
    """Collects the scripts of a page, its policy, and what it would load."""

    def __init__(self):
        super().__init__()
        self.scripts, self.loads, self.policy, self.handlers, self._open = [], [], "", [], None

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on")]
        if tag in ("img", "iframe", "link", "script") and (given.get("src") or given.get("href")):
            self.loads.append(given.get("src") or given.get("href"))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "script":
            self._open = (given.get("type"), [])

    def handle_data(self, data):
        if self._open:
            self._open[1].append(data)

    def handle_endtag(self, tag):
        if tag == "script" and self._open:
            self.scripts.append((self._open[0], "".join(self._open[1])))
            self._open = None


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return make_page(make_document([read_run(make_hostile(tmp_path_factory.mktemp("runs") / "hostile"))]))


@pytest.fixture(scope="module")
def parts(page):
    parts = Parts()
    parts.feed(page)
    return parts


def test_the_policy_lets_the_two_scripts_of_the_page_run_and_no_other(parts):
    run = [text for kind, text in parts.scripts if kind is None]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run}

    assert len(parts.scripts) == 3 and len(run) == 2
    assert set(re.findall(r"'sha256-([^']+)'", parts.policy)) == hashes
    assert "default-src 'none'" in parts.policy and "connect-src 'none'" in parts.policy
    assert "unsafe-inline" not in parts.policy.split("script-src")[1].split(";")[0]


def test_only_a_page_of_many_trials_may_make_code(parts):
    assert "unsafe-eval" not in parts.policy

    large = Parts()
    large.feed(make_page(Document("large", [], [], {}, graphics=True)))
    assert "'unsafe-eval'" in large.policy.split("script-src")[1].split(";")[0]


def test_the_page_loads_nothing_and_has_no_handler_in_its_markup(parts):
    assert parts.loads == ["data:,"] and parts.handlers == []


def test_hostile_texts_are_data_alone(page, parts):
    (document,) = (text for kind, text in parts.scripts if kind == "application/json")

    assert json.loads(document)["runs"][0]["rows"]["name"]["names"] == list(HOSTILE)
    assert not any(text in page for text in HOSTILE[:4])


def report(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["nasbench", "report", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0, capsys.readouterr()


def test_equal_runs_give_equal_bytes_and_the_title_is_escaped(tmp_path, monkeypatch, capsys):
    folder = make_search(tmp_path / "first", 12)
    for name in ("a.html", "b.html"):
        code, said = report(monkeypatch, capsys, folder, "--out", tmp_path / name)
        assert code == 0 and said.out.startswith(f"wrote {tmp_path / name}, ")

    written = (tmp_path / "a.html").read_bytes()
    assert written == (tmp_path / "b.html").read_bytes() and len(written) < 8e6
    assert f"<title>{html.escape('first')}</title>" in written.decode()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("{run}", "--out", "page.pdf"), "page.pdf ends in '.pdf'; a report is one of .html, .htm"),
        (("nowhere",), "nowhere holds no run"),
    ],
)
def test_bad_input_ends_with_one_line(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    make_search(tmp_path / "run", 2)

    code, said = report(monkeypatch, capsys, *(word.format(run="run") for word in words))

    assert code == 2 and said.err.startswith("error: ") and says in said.err and said.err.count("\n") == 1


def test_the_layers_of_front_and_published_networks_are_on_the_page(tmp_path, monkeypatch, capsys):
    folder = make_search(tmp_path / "first", 12)
    report(monkeypatch, capsys, folder, "--out", tmp_path / "page.html")

    parts = Parts()
    parts.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    document = json.loads(parts.scripts[0][1])
    run = document["runs"][0]
    members = {run["rows"]["architecture"][member["row"]] for member in run["members"]}
    assert set(document["networks"]) == members
    for digest, network in document["networks"].items():
        row = run["rows"]["architecture"].index(digest)
        width = int(run["rows"]["choices"]["stage0.out"]["names"][run["rows"]["choices"]["stage0.out"]["codes"][row]])
        # a convolution of 3 channels to `width` at half of 32 pixels, with a norm of two values a channel
        first = network["layers"][0]
        kernel = (
            int(dict(part.split(" ") for part in first["options"].split(", ")).get("kernel", 3))
            if first["options"]
            else 3
        )
        assert first["shape"] == f"{width}x16x16" and first["macs"] == 3 * width * kernel**2 * 16 * 16


def test_every_group_of_the_markup_has_a_name(page):
    """A chart is named before its script has drawn it."""
    groups = re.findall(r'<[^>]* role="group"[^>]*>', page.split("<script")[0])
    assert len(groups) == 5 and all(re.search(r'aria-label="[^"]+"', group) for group in groups)
