"""What is kept of claims: a parquet file with types and units, and a page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nasbench.claims.check import Finding
from nasbench.claims.claim import Claim, Pair, Side
from nasbench.claims.page import as_page, describe_claimed, describe_ratio, describe_verdict, summarize
from nasbench.claims.table import COLUMNS, FILE, as_rows, read_rows, write_findings
from nasbench.records import DeviceSpec
from tests.measure.turning_device import network

CLAIM = Claim(
    "one",
    ("resnet",),
    "A paper",
    "it is faster",
    "a phone",
    "accuracy",
    Pair(Side("small", network(8)), Side("large", network(16)), 0.5),
)
CPU, ONNX = DeviceSpec("cpu", "cpu", "eager", 1, 1 << 30), DeviceSpec("cpu-onnx", "cpu", "onnx", 2, 1 << 30)
HOLDS = Finding(CLAIM, CPU, "holds", 0.4, 0.39, 0.41, "better", "decided", started_at="2026-01-02T03:04:05+00:00")
FAILS = replace(HOLDS, device=ONNX, verdict="does not hold", ratio=0.8, low=0.7, high=0.9)
ELSEWHERE = replace(
    HOLDS,
    claim=replace(CLAIM, name="two", pair=None, not_here="it takes a rocket"),
    verdict="not comparable here",
    ratio=None,
    low=None,
    high=None,
    direction=None,
    reason="it takes a rocket",
)
ALL = [HOLDS, FAILS, ELSEWHERE]


def test_findings_are_a_parquet_file_with_types_and_units(tmp_path):
    write_findings(tmp_path, ALL, {"seed": 0})

    table = pq.read_table(tmp_path / FILE)

    assert table.column_names == [column.name for column in COLUMNS]
    assert table["verdict"].to_pylist() == ["holds", "does not hold", "not comparable here"]
    assert table["ratio"].to_pylist() == [0.4, 0.8, None]
    assert table["first_architecture"].to_pylist() == [network(8).digest, network(8).digest, None]
    assert table["threads"].to_pylist() == [1, 2, 1] and table["runtime"].to_pylist() == ["eager", "onnx", "eager"]
    assert table["first_input_shape"].to_pylist() == [[3, 16, 16], [3, 16, 16], None]
    assert table.schema.field("first_latency_s").metadata[b"unit"] == b"s"
    assert json.loads(table.schema.metadata[b"nasbench.manifest"])["kind"] == "claims"


def test_a_page_holds_a_table_for_each_device_and_why_others_are_not_compared():
    page = as_page(as_rows(ALL))

    assert page.index("## On `cpu`: 1 holds, 1 not comparable here") < page.index("## On `cpu-onnx`: 1 does not hold")
    assert "Runtime onnx, 2 threads; 2026-01-02." in page
    assert (
        "| one | small, 16 px | large, 16 px | latency | 0.5, up to 0.525 | 0.4 (0.39 to 0.41) | - | - | holds |"
        in page
    )
    assert "does not hold, but better" in page
    assert "- `two`: not comparable here, it takes a rocket" in page
    assert page.endswith("- `two`: it is faster. Claimed on: a phone. Equal: accuracy. A paper.\n")


WITH_RUNTIME = replace(
    HOLDS,
    claim=replace(CLAIM, name="three", pair=replace(CLAIM.pair, runtime="onnx", batch=4)),
    device=replace(CPU, runtime="onnx"),
)


def test_findings_of_a_device_stay_together_whatever_runtimes_claims_have_brought(tmp_path):
    findings = [HOLDS, WITH_RUNTIME, ELSEWHERE]
    write_findings(tmp_path, findings, {"seed": 0})
    page = as_page(as_rows(findings))

    table = pq.read_table(tmp_path / FILE)
    assert table["runtime"].to_pylist() == ["eager", "onnx", "eager"]
    assert table["device_digest"].to_pylist() == [CPU.digest, WITH_RUNTIME.device.digest, CPU.digest]
    assert table["figure"].to_pylist() == ["latency", "latency", None]
    assert summarize(as_rows(findings)) == "cpu: 2 holds, 1 not comparable here"
    assert page.count("## On ") == 1 and "Runtime eager, 1 thread; 2026-01-02." in page
    assert "| three | small, 16 px | large, 16 px | latency, onnx | 0.5, up to 0.525 |" in page


def test_verdicts_are_counted_by_device():
    assert summarize(as_rows(ALL)) == "cpu: 1 holds, 1 not comparable here\ncpu-onnx: 1 does not hold"


@pytest.mark.parametrize(
    ("direction", "words"),
    [("better", "does not hold, but better"), ("worse", "does not hold, and worse"), (None, "does not hold")],
)
def test_a_claim_that_does_not_hold_says_whether_there_is_something_to_it(direction, words):
    assert describe_verdict(*as_rows([replace(FAILS, direction=direction)])) == words


def test_a_claim_that_holds_within_its_tolerance_alone_says_so():
    slower = replace(HOLDS, ratio=1.01, low=1.005, high=1.02, direction="worse")

    assert describe_verdict(*as_rows([slower])) == "holds, within the tolerance alone"
    assert describe_claimed(*as_rows([slower])) == "0.5, up to 0.525"


def test_stored_findings_make_the_same_page_and_the_last_check_counts(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write_findings(tmp_path / "a", ALL, {"seed": 0})
    write_findings(tmp_path / "b", [replace(HOLDS, verdict="undecided", reason="too noisy")], {"seed": 1})

    assert as_page(read_rows([tmp_path / "a"])) == as_page(as_rows(ALL))
    assert [row["verdict"] for row in read_rows([tmp_path / "a", tmp_path / "b"])] == [
        "undecided",
        "does not hold",
        "not comparable here",
    ]


def test_a_count_has_no_interval_to_show():
    assert describe_ratio(*as_rows([replace(HOLDS, low=0.4, high=0.4)])) == "0.4"
    assert describe_ratio(*as_rows([ELSEWHERE])) == "-"


def test_the_readme_of_results_shows_the_columns():
    text = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    rows = [
        re.split(r"\s*\|\s*", line.strip("| "))
        for line in text.partition("## claims.parquet")[2].partition("\n## ")[0].splitlines()
        if line.startswith("| `")
    ]

    assert rows == [[f"`{column.name}`", column.type, column.unit, column.about] for column in COLUMNS]
