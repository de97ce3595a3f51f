"""What a search is asked to do, checked before it starts."""

import pytest

from nasbench.errors import DefinitionError
from nasbench.search import settings as module
from nasbench.search.settings import Settings, changed_machine, make_manifest, open_parts
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
        settings = Settings("mnist_tiny", device=device_file, dtype=dtype, objectives=("params", "latency")).resolved()
        with open_parts(settings) as parts:
            assert settings.dtype == parts.plan.timing.dtype == parts.plan.confirming.dtype == measured


def test_a_format_that_the_devices_runtime_does_not_compute_in_is_refused(device_file):
    settings = Settings("mnist_tiny", device=device_file, dtype="int8", objectives=("params", "latency"))

    with pytest.raises(DefinitionError, match="'eager' does not compute in 'int8'; it is one of fp32, fp16, bf16"):
        open_parts(settings)


def test_the_format_of_the_device_may_be_named_when_a_run_is_resumed(device_file):
    settings = Settings("mnist_tiny", device=device_file, objectives=("params", "latency")).resolved()

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
