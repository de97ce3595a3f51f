"""Tables as devices and estimators: what a row is of, units, faults, and errors that say what to do."""

import gzip
import random
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasbench.errors import CandidateError, DefinitionError, MeasurementError, UnknownNameError
from nasbench.records import TimingPlan
from nasbench.space.load import load_space
from nasbench.space.nasbench201 import architecture_of_index, format_architecture
from nasbench.tabular.accuracy import open_table_accuracy
from nasbench.tabular.device import open_table_device, table_spec
from nasbench.tabular.reference import parse_reference
from tests.search.formula import toy_space

INDICES = (6111, 0, 1459, 11472)
LATENCIES_MS = (40.0, 10.5, 30.0, 20.0)


@pytest.fixture(scope="module")
def cells():
    return load_space("nasbench201")


def architecture(space, index):
    return space.decode_choices(architecture_of_index(index))


def write(path, **columns):
    frame = pd.DataFrame(columns)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def latency(path, space, index, options=""):
    device, _ = open_table_device(f"table:{path}#{options or 'pi_ms'}", space)
    return device.take(architecture(space, index), TimingPlan()).latency_s


def keys(kind, space):
    if kind == "index":
        return {"index": INDICES}
    if kind == "arch":
        return {"arch": [format_architecture(architecture_of_index(index)) for index in INDICES]}
    if kind == "architecture":
        return {"architecture": [architecture(space, index).digest for index in INDICES]}
    return pd.DataFrame([architecture_of_index(index) for index in INDICES]).to_dict("list")


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("kind", ["index", "arch", "architecture", "choices"])
def test_a_row_is_found_by_whatever_names_its_network(tmp_path, cells, kind, ending):
    path = write(tmp_path / f"t{ending}", **keys(kind, cells), pi_ms=LATENCIES_MS)

    assert [latency(path, cells, index) for index in INDICES] == pytest.approx([0.04, 0.0105, 0.03, 0.02])


def test_a_run_on_a_table_says_so(tmp_path, cells):
    path = write(tmp_path / "t.csv", index=INDICES, pi_ms=LATENCIES_MS, acc=(94.37, 85.9, 94.3, 93.9))
    device, note = open_table_device(f"table:{path}#pi_ms", cells)
    measurement = device.take(architecture(cells, 0), TimingPlan())
    score = open_table_accuracy(f"table:{path}#acc", cells).estimate(architecture(cells, 0), lambda *_: True)

    assert (measurement.verdict, measurement.settings["runtime"], device.spec.name) == ("table", "table", "pi_ms")
    assert measurement.reasons == ("read from t.csv, column pi_ms; nothing was measured",)
    assert (score.value, score.method, score.dataset) == (pytest.approx(0.859), "table", "t.csv#acc")
    assert note is None and not device.measures


@pytest.mark.parametrize(
    ("name", "column", "options", "expected"),
    [
        ("t.csv", "pi_us", "", 40e-6),
        ("latency_ms.csv", "pi", "", 40e-3),
        ("t.csv", "pi", ",unit=s", 40.0),
        ("latency_ms.csv", "pi_s", "", 40.0),
    ],
)
def test_the_unit_is_the_columns_or_the_files_or_what_was_said(tmp_path, cells, name, column, options, expected):
    path = write(tmp_path / name, **{"index": INDICES, column: LATENCIES_MS})

    assert latency(path, cells, 6111, f"{column}{options}") == pytest.approx(expected)


def test_the_unit_of_a_parquet_field_counts_first(tmp_path, cells):
    fields = [pa.field("index", pa.int64()), pa.field("pi_ms", pa.float64(), metadata={"unit": "us"})]
    table = pa.table({"index": INDICES, "pi_ms": LATENCIES_MS}, schema=pa.schema(fields))
    pq.write_table(table, tmp_path / "t.parquet")

    assert latency(tmp_path / "t.parquet", cells, 6111) == pytest.approx(40e-6)


def test_without_a_unit_nothing_is_guessed(tmp_path, cells):
    path = write(tmp_path / "t.csv", index=INDICES, pi=LATENCIES_MS)

    with pytest.raises(DefinitionError, match=r"nothing says what unit pi is in; end the name with ,unit=ms"):
        open_table_device(f"table:{path}#pi", cells)


@pytest.mark.parametrize("entry", [None, 0.0, -3.0, 1e-4])
def test_a_missing_or_faulty_entry_is_a_failure_and_no_latency(tmp_path, cells, entry):
    path = write(tmp_path / "t.csv", index=INDICES, pi_ms=(*LATENCIES_MS[:3], entry))

    with pytest.raises(MeasurementError, match="no entry that can be a latency"):
        latency(path, cells, 11472)
    assert latency(path, cells, 0) == pytest.approx(0.0105)


def test_entries_near_zero_are_said_and_can_be_taken(tmp_path, cells):
    path = write(tmp_path / "t.csv", index=INDICES, pi_ms=(40.0, 10.5, 30.0, 0.5))
    _, note = open_table_device(f"table:{path}#pi_ms", cells)

    assert "1 of 4 entries are below 1.01 ms, a twentieth of the median" in note and ",least=0" in note
    assert latency(path, cells, 11472, "pi_ms,least=0") == pytest.approx(0.0005)
    with pytest.raises(MeasurementError):
        latency(path, cells, 0, "pi_ms,least=20ms")


def test_a_network_that_the_table_has_not_is_a_failure(tmp_path, cells):
    path = write(tmp_path / "t.csv", index=INDICES, pi_ms=LATENCIES_MS, acc=(0.94, None, 0.943, 0.939))

    with pytest.raises(MeasurementError, match="the table has no network"):
        latency(path, cells, 7)
    accuracy = open_table_accuracy(f"table:{path}#acc", cells)
    for index in (0, 7):
        with pytest.raises(CandidateError, match="no accuracy of the network"):
            accuracy.estimate(architecture(cells, index), lambda *_: True)
    assert accuracy.estimate(architecture(cells, 6111), lambda *_: True).value == 0.94


