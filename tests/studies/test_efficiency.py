"""The peak: the fastest product, found without going on for ever; and what a network reaches of it."""

from dataclasses import replace

import pytest
import torch
from bench_device import AnsweringDevice
from study_rows import PEAK, efficiency, measured
from torch import nn

from nasbench.errors import BuildError, MeasurementError
from nasbench.model.cost import count
from nasbench.model.inference import build_inference
from nasbench.records import TimingPlan
from nasbench.studies.efficiency import measure_peak, measure_peak_again, products


class Multiplying(AnsweringDevice):
    """Multiplies matrices at a rate that depends on their size, eight products an inference."""

    def __init__(self, rates):
        super().__init__()
        self.rates = rates
        self.asked = []

    def take(self, architecture, plan):
        size = architecture.classes
        assert plan.batch == size
        self.asked.append(size)
        if size not in self.rates:
            raise BuildError("too large")
        return measured(8 * size**3 / self.rates[size], size)


def peak_of(rates):
    device = Multiplying(rates)
    return measure_peak(device, TimingPlan()), device.asked


def test_sizes_double_until_the_rate_stops_growing():
    peak, asked = peak_of({512: 20e9, 1024: 38e9, 2048: 38.1e9, 4096: 90e9})

    assert asked == [512, 1024, 2048]
    assert (peak.size, peak.macs_per_s) == (2048, pytest.approx(38.1e9))
    assert peak.low_macs_per_s < peak.macs_per_s < peak.high_macs_per_s


def test_the_fastest_counts_also_where_a_larger_one_is_slower():
    peak, asked = peak_of({512: 20e9, 1024: 40e9, 2048: 30e9})

    assert asked == [512, 1024, 2048]
    assert (peak.size, peak.macs_per_s) == (1024, pytest.approx(40e9))


def test_a_slow_device_is_not_asked_for_what_would_take_long():
    peak, asked = peak_of({512: 1e9})  # 1.1 s, and the next would take 9 s

    assert asked == [512] and peak.macs_per_s == pytest.approx(1e9)


def test_a_product_that_is_too_large_ends_the_search_and_not_the_study():
    peak, asked = peak_of({512: 20e9, 1024: 40e9})

    assert asked == [512, 1024, 2048] and peak.size == 1024


def test_without_the_smallest_product_there_is_no_peak():
    with pytest.raises(BuildError, match="too large"):
        peak_of({})


def test_the_faster_of_two_times_of_the_peak_counts():
    peak, _ = peak_of({512: 20e9, 1024: 20e9})

    assert measure_peak_again(Multiplying({512: 25e9}), TimingPlan(), peak).macs_per_s == pytest.approx(25e9)
    assert measure_peak_again(Multiplying({512: 15e9}), TimingPlan(), peak) == peak
    assert measure_peak_again(Multiplying({}), TimingPlan(), peak) == peak


def test_products_without_a_usable_latency_say_so():
    class Broken(Multiplying):
        def take(self, architecture, plan):
            return replace(measured(1.0), verdict="invalid", reasons=("the clock stood still",))

    with pytest.raises(MeasurementError, match="no latency: the clock stood still"):
        measure_peak(Broken({}), TimingPlan())


def test_the_products_are_those_of_square_matrices():
    architecture = products(24)
    network = build_inference(architecture, 0)
    matrix = torch.randn(24, 24)

    expected = matrix
    linears = [one for one in network.modules() if isinstance(one, nn.Linear)]
    for linear in linears:
        expected = expected @ linear.weight.T + linear.bias
    assert len(linears) == 8 and 24 * count(architecture).macs == 8 * 24**3
    torch.testing.assert_close(network(matrix[:, :, None, None]), expected)


def test_latency_is_macs_over_peak_and_efficiency():
    one = efficiency(macs=5_000_000, latency_s=0.002, batch=4)

    assert one.ideal_s == pytest.approx(4 * 5e6 / PEAK)
    assert one.latency_s == pytest.approx(4 * one.macs / (one.peak.macs_per_s * one.share))
