"""A person's way through a report: in Chromium, from a file, with the network off.

`pytest -m browser -s` prints how long a page of 10,000 trials takes.
"""

import ast
import shlex
import time

import pytest
from report_runs import (
    HOSTILE,
    make_bench,
    make_failures,
    make_hostile,
    make_search,
    search_evaluations,
    write_run,
)
from run_samples import MANIFEST, make_evaluation

from nasbench.report.data import make_document
from nasbench.report.networks import describe_network
from nasbench.report.page import make_page, write_page
from nasbench.store.parquet import Run, read_run

pytestmark = pytest.mark.browser

OPTIONS = ("--dtype", "fp32", "--threads", "1")
"""How the rows of `make_bench` were measured, beside the device."""


@pytest.fixture
def visit(chromium, tmp_path):
    """Open the page of some runs; it must load without a word in the console, and none may come until the end."""
    contexts, faults = [], []

    def open_page(*folders, width=1280, height=900, scheme="light", runs=None):
        runs = runs or [read_run(folder) for folder in folders]
        write_page(make_page(make_document(runs, describe_network)), tmp_path / "report.html")
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        # A software renderer talks of its speed; anything else is a fault.
        page.on("console", lambda said: None if "GL Driver Message" in said.text else faults.append(said.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else faults.append(asked.url),
        )
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=60_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def large_marks(page):
    """Give network, figures and place of every point of the front as it is drawn."""
    return page.evaluate(
        """() => {
          const chart = document.getElementById("front-chart"), box = chart.getBoundingClientRect();
          const {xaxis, yaxis} = chart._fullLayout, found = [];
          for (const trace of chart.data) {
            if (!trace.customdata || trace.marker.size !== 11) continue;
            trace.x.forEach((x, at) => found.push({
              row: trace.customdata[at][1],
              left: box.left + xaxis._offset + xaxis.d2p(x), top: box.top + yaxis._offset + yaxis.d2p(trace.y[at]),
            }));
          }
          return found;
        }"""
    )


def test_a_point_shows_its_figures_and_opens_its_network(visit, tmp_path):
    folder = make_search(tmp_path / "first", 20)
    page = visit(folder)
    stored = read_run(folder).pareto.set_index("trial")
    mark = large_marks(page)[2]

    page.mouse.move(mark["left"], mark["top"])
    page.wait_for_selector("#front-chart .hovertext")
    hover = page.text_content("#front-chart .hoverlayer")
    member = stored.loc[mark["row"]]
    assert f"{100 * member['accuracy']:.2f} %" in hover and f"trial {mark['row']}" in hover and " to " in hover

    page.mouse.click(mark["left"], mark["top"])
    page.wait_for_selector("#panel[open]")
    body = page.inner_text("#panel-body")
    assert page.inner_text("#panel-title") == f"trial {mark['row']}" and member["architecture"] in body
    assert page.locator("#panel-body svg.flow rect").count() == 4  # the image, and three rows
    assert f"nasbench bench {folder}#{mark['row']} --device cpu" in body and "pool_linear" in body

    page.keyboard.press("Escape")
    assert not page.is_visible("#panel")


def test_the_front_can_be_walked_with_the_keyboard(visit, tmp_path):
    page = visit(make_search(tmp_path / "first", 20))

    page.focus("#front-chart")
    page.keyboard.press("ArrowRight")
    first = page.inner_text("#announce")
    page.keyboard.press("ArrowRight")
    second = page.inner_text("#announce")
    assert "Top-1 accuracy" in first and "1 of " in first and "2 of " in second and first != second

    page.keyboard.press("Enter")
    page.wait_for_selector("#panel[open]")
    assert second.startswith(page.inner_text("#panel-title"))
    page.click("#panel-next")
    assert not second.startswith(page.inner_text("#panel-title"))
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "front-chart"

    page.focus("#front-rows button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel[open]")


def test_axes_change_and_the_table_follows(visit, tmp_path):
    page = visit(make_search(tmp_path / "first", 20))

    page.select_option("#across", "params")

    assert page.evaluate("document.getElementById('front-chart').layout.xaxis.title.text").startswith("Parameters")
    assert "parameters" in page.inner_text("#front-text")
    page.uncheck("#log-across") if page.is_checked("#log-across") else page.check("#log-across")
    assert page.evaluate("document.getElementById('front-chart').layout.xaxis.type") in ("log", "linear")


def test_two_runs_share_the_page_and_each_can_be_hidden(visit, tmp_path):
    limited = {"limits": {"latency": 0.008}}
    page = visit(make_search(tmp_path / "first", 20), make_search(tmp_path / "second", 20, seed=1, manifest=limited))
    rows = page.locator("#front-rows tbody tr")
    before = rows.count()

    page.uncheck("#series input >> nth=1")

    assert 0 < rows.count() < before and "second" not in page.inner_text("#front-rows")
    page.check("#series input >> nth=1")
    shapes = page.evaluate("document.getElementById('front-chart').layout.shapes.length")
    assert shapes == 2 and "within the limits" in page.inner_text("#front-text")


def test_published_networks_stand_beside_what_was_found(visit, tmp_path):
    page = visit(make_search(tmp_path / "first", 12), make_bench(tmp_path / "bench"))

    assert "net_0" in page.inner_text("#front-rows") and "publishes" in page.inner_text("#front-text")
    page.click("#front-rows button:has-text('net_1')")
    assert f"nasbench bench {tmp_path / 'bench'}#1 --device cpu" in page.inner_text("#panel-body")


@pytest.mark.parametrize("kind", ["empty", "failed", "bench", "no latency", "one trial"])
def test_a_run_with_little_in_it_has_a_page(visit, tmp_path, kind):
    folder = tmp_path / "run"
    make = {
        "empty": lambda: write_run(folder, []),
        "failed": lambda: make_failures(folder),
        "bench": lambda: make_bench(folder),
        "no latency": lambda: write_run(folder, search_evaluations(12), {"objectives": ["accuracy", "params"]}),
        "one trial": lambda: write_run(folder, [make_evaluation(0)]),
    }
    page = visit(make[kind]())

    told = {"empty": "no candidate has both", "failed": "no candidate has both"}
    assert told.get(kind, "") in page.inner_text("#front-chart")
    assert page.is_visible("#reasons") == (kind == "failed")
    assert page.inner_text("#sentences") != "" and "nasbench search tiny" in page.inner_text("#repeats")


def test_hostile_texts_are_shown_and_never_run(visit, tmp_path):
    page = visit(make_hostile(tmp_path / "hostile"))
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))

    for _ in range(3):
        page.focus("#front-chart")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel[open]")
    for _ in range(3):
        page.click("#panel-next")
    page.keyboard.press("Escape")
    for index in range(page.locator("#latencies-of option").count()):
        page.select_option("#latencies-of", index=index)
    for index in range(page.locator("#machine-of option").count()):
        page.select_option("#machine-of", index=index)
    page.wait_for_timeout(300)

    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, a[href^='javascript']").count() == 0
    assert HOSTILE[0] in page.inner_text("#reasons") and HOSTILE[1] in page.inner_text("#front-rows")


