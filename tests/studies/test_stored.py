"""Which rows of stored benches rank together, and which are left out with a word."""

import pytest
from bench_device import CPU, AnsweringDevice, run_bench

from nasbench.errors import DefinitionError
from nasbench.measure.bench import Entry
from nasbench.model.cost import count
from nasbench.records import TimingPlan
from nasbench.space.load import find_architecture
from nasbench.studies.stored import read_points

NAMES = ("mnist_tiny_small", "mnist_tiny_large")


def entries(device=None, plan=None, names=NAMES):
    device = device or AnsweringDevice()
    return [Entry(name, find_architecture(name)[1].architecture, device, plan or TimingPlan()) for name in names]


def test_networks_are_counted_as_their_definitions_are(tmp_path):
    run_bench(tmp_path / "a", entries())

    place, points, notes = read_points([tmp_path / "a"])

    assert (place.device, place.digest, place.runtime, place.threads) == ("cpu", CPU.digest, "eager", 1)
    assert [point.network for point in points] == list(NAMES) and notes == []
    for point in points:
        assert point.cost == count(find_architecture(point.network)[1].architecture)
        assert point.low_s <= point.latency_s <= point.high_s


def test_of_a_network_in_two_benches_the_last_row_counts(tmp_path):
    slower = AnsweringDevice()
    slower.latency_s = lambda architecture, plan: 0.5
    run_bench(tmp_path / "a", entries())
    run_bench(tmp_path / "b", entries(slower, names=NAMES[:1]))

    _, points, _ = read_points([tmp_path / "a", tmp_path / "b"])

    assert [point.latency_s > 0.4 for point in points] == [True, False]


@pytest.mark.parametrize(
    ("change", "named"), [({"batch": 8}, "batch"), ({"cache": "cold"}, "cache"), ({"dtype": "bf16"}, "dtype")]
)
def test_rows_of_different_settings_do_not_rank_together(tmp_path, change, named):
    run_bench(tmp_path / "a", entries())
    run_bench(tmp_path / "b", entries(plan=TimingPlan(**change)))

    with pytest.raises(DefinitionError, match=f"differ in {named} "):
        read_points([tmp_path / "a", tmp_path / "b"])


def test_what_no_definition_names_is_left_out_with_a_note(tmp_path):
    device = AnsweringDevice()
    known = find_architecture("mnist_tiny_small")[1].architecture
    mine = [Entry("mine", known, device, TimingPlan()), *entries(device, names=NAMES[1:])]
    run_bench(tmp_path / "a", mine)

    _, points, notes = read_points([tmp_path / "a"])

    assert [point.network for point in points] == ["mnist_tiny_large"]
    assert notes == ["1 rows are left out: no published network, or its definition has changed since"]


def test_an_unusable_latency_is_left_out_with_a_note(tmp_path):
    device = AnsweringDevice()
    device.verdict = "invalid"
    run_bench(tmp_path / "a", [*entries(names=NAMES[:1]), *entries(device, names=NAMES[1:])])

    _, points, notes = read_points([tmp_path / "a"])

    assert len(points) == 1 and notes == ["1 rows with an unusable latency are left out"]
