"""The live view as somebody sees it: points appear, choices stay, and the end is said."""

import pytest
from report_runs import search_evaluations
from run_samples import MANIFEST

from nasbench.report.live import LiveView
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush

pytestmark = pytest.mark.browser

PATIENCE_MS = 120_000


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