@pytest.mark.parametrize("width", [360, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_page_without_scrolling_sideways(visit, tmp_path, width, scheme):
    page = visit(make_search(tmp_path / "first", 20, confirmed=[(0, 0.004)]), width=width, height=844, scheme=scheme)

    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.click("#front-rows button >> nth=0")
    assert page.evaluate("document.getElementById('panel').scrollWidth") <= width


# WCAG 2.2, 1.4.3: the luminance of a colour, and the ratio of two.
CONTRAST = """(pairs) => {
  const of = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const parts = getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255);
    probe.remove();
    const [r, g, b] = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return pairs.map(([one, other]) => {
    const [low, high] = [of(one), of(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}"""


def test_contrast_is_enough_in_light_and_dark_and_the_switch_goes_through_them(visit, tmp_path):
    page = visit(make_search(tmp_path / "first", 12))
    papers = []
    for _ in range(3):
        papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        texts = [(name, paper) for name in ("ink", "soft", "accent", "warn") for paper in ("paper", "raised")]
        marks = [(f"series-{index}", "paper") for index in range(7)] + [("fallen", "paper")]
        assert min(page.evaluate(CONTRAST, texts)) >= 4.5
        assert min(page.evaluate(CONTRAST, marks)) >= 3
        page.click("#theme")
    assert papers[0] == papers[1] != papers[2]


def test_every_figure_has_words_and_every_control_a_name(visit, tmp_path):
    page = visit(make_search(tmp_path / "first", 20, confirmed=[(0, 0.004)]))

    for caption in page.locator("figure:visible figcaption").all():
        assert len(caption.inner_text()) > 40
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input")]
          .filter((one) => !(one.textContent.trim() || one.labels && one.labels.length || one.ariaLabel))
          .map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    levels = page.evaluate("[...document.querySelectorAll('main h1, main h2, main h3')].map((one) => one.tagName)")
    assert levels[0] == "H1" and levels.count("H1") == 1 and "H2" in levels


def large_run(tmp_path, count=10_000):
    """Give a run of so many trials, in memory: as a log it takes a minute to write."""
    import pandas as pd

    from nasbench.objectives import find_objective
    from nasbench.pareto import hypervolume_curve, non_dominated, normalize, reference_losses

    folder = make_search(tmp_path / "large", 200)
    small = read_run(folder)
    rows = pd.concat([small.evaluations] * (count // 200), ignore_index=True)
    rows["trial"] = range(count)
    spread = pd.Series(range(count)).mod(997) / 997
    rows["latency_s"] *= 1 + spread
    rows["accuracy"] -= 0.1 * spread
    objectives = [find_objective(name) for name in MANIFEST["objectives"]]
    losses = rows[["accuracy", "latency_s"]].to_numpy(float) * [-1, 1]
    rows["on_front"] = non_dominated(losses)
    scaled = normalize(losses, objectives, reference_losses(objectives, {}, losses))
    rows["hypervolume"] = hypervolume_curve(scaled, [True] * count)
    return Run(folder, small.manifest, rows, small.pareto)


def test_ten_thousand_trials_stay_fluid(visit, tmp_path):
    run = large_run(tmp_path)
    began = time.monotonic()
    page = visit(runs=[run])
    loaded_s = time.monotonic() - began

    paint_s = (
        page.evaluate(
            "performance.getEntriesByType('paint').find((one) => one.name === 'first-contentful-paint').startTime"
        )
        / 1000
    )
    switch_s = page.evaluate(
        """() => new Promise((done) => {
          const began = performance.now(), select = document.getElementById("across");
          select.value = "params";
          select.dispatchEvent(new Event("change"));
          requestAnimationFrame(() => setTimeout(() => done((performance.now() - began) / 1000)));
        })"""
    )
    hover_s = page.evaluate(
        """() => { const began = performance.now(), chart = document.getElementById("front-chart");
          for (let at = 0; at < 20; at += 1) Plotly.Fx.hover(chart, [{curveNumber: 0, pointNumber: 450 * at}]);
          return (performance.now() - began) / 20000; }"""
    )
    size = (tmp_path / "report.html").stat().st_size
    print(
        f"\n10,000 trials: {size / 1e6:.1f} MB, made and loaded in {loaded_s:.1f} s, first paint after "
        f"{paint_s:.2f} s, an axis switch {switch_s:.2f} s, a hover {1000 * hover_s:.0f} ms"
    )
    assert (
        page.evaluate(
            "document.getElementById('front-chart').data.reduce((n, one) => n + (one.customdata || []).length, 0)"
        )
        >= 10_000
    )
    assert size < 8e6 and page.locator(".no-webgl").count() == 0


def test_a_hostile_name_is_one_word_of_a_shell_and_one_text_of_python(visit, tmp_path):
    """A bench without its log names its networks in its commands, and they may be somebody else's."""
    names = [
        'a\'; echo $(id) `id` "$HOME" #{trial}',
        '"); import os; os.abort() #\\',
        "$& $1 $'",
        "-x",
        "a\x1b[201~\nid",
    ]
    folder = make_bench(tmp_path / "bench", [0.001 * (1 + index) for index in range(len(names))])
    run = read_run(folder)
    run.evaluations["published"] = names
    (folder / "run.db").unlink()
    page = visit(runs=[run])

    for index, name in enumerate(names):
        page.evaluate("(at) => document.querySelectorAll('#front-rows button')[at].click()", index)
        page.wait_for_selector("#panel[open]")
        commands = page.locator("#panel-body pre").all_text_contents()
        page.keyboard.press("Escape")
        if index > 2:  # an option, and what a terminal acts on
            assert commands == []
            continue
        assert shlex.split(commands[0]) == ["nasbench", "bench", name, "--device", "cpu", *OPTIONS, "--fresh"]
        call = ast.parse(commands[1]).body[2].value
        assert [ast.literal_eval(each) for each in call.args] == [name]


def test_a_network_that_its_run_does_not_keep_has_no_commands(visit, tmp_path):
    """Without its log a search has the networks of its front alone."""
    folder = make_search(tmp_path / "first", 20)
    front = set(read_run(folder).pareto["trial"].tolist())
    with_log = visit(folder)
    (folder / "run.db").unlink()
    without = visit(folder)
    other = next(trial for trial in range(20) if trial not in front)

    shown = {}
    for page in (with_log, without):
        for row in (other, min(front)):
            page.evaluate(
                "(pair) => document.getElementById('front-chart').emit('plotly_click', {points: [{customdata: pair}]})",
                [0, row],
            )
            page.wait_for_selector("#panel[open]")
            shown[page, row] = page.locator("#panel-body pre").count(), page.inner_text("#panel-body")
            page.keyboard.press("Escape")

    assert [shown[page, row][0] for page in (with_log, without) for row in (other, min(front))] == [4, 4, 0, 2]
    assert "alone; the commands below make it." in shown[with_log, other][1]
    assert "networks alone." in shown[without, other][1] and "Use it" not in shown[without, other][1]


def test_bars_are_named_and_drawn_only_where_there_are_intervals(visit, tmp_path):
    """A latency that was looked up in a table has no interval."""
    folder = make_search(tmp_path / "first", 20)
    run = read_run(folder)
    with_bars = visit(runs=[run])
    assert "Bars are 95 % intervals" in with_bars.inner_text("#front-text")
    assert with_bars.locator("#front-chart path.xerror, #front-chart path.yerror").count() > 0

    run.evaluations[["latency_low_s", "latency_high_s"]] = float("nan")
    without = visit(runs=[run])
    assert "Bars are" not in without.inner_text("#front-text")
    assert without.locator("#front-chart path.xerror, #front-chart path.yerror").count() == 0


def test_over_time_is_in_the_unit_of_the_longest_run(visit, tmp_path):
    """The last trial ended early; the longest one decides."""
    trials = [make_evaluation(trial, 0.5 + 0.1 * trial, seconds=seconds) for trial, seconds in enumerate((7300, 60, 5))]
    page = visit(write_run(tmp_path / "run", trials))

    page.select_option("#progress-over", "time")

    title, x, y = page.evaluate(
        """() => { const chart = document.getElementById("progress-chart");
          return [chart.layout.xaxis.title.text, chart.data[0].x, chart.data[0].y]; }"""
    )
    assert "hours" in title and x == sorted(x) and y == sorted(y)
