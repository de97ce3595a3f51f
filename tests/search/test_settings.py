"""What a search is asked to do, checked before it starts."""

import re

import pytest

from nasbench.errors import DefinitionError
from nasbench.search import settings as module
from nasbench.search.settings import Settings, changed_machine, make_manifest, open_parts
from nasbench.store.published import read_published
from tests.search.formula import FormulaDevice

DEVICE = """\
schema: 1
name: mine
about: one of my own
backend: cpu
runtime: eager
dtype: bf16
"""


@pytest.fixture
def device_file(tmp_path):
    (tmp_path / "mine.yaml").write_text(DEVICE)
    return str(tmp_path / "mine.yaml")


@pytest.fixture
def formula(monkeypatch):
    """Every device is a formula; gives it."""
    device = FormulaDevice()
    monkeypatch.setattr(module, "open_device", lambda spec: device)
    return device


def test_the_number_format_is_the_devices_unless_another_is_asked_for(device_file, formula):
    for dtype, measured in ((None, "bf16"), ("fp32", "fp32")):
        settings = Settings(
            "mnist_tiny", devices=(device_file,), dtype=dtype, objectives=("params", "latency")
        ).resolved()
        with open_parts(settings) as parts:
            assert settings.dtype == parts.plan.timing.dtype == parts.plan.confirming.dtype == measured


def test_a_format_that_the_devices_runtime_does_not_compute_in_is_refused(device_file):
    settings = Settings("mnist_tiny", devices=(device_file,), dtype="int8", objectives=("params", "latency"))

    with pytest.raises(DefinitionError, match="'eager' does not compute in 'int8'; it is one of fp32, fp16, bf16"):
        open_parts(settings)


def test_the_format_of_the_device_may_be_named_when_a_run_is_resumed(device_file):
    settings = Settings("mnist_tiny", devices=(device_file,), objectives=("params", "latency")).resolved()

    settings.confirm({"dtype": "bf16"})
    with pytest.raises(DefinitionError, match="the run was started with dtype bf16, not fp32"):
        settings.confirm({"dtype": "fp32"})


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ({"kind": "bench", "settings": {"space": None}}, "results/a is a bench, which cannot be resumed or trained"),
        ({"seed": 1}, "results/a is no search: its manifest has no objectives"),
    ],
)
def test_a_run_that_is_no_search_has_no_settings_of_one(manifest, text):
    with pytest.raises(DefinitionError, match=text):
        Settings.of_manifest(manifest, "results/a")


def test_energy_is_refused_at_the_start_where_it_cannot_be_read(monkeypatch, formula):
    monkeypatch.setattr(FormulaDevice, "energy_source", None)

    for asked in ({"objectives": ("params", "energy")}, {"objectives": ("params",), "limits": {"energy": 1.0}}):
        with pytest.raises(DefinitionError, match="the energy of an inference cannot be read on device 'formula' here"):
            open_parts(Settings("mnist_tiny", **asked))


def test_energy_is_taken_only_when_it_is_an_objective_or_limited(formula):
    for objectives, taken in ((("params", "energy"), True), (("params", "latency"), False)):
        with open_parts(Settings("mnist_tiny", objectives=objectives)) as parts:
            assert parts.plan.timing.energy is taken


def test_the_cache_is_left_alone_when_everything_is_to_be_measured_afresh(formula):
    for fresh in (False, True):
        with open_parts(Settings("mnist_tiny", objectives=("params", "latency"), fresh=fresh)) as parts:
            assert (parts.cache is None) is fresh


def test_what_the_latencies_depend_on_is_said_when_it_changed_since_the_start(monkeypatch, formula):
    settings = Settings("mnist_tiny", objectives=("params", "latency"))
    with open_parts(settings) as parts:
        manifest = make_manifest(settings, parts)
        assert changed_machine(manifest, parts) is None

        monkeypatch.setattr(FormulaDevice, "fingerprint", lambda self: {"machine": "another formula"})
        assert changed_machine(manifest, parts) == "machine was 'a formula' and is 'another formula'"


