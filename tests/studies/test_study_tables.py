"""The parquet files of studies: what is in them, with units, as results/README.md says."""

import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from study_rows import PEAK
from written import write

from nasbench.errors import DamagedRunError, RunNameError
from nasbench.store.found import read_found
from nasbench.store.parquet import arrow_type
from nasbench.studies.tables import TABLES


@pytest.mark.parametrize("name", TABLES)
def test_every_column_has_its_type_and_unit(tmp_path, name):
    schema = pq.read_schema(write(tmp_path, name))

    assert schema.names == [column.name for column in TABLES[name]]
    for column in TABLES[name]:
        assert schema.field(column.name).type == arrow_type(column.type)
        assert schema.field(column.name).metadata[b"unit"].decode() == column.unit
    manifest = json.loads(schema.metadata[b"nasbench.manifest"])
    assert (manifest["kind"], manifest["settings"]) == ("study", {"seed": 0})
    assert "torch" in manifest["versions"]


def test_layers_sum_up_to_the_network(tmp_path):
    layers = pd.read_parquet(write(tmp_path, "layers"))
    networks = pd.read_parquet(write(tmp_path, "efficiencies"))

    assert layers["duration_s"].sum() == pytest.approx(networks["layers_s"].iloc[0])
    assert layers["macs"].sum() == networks["macs"].iloc[0]
    assert layers["efficiency"].iloc[0] == pytest.approx(4e6 / 0.0008 / PEAK)
    assert layers["efficiency"].isna().tolist() == [False, False, True]
    assert networks["layers_s"].isna().tolist() == [False, True]


def test_an_altered_table_is_not_read(tmp_path):
    path = write(tmp_path, "points")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(DamagedRunError, match=r"points\.parquet is damaged"):
        read_found(tmp_path, "points")


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RunNameError, match=r"has no layers\.parquet"):
        read_found(tmp_path, "layers")


def test_the_readme_of_results_shows_the_columns():
    text = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    for name, columns in TABLES.items():
        section = text.partition(f"### {name}.parquet")[2].partition("\n#")[0]
        rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
        assert rows == [[f"`{column.name}`", column.type, column.unit, column.about] for column in columns]