def test_choices_that_do_not_exist_in_a_row_are_empty_and_numbers_are_numbers(tmp_path):
    space = toy_space()
    rng = random.Random(0)
    drawn = (space.sample(rng) for _ in range(100))
    chosen, network = next(one for one in drawn if len(one[0]) < len(space.choices))
    whole = {choice.name: [chosen.get(choice.name)] for choice in space.choices}
    path = write(tmp_path / "t.csv", **whole, latency_us=[17.0])

    device, _ = open_table_device(f"table:{path}#latency_us", space)

    assert device.take(network, TimingPlan()).latency_s == pytest.approx(17e-6)


def test_an_interval_beside_the_latency_is_read(tmp_path, cells):
    path = write(
        tmp_path / "t.csv",
        **{"index": INDICES, "latency_s@pi": (0.04, 0.01, 0.03, 0.02)},
        **{"latency_low_s@pi": (0.03, 0.009, None, 0.01), "latency_high_s@pi": (0.05, 0.011, 0.04, 0.03)},
    )
    device, _ = open_table_device(f"table:{path}#latency_s@pi", cells)
    found = [device.take(architecture(cells, index), TimingPlan()) for index in INDICES[:3]]

    assert device.spec.name == "pi"
    assert [(m.low_s, m.high_s) for m in found] == [(0.03, 0.05), (0.009, 0.011), (None, None)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("table:t.csv", "names no column of a table; write table:FILE#COLUMN"),
        ("table:#x", "names no column"),
        ("table:t.csv#pi,unti=ms", "Did you mean 'unit'"),
        ("table:t.csv#pi,unit=", "unit has no value; write for example unit=ms"),
        ("table:t.csv#a b", "add ,name="),
    ],
)
def test_a_reference_of_another_form_is_told(text, words):
    with pytest.raises(DefinitionError, match=words):
        table_spec(text)


def test_a_reference_is_what_it_was_written_as():
    for text in ("table:a#b.csv#pi", "table:t.csv#latency_s@pi", "table:t.csv#pi,unit=ms,least=1ms,name=board"):
        assert str(parse_reference(text)) == text
    assert parse_reference("table:a#b.csv#pi").path == "a#b.csv"


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("index,pi_ms\n0,10\n", "t.txt", "its name must end in .csv"),
        ("", "t.csv", "cannot be read as a table"),
        ("index,pi_ms\n", "t.csv", "has no rows"),
        ("id,pi_ms\n0,10\n", "t.csv", "needs a column architecture with digests, arch or index of NAS-Bench-201"),
        ("index,pi_ms\n99999,10\n", "t.csv", "none of its 1 rows is in the space nasbench201"),
        ("index,pi_ms\n0,fast\n", "t.csv", "holds 'fast', which is no number"),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path, cells, text, name, words):
    (tmp_path / name).write_text(text)

    with pytest.raises(DefinitionError, match=words):
        open_table_device(f"table:{tmp_path / name}#pi_ms", cells)


def test_a_file_or_column_that_is_not_there_is_told(tmp_path, cells):
    path = write(tmp_path / "t.csv", index=INDICES, raspi4_ms=LATENCIES_MS)

    with pytest.raises(DefinitionError, match="there is no file"):
        open_table_device(f"table:{tmp_path / 'no.csv'}#pi_ms", cells)
    with pytest.raises(UnknownNameError, match="Did you mean 'raspi4_ms'"):
        open_table_device(f"table:{path}#raspi_ms", cells)


def test_a_damaged_archive_is_told(tmp_path, cells):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"index,pi_ms\n0,10\n" * 1000)[:60])

    with pytest.raises(DefinitionError, match="cannot be read as a table"):
        open_table_device(f"table:{tmp_path / 't.csv.gz'}#pi_ms", cells)


@pytest.mark.parametrize(("values", "options"), [((94.0, 101.0, 1, 2), ""), ((0.5, -0.1, 0.2, 0.1), "")])
def test_an_accuracy_beyond_its_range_is_told(tmp_path, cells, values, options):
    path = write(tmp_path / "t.csv", index=INDICES, acc=values)

    with pytest.raises(DefinitionError, match="no accuracy in"):
        open_table_accuracy(f"table:{path}#acc{options}", cells)


def test_low_accuracies_in_percent_can_be_said_to_be(tmp_path, cells):
    path = write(tmp_path / "t.csv", index=INDICES, acc=(0.9, 0.5, 0.7, 0.1))
    accuracy = open_table_accuracy(f"table:{path}#acc,unit=percent", cells)

    assert accuracy.estimate(architecture(cells, 6111), lambda *_: True).value == pytest.approx(0.009)


def test_the_real_tables_have_the_figures_that_are_known(cells):
    folder = Path(__file__).parents[2].parent / "shared/data/nb201"
    if not folder.is_dir():
        pytest.skip("the real tables (../shared/data beside the checkout) are absent")
    accuracies = open_table_accuracy(f"table:{folder / 'accuracy.csv.gz'}#c10_test_200", cells).known()
    device, note = open_table_device(f"table:{folder / 'latency_ms.csv.gz'}#raspi4", cells)

    assert len(accuracies) == 15_625
    assert max(accuracies, key=accuracies.get) == architecture(cells, 6111).digest
    assert max(accuracies.values()) == pytest.approx(0.943733)
    assert "faults" in note and len(device.known()) < 15_625 - 235 + 1
