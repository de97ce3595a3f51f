import sys
from pathlib import Path

for room in ("store", "report"):  # run_samples, and report_runs, which the browser tests draw from too
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
