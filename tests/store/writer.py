"""A process that writes trials into a run until it is killed; each number it prints is on the disk.

With a second argument it also writes the parquet files after every trial.
"""

import sys
from pathlib import Path

from run_samples import MANIFEST, make_evaluation

from nasbench.store.log import RunLog
from nasbench.store.parquet import flush

folder, flushes = Path(sys.argv[1]), len(sys.argv) > 2
log = RunLog.open(folder) if (folder / "run.db").exists() else RunLog.create(folder, MANIFEST)
if flushes:
    flush(log)  # everything is loaded now, so that the kill meets the writing
print("ready", flush=True)
while True:
    trial = log.trial_count
    log.append(make_evaluation(trial, accuracy=1 / (2 + trial)), {"drawn": trial}, {"generation": trial // 3})
    print(trial, flush=True)
    if flushes:
        flush(log)
