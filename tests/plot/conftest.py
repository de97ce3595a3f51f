import sys
from pathlib import Path

for room in ("store", "measure"):  # run_samples and bench_device, which these rooms draw from
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
