"""The same parquet gives the same figure, byte for byte, in any process."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chosen_runs import make_searched, on_devices, store

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
from written import write_all

from nasbench.cli import plot
from nasbench.plot.studies import draw_study

OF_SEARCHES = ("hypervolume", "importance", "parallel", "latency", "devices", "published", "samples")

DRAW_ALL = """
import sys
from pathlib import Path
from nasbench.cli.plot import _DRAWN_BY, STUDIES
from nasbench.plot.front import draw_front
from nasbench.plot.studies import draw_study
from nasbench.store.parquet import read_run

search, bench, study, out = map(Path, sys.argv[1:5])
for suffix in ("svg", "pdf", "png"):
    draw_front([read_run(search)], out / f"front.{suffix}")
    for kind in sys.argv[5:]:
        _DRAWN_BY.find(kind)([read_run(bench if kind == "throughput" else search)], out / f"{kind}.{suffix}")
    for kind in STUDIES:
        draw_study(kind, study, out / f"{kind}.{suffix}")
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("same")
    evaluations = on_devices(make_searched(25, failing=(4,)), {})
    evaluations = on_devices(evaluations[:4], {"phone": lambda one: 2.0 + one.trial / 10}) + evaluations[4:]
    store(root / "search", evaluations)
    store(root / "bench", make_searched(3), {"kind": "bench", "objectives": []})
    write_all(root / "study")
    return root


@pytest.mark.parametrize("kind", ["hypervolume", "importance", "parallel", "latency", "devices", "layers"])
def test_a_figure_drawn_twice_is_the_same_and_has_neither_time_nor_bitmap_fonts(folders, tmp_path, kind):
    from nasbench.store.parquet import read_run

    for name in ("a.pdf", "b.pdf"):
        if kind == "layers":
            draw_study(kind, folders / "study", tmp_path / name, "single")
        else:
            plot._DRAWN_BY.find(kind)([read_run(folders / "search")], tmp_path / name, "single")

    data = (tmp_path / "a.pdf").read_bytes()
    assert data == (tmp_path / "b.pdf").read_bytes()
    assert b"CreationDate" not in data and b"/Type3" not in data


@pytest.mark.slow
def test_every_kind_is_the_same_in_two_processes_that_hash_otherwise(folders, tmp_path):
    drawn = []
    for seed in ("1", "77"):
        out = tmp_path / seed
        out.mkdir()
        words = [*(folders / name for name in ("search", "bench", "study")), out, *OF_SEARCHES, "throughput"]
        subprocess.run(
            [sys.executable, "-c", DRAW_ALL, *map(str, words)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        drawn.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()})

    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 3 * (len(plot.KINDS) + len(plot.STUDIES))
