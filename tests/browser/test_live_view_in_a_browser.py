"""The live view as somebody sees it: points appear, choices stay, and the end is said."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from report_runs import search_evaluations, write_run
from run_samples import MANIFEST, make_evaluation

from nasbench.report.data import make_document
from nasbench.report.document import to_json
from nasbench.report.live import LiveView
from nasbench.report.networks import describe_network
from nasbench.report.page import make_page
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush, read_run

pytestmark = pytest.mark.browser

PATIENCE_MS = 120_000


def live_document(run):
    return replace(make_document([run], describe_network), live=True)


@pytest.fixture
def follow(chromium):
    """Open the live page of a document; what is put into the second of what it gives is served from then on."""
    contexts, faults = [], []

    def open_page(document):
        served = {"version": 1, "ended": False, "last": False, "problem": "", "document": document}
        news = ("version", "ended", "last", "problem")
        paths = {
            "/": lambda: {"content_type": "text/html", "body": make_page(document)},
            "/version": lambda: {"json": {key: served[key] for key in news}},
            "/document": lambda: (
                {"content_type": "application/json", "body": to_json(served["document"])}
                if served["document"]
                else {"status": 503, "body": "the run cannot be read yet\n"}
            ),
        }
        context = chromium.new_context(reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.route("http://live.test/**", lambda route: route.fulfill(**paths[urlsplit(route.request.url).path]()))
        page.goto("http://live.test/")
        return page, served

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def test_points_appear_what_was_chosen_stays_and_the_end_is_said(chromium, tmp_path):
    evaluations, faults = search_evaluations(9), []
    page = chromium.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    with RunLog.create(tmp_path / "run", MANIFEST) as log, LiveView(tmp_path / "run") as view:
        for evaluation in evaluations[:3]:
            log.append(evaluation)
        page.goto(view.url, timeout=PATIENCE_MS)
        page.wait_for_selector("text=3 trials so far", timeout=PATIENCE_MS)
        page.select_option("#across", "params")

        for evaluation in evaluations[3:]:
            log.append(evaluation)

        page.wait_for_selector("text=9 trials so far", timeout=PATIENCE_MS)
        assert "9 candidates were tried" in page.inner_text("#sentences")
        assert page.input_value("#across") == "params"
        drawn = "document.getElementById('front-chart').data.reduce((n, one) => n + (one.customdata || []).length, 0)"
        assert page.evaluate(drawn) >= 9
        flush(log)
    page.wait_for_selector("text=The search has ended", timeout=PATIENCE_MS)
    assert faults == []


def test_a_live_page_keeps_the_place_what_is_open_and_says_a_state_once(follow, tmp_path):
    """The rows of trials move when one comes between them."""
    evaluations = search_evaluations(20)
    folder = write_run(tmp_path / "run", evaluations)
    whole = read_run(folder)
    seen = whole.evaluations[whole.evaluations["trial"] > 3].reset_index(drop=True)
    page, served = follow(live_document(replace(whole, evaluations=seen)))
    page.locator("#live-count", has_text="16 trials").wait_for()
    page.evaluate("""() => {
      window.heard = [];
      new MutationObserver(() => heard.push(document.getElementById("live-state").textContent))
        .observe(document.getElementById("live-state"), {childList: true, characterData: true, subtree: true});
    }""")
    page.click("#repeats summary")
    page.focus("#front-chart")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    said = page.inner_text("#announce").split(",")[0]

    served.update(version=2, document=live_document(whole))
    page.locator("#live-count", has_text="20 trials").wait_for()

    assert page.evaluate("document.querySelector('#repeats details').open") and page.evaluate("heard") == []
    page.focus("#front-chart")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel[open]")
    assert page.inner_text("#panel-title") == said
    served.update(version=3, problem="KeyError: 'x'")
    page.locator("#live-state", has_text="cannot be read just now").wait_for()
    served.update(ended=True)
    page.locator("#live-state", has_text="could not be read").wait_for()
    assert len(page.evaluate("heard")) == 2


def test_the_network_whose_samples_were_chosen_stays_when_another_comes_before_it(follow, tmp_path):
    whole = read_run(write_run(tmp_path / "run", search_evaluations(20)))
    members = whole.pareto["trial"].tolist()
    page, served = follow(live_document(replace(whole, pareto=whole.pareto[whole.pareto["trial"] != members[0]])))
    page.locator("#live-count", has_text="20 trials").wait_for()
    page.select_option("#latencies-of", label=f"trial {members[1]}")
    said = page.inner_text("#latencies-text")
    assert said.startswith(f"trial {members[1]} on ")

    served.update(version=2, document=live_document(whole))
    page.locator("#latencies-of option", has_text=f"all {len(members)}").wait_for(state="attached")

    assert page.inner_text("#latencies-text") == said

    served.update(version=3, document=live_document(replace(whole, pareto=whole.pareto[:1])))
    page.locator("#latencies-of option", has_text="all 1,").wait_for(state="attached")
    assert page.inner_text("#latencies-text").startswith("A box holds")


@pytest.mark.parametrize(("chosen", "across"), [(None, "latency"), ("macs", "macs")])
def test_axes_that_nobody_chose_follow_what_there_is_to_show(follow, tmp_path, chosen, across):
    """The first networks were beyond the limit of the latency, so none was trained."""
    slow = [make_evaluation(trial, latency_s=0.5, status="infeasible", score=None) for trial in range(3)]
    page, served = follow(live_document(read_run(write_run(tmp_path / "slow", slow))))
    page.locator("#live-count", has_text="3 trials").wait_for()
    assert page.input_value("#across") == "params" and page.input_value("#upwards") == "latency"
    if chosen:
        page.select_option("#across", chosen)

    whole = read_run(write_run(tmp_path / "whole", [*slow, make_evaluation(3)]))
    served.update(version=2, document=live_document(whole))
    page.locator("#live-count", has_text="4 trials").wait_for()

    assert page.input_value("#across") == across and page.input_value("#upwards") == "accuracy"


def test_a_scale_that_nobody_chose_follows_the_points(follow, tmp_path):
    evaluations = [make_evaluation(trial, 0.5 + 0.1 * trial, 0.001 * 10**trial) for trial in range(3)]
    runs = [read_run(write_run(tmp_path / str(count) / "run", evaluations[:count])) for count in (1, 2, 3)]
    page, served = follow(live_document(runs[0]))
    page.locator("#live-count", has_text="1 trial").wait_for()
    assert not page.is_checked("#log-across")

    served.update(version=2, document=live_document(runs[2]))
    page.locator("#live-count", has_text="3 trials").wait_for()
    assert page.is_checked("#log-across")

    page.uncheck("#log-across")
    served.update(version=3, document=live_document(runs[1]))
    page.locator("#live-count", has_text="2 trials").wait_for()
    served.update(version=4, document=live_document(runs[2]))
    page.locator("#live-count", has_text="3 trials").wait_for()
    assert not page.is_checked("#log-across")


def test_a_last_document_that_does_not_come_is_asked_for_again(follow, tmp_path):
    evaluations = search_evaluations(5)
    runs = [read_run(write_run(tmp_path / str(count) / "run", evaluations[:count])) for count in (4, 5)]
    page, served = follow(live_document(runs[0]))
    page.locator("#live-count", has_text="4 trials").wait_for()

    served.update(version=2, ended=True, last=True, document=None)
    for _ in range(2):
        with page.expect_response("**/document"):
            pass
    assert "last state" not in page.inner_text("#live-state")

    served.update(document=live_document(runs[1]))
    page.locator("#live-state", has_text="This is its last state").wait_for()
    assert "5 candidates were tried" in page.inner_text("#sentences")
