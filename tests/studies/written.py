"""Findings of studies as the parquet files that hold them."""

from study_rows import HERE, efficiency, findings, point, sized, unsure

from nasbench.search.contest import Step, summarize
from nasbench.search.contest_tables import STANDINGS
from nasbench.search.contest_tables import STEPS as STEPS_COLUMNS
from nasbench.store.found import write_found
from nasbench.studies.correlation import correlate
from nasbench.studies.resolution import find_growths
from nasbench.studies.tables import TABLES, LayerOf, On, Place

POINTS = [*(point(number, number / 1e3) for number in range(1, 8)), unsure(point(9, 0.02))]
SIZED = [sized(side, side**2 / 1e6, side**2) for side in (32, 64, 96)]
LAYERS = [LayerOf(efficiency(), number, layer) for number, layer in enumerate(efficiency().layers.layers)]
FOUND = {
    "guidelines": findings(),
    "correlations": correlate(POINTS),
    "points": POINTS,
    "efficiencies": [efficiency(), efficiency("other", 10**7, layers=None)],
    "layers": LAYERS,
    "resolutions": SIZED,
    "growths": find_growths(SIZED),
}


STEPS = [
    Step(sampler, seed, number, gap / number, 0.01)
    for sampler, gap in (("one", 0.1), ("other", 0.3))
    for seed in range(3)
    for number in range(1, 9)
]
CONTEST = {"steps": (STEPS_COLUMNS, STEPS), "standings": (STANDINGS, summarize(STEPS, 8))}


def write(folder, name, found=None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    rows = [On(Place.of(HERE), one) for one in (FOUND[name] if found is None else found)]
    write_found(path, TABLES[name], rows, "study", {"seed": 0}, ["torch"])
    return path


def write_all(folder):
    for name in TABLES:
        write(folder, name)
    for name, (columns, rows) in CONTEST.items():
        write_found(folder / f"{name}.parquet", columns, rows, "bench-search", {}, ["torch"])
    return folder