class TestSeveralDevices:
    def test_every_device_has_its_latency_as_objective_unless_others_are_asked_for(self):
        assert Settings("mnist_tiny").objectives == ("accuracy", "latency")
        assert Settings("mnist_tiny", devices=("cpu", "cpu-onnx")).objectives == (
            "accuracy",
            "latency@cpu",
            "latency@cpu-onnx",
        )

    def test_one_device_needs_no_name(self):
        settings = Settings("mnist_tiny", objectives=("accuracy", "latency@cpu"), limits={"memory@cpu": 1e9})

        assert (settings.objectives, settings.limits) == (("accuracy", "latency"), {"memory": 1e9})

    @pytest.mark.parametrize(
        ("asked", "text"),
        [
            ({"objectives": ("accuracy", "latency")}, "there are 2 devices; write latency@cpu or latency@cpu-onnx"),
            ({"limits": {"memory": 1.0}}, "write memory@cpu or memory@cpu-onnx"),
            ({"objectives": ("latency@cpu-onx",)}, "Did you mean 'cpu-onnx'?"),
            ({"objectives": ("latency@cpu", "latency@cpu")}, "an objective is given twice"),
            ({"objectives": ("params@cpu",)}, "params does not depend on a device; write params"),
            ({"devices": ("cpu", "cpu")}, "a device is given twice"),
        ],
    )
    def test_what_does_not_say_which_device_is_refused(self, asked, text):
        with pytest.raises(DefinitionError, match=re.escape(text)):
            Settings("mnist_tiny", **{"devices": ("cpu", "cpu-onnx"), **asked})

    def test_each_is_measured_in_its_own_number_format(self):
        settings = Settings(
            "mnist_tiny", devices=("cpu", "cpu-onnx-int8"), objectives=("latency@cpu", "latency@cpu-onnx-int8")
        )
        with open_parts(settings.resolved()) as parts:
            formats = [parts.plan.timing_on(device.spec.name).dtype for device in parts.devices]
            confirming = [parts.plan.confirming_on(device.spec.name).dtype for device in parts.devices]

        assert formats == confirming == ["fp32", "int8"]

    def test_an_emulated_device_stands_beside_no_real_one(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_text(DEVICE.replace("dtype: bf16", "emulated: true"))
        settings = Settings("mnist_tiny", devices=("cpu", str(path)), objectives=("latency@cpu", "latency@mine"))

        with pytest.raises(
            DefinitionError, match="mine is emulated, so that its latencies mean nothing beside those of cpu"
        ):
            open_parts(settings)

    def test_a_run_from_before_had_one_device(self):
        manifest = {"settings": {"space": "mnist_tiny", "device": "cpu-onnx", "objectives": ["accuracy", "latency"]}}

        assert Settings.of_manifest(manifest, "it").devices == ("cpu-onnx",)


def test_workers_share_the_cores_for_training():
    import os

    cores = len(os.sched_getaffinity(0))
    assert Settings("mnist_tiny").resolved().training_threads == cores
    assert Settings("mnist_tiny", workers=cores).resolved().training_threads == 1
    assert Settings("mnist_tiny", workers=4 * cores).resolved().training_threads == 1
    assert Settings("mnist_tiny", workers=2, threads=3).resolved().training_threads == 3


def test_a_search_of_published_networks_keeps_what_their_papers_state():
    with open_parts(Settings("repvit", objectives=("params", "macs")).resolved()) as parts:
        stated = read_published(make_manifest(Settings("repvit"), parts))

    assert stated["repvit_m1_0"].top1 == 0.8
    assert {one.family for one in stated.values()} == {"repvit"}


def test_what_a_paper_states_of_other_classes_is_not_kept(formula, tmp_path):
    with open_parts(Settings("repvit", objectives=("accuracy", "params")).resolved()) as parts:
        assert parts.space.classes == 10
        assert read_published(make_manifest(Settings("repvit"), parts)) == {}
