"""How much of a device's arithmetic a network uses: latency = MACs / (peak x efficiency).

Source: Lavin, On the Efficiency of Convolutional Neural Networks, 2024, arXiv:2404.03617.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nasbench.device.base import Device, Layers
from nasbench.errors import CandidateError, MeasurementError
from nasbench.measure.levels import screen
from nasbench.pareto import UNUSABLE_VERDICTS
from nasbench.records import Measurement, TimingPlan
from nasbench.space.architecture import Architecture, Scalar
from nasbench.space.kinds import make_block

_FIRST_SIZE = 512
_LARGEST_SIZE = 16384
_LONGEST_S = 2.0
_GAIN = 1.02
_PRODUCTS = 8
"""Products in one inference: what else the network does, a copy of its input, is little beside them."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The rate of square matrix products: the fastest of some sizes, with the measurement that it rests on."""

    size: int
    latency_s: float
    measurement: Measurement

    @property
    def macs_per_s(self) -> float:
        """Give the multiply-accumulates a second."""
        return self._rate(self.latency_s)

    @property
    def low_macs_per_s(self) -> float | None:
        """Give the lower end of its 95 % interval."""
        return self.measurement.high_s and self._rate(self.measurement.high_s)

    @property
    def high_macs_per_s(self) -> float | None:
        """Give the upper end of its 95 % interval."""
        return self.measurement.low_s and self._rate(self.measurement.low_s)

    def _rate(self, seconds: float) -> float:
        return _PRODUCTS * self.size**3 / seconds


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What a network reaches: `share` of the peak, and the time that it would take at all of it, in seconds.

    `layers` is None where the device cannot tell them.
    """

    network: str
    architecture: Architecture
    macs: int
    latency_s: float
    measurement: Measurement
    peak: Peak
    layers: Layers | None = None

    @property
    def share(self) -> float:
        """Give the part of the peak that it reaches."""
        return self.ideal_s / self.latency_s

    @property
    def ideal_s(self) -> float:
        """Give the time that its MACs would take at the peak."""
        return self.measurement.plan.batch * self.macs / self.peak.macs_per_s


def measure_peak(device: Device, plan: TimingPlan, watch: Callable[[int], object] = lambda size: None) -> Peak:
    """Time ever larger products of two square matrices, until twice the size is hardly faster or would take too long.

    A product is a fully connected layer on as many inputs as it has channels, so it runs through the device's runtime
    as networks do, and wherever they do.

    Args:
        device: open.
        plan: of the level screen; its batch plays no part.
        watch: called with the size before every size.

    Raises:
        CandidateError: the device cannot run the smallest one.
        DeviceError: the device is gone.
    """
    watch(_FIRST_SIZE)
    best = last = _time_products(device, plan, _FIRST_SIZE)
    while last.size < _LARGEST_SIZE and 8 * last.latency_s <= _LONGEST_S:
        watch(2 * last.size)
        try:
            last = _time_products(device, plan, 2 * last.size)
        except CandidateError:
            break  # too large for the device
        gain = last.macs_per_s / best.macs_per_s
        best = last if gain > 1 else best
        if gain < _GAIN:
            break
    return best


def measure_peak_again(device: Device, plan: TimingPlan, peak: Peak) -> Peak:
    """Time the size of a peak once more and give the faster of both: a machine may have been slower the first time.

    Raises:
        DeviceError: the device is gone.
    """
    try:
        again = _time_products(device, plan, peak.size)
    except CandidateError:
        return peak
    return again if again.latency_s < peak.latency_s else peak


def _time_products(device: Device, plan: TimingPlan, size: int) -> Peak:
    measurement = screen(device, products(size), replace(plan, batch=size))
    if measurement.latency_s is None or measurement.verdict in UNUSABLE_VERDICTS:
        raise MeasurementError(f"products of {size} x {size} have no latency: {'; '.join(measurement.reasons)}")
    return Peak(size, measurement.latency_s, measurement)


def products(size: int) -> Architecture:
    """Make a network that multiplies a batch of `size` inputs of `size` numbers with square matrices, one by one."""
    options: dict[str, Scalar] = {"hidden": size, "hidden_layers": _PRODUCTS - 1, "act": "none"}
    return Architecture((size, 1, 1), size, (make_block("pool_linear", size, size, 1, options, "products"),))
