import shutil
import sys
from pathlib import Path

import pytest

for room in ("store", "report"):  # run_samples, and report_runs, which the browser tests draw from too
    sys.path.insert(0, str(Path(__file__).parents[1] / room))


@pytest.fixture(scope="module")
def chromium():
    """Start Chromium; these tests are asked for by name, so without one they fail and are not skipped."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert program is not None, "there is no Chromium: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=["--no-sandbox"])
        yield browser
        browser.close()
