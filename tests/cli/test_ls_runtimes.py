"""`nasbench ls` says which runtimes there are, what they compute in, and whether they can be used here."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from nasbench.cli.main import app
from nasbench.runtime import base


def listed(what):
    return {row[what[:-1]]: row for row in json.loads(CliRunner().invoke(app, ["ls", what, "--json"]).stdout)[what]}


def test_every_runtime_is_listed_with_backends_and_number_formats():
    rows = listed("runtimes")

    assert set(rows) == set(base.RUNTIMES)
    assert rows["openvino"]["backends"] == ["cpu"]
    assert rows["openvino"]["dtypes"] == ["fp32", "bf16", "int8"]
    assert rows["eager"]["installed"].startswith("torch ")


def test_a_runtime_that_is_not_installed_is_listed_with_what_to_install(monkeypatch):
    lacking = replace(base.RUNTIMES["onnx"], packages=("no-such-package",))
    monkeypatch.setitem(base.RUNTIMES, "onnx", lacking)

    assert listed("runtimes")["onnx"]["installed"] == "no: pip install nasbench[onnx]"


@pytest.mark.parametrize(("device", "dtype"), [("cpu", "fp32"), ("cpu-bf16", "bf16"), ("cpu-onnx-int8", "int8")])
def test_a_device_is_listed_with_its_number_format(device, dtype):
    assert listed("devices")[device]["dtype"] == dtype
