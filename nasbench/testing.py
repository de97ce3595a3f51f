"""Contracts: inherit one in a test, say how to make your own implementation, and pytest proves it.

class TestMyAccuracy(AccuracyContract):
    def make_accuracy(self):
        return MyAccuracy()
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import psutil
import pytest

from nasbench.accuracy.base import Accuracy
from nasbench.device.base import Device, Turn
from nasbench.errors import CandidateError
from nasbench.records import Measurement, TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block


class AccuracyContract:
    """What every `Accuracy` must do. Override the architectures when yours takes others."""

    def make_accuracy(self) -> Accuracy:
        """Give a new estimator, not opened."""
        raise NotImplementedError

    def make_architecture(self, accuracy: Accuracy) -> Architecture:
        """Give a network that the estimator takes, small enough to be estimated in a second or two."""
        classes = accuracy.classes or 10
        rows = (
            make_block("conv", 1, 8, 4, {"kernel": 5}, "contract"),
            make_block("conv", 8, 16, 2, {}, "contract"),
            make_block("pool_linear", 16, classes, 1, {}, "contract"),
        )
        return Architecture((1, 28, 28), classes, rows)

    def make_broken_architecture(self, accuracy: Accuracy) -> Architecture:
        """Give a network that cannot be estimated: by default its second row takes channels that the first lacks."""
        sound = self.make_architecture(accuracy)
        wrong = replace(sound.blocks[1], in_channels=sound.blocks[1].in_channels + 1)
        return replace(sound, blocks=(sound.blocks[0], wrong, *sound.blocks[2:]))

    @pytest.fixture(scope="class")
    @classmethod
    def accuracy(cls) -> Iterator[Accuracy]:
        """Give the estimator, open; all tests of a class share it, since its process may take seconds to start."""
        with cls().make_accuracy() as accuracy:
            yield accuracy

    def test_a_score_is_a_share_of_one_and_says_where_it_is_from(self, accuracy: Accuracy) -> None:
        """Value in 0..1, a name for the metric and the method, a time, and an end that was reached."""
        score = accuracy.estimate(self.make_architecture(accuracy), lambda epoch, value: True)

        assert math.isfinite(score.value)
        assert 0 <= score.value <= 1
        assert score.metric
        assert score.method == accuracy.name
        assert score.seconds >= 0
        assert score.finished

    def test_the_same_network_gets_the_same_score_again(self, accuracy: Accuracy) -> None:
        """The search repeats the figures of a duplicate, so they must be what an estimate would give."""
        architecture = self.make_architecture(accuracy)

        first, second = (accuracy.estimate(architecture, lambda epoch, value: True) for _ in range(2))

        assert (first.value, first.curve) == (second.value, second.curve)

    def test_the_description_is_json_and_does_not_change(self, accuracy: Accuracy) -> None:
        """It goes into the manifest of a run, and is compared when the run is resumed."""
        before = json.dumps(accuracy.description, sort_keys=True, allow_nan=False)

        accuracy.estimate(self.make_architecture(accuracy), lambda epoch, value: True)

        assert json.dumps(accuracy.description, sort_keys=True, allow_nan=False) == before
        assert json.loads(before)

    def test_it_asks_at_its_rungs_and_ends_early_when_told_to(self, accuracy: Accuracy) -> None:
        """Rungs rise; False at the first ends there, and the score says that it is not finished."""
        assert list(accuracy.rungs) == sorted(set(accuracy.rungs))
        asked: list[tuple[int, float]] = []

        def stop(epoch: int, value: float) -> bool:
            asked.append((epoch, value))
            return False

        score = accuracy.estimate(self.make_architecture(accuracy), stop)

        assert [epoch for epoch, _ in asked] == list(accuracy.rungs[:1])
        assert score.finished == (not accuracy.rungs)
        assert list(score.curve[: len(asked)]) == asked

    def test_a_broken_network_is_an_error_of_its_own_and_the_next_one_works(self, accuracy: Accuracy) -> None:
        """One candidate's failure becomes its row, and nothing else."""
        with pytest.raises(CandidateError):
            accuracy.estimate(self.make_broken_architecture(accuracy), lambda epoch, value: True)

        assert accuracy.estimate(self.make_architecture(accuracy), lambda epoch, value: True).finished

    def test_close_leaves_no_process_and_may_come_twice(self) -> None:
        """Whatever ran beside us is gone after `close`."""
        before = set(psutil.Process().children(recursive=True))
        accuracy = self.make_accuracy()
        accuracy.open()
        accuracy.estimate(self.make_architecture(accuracy), lambda epoch, value: True)

        accuracy.close()
        accuracy.close()

        assert set(psutil.Process().children(recursive=True)) <= before


class DeviceContract:
    """What every `Device` must do. A class starts six measuring processes in all, so a slow device costs seconds.

    Override `plan` when yours cannot be that quick, and the architectures when it takes others.
    """

    plan = TimingPlan(batch=2, min_warmup_s=0.02, max_warmup_s=0.5, min_sampling_s=0.02, max_sampling_s=0.5)
    verdicts = ("ok", "noisy", "throttled", "drift")

    def make_device(self) -> Device:
        """Give a new device, not opened."""
        raise NotImplementedError

    def make_architecture(self) -> Architecture:
        """Give a network that takes well under a second to measure."""
        rows = (make_block("conv", 3, 8, 2, {}, "contract"), make_block("pool_linear", 8, 10, 1, {}, "contract"))
        return Architecture((3, 32, 32), 10, rows)

    def make_broken_architecture(self) -> Architecture:
        """Give a network that cannot be measured: by default its second row takes channels that the first lacks."""
        sound = self.make_architecture()
        wrong = replace(sound.blocks[1], in_channels=sound.blocks[1].in_channels + 1)
        return replace(sound, blocks=(sound.blocks[0], wrong, *sound.blocks[2:]))

    def make_second_architecture(self) -> Architecture:
        """Give another network that takes well under a second to measure."""
        rows = (make_block("conv", 3, 16, 2, {}, "contract"), make_block("pool_linear", 16, 10, 1, {}, "contract"))
        return Architecture((3, 32, 32), 10, rows)

    @staticmethod
    def _no_round_begins(turns: Sequence[Turn]) -> None:
        raise AssertionError("a round was asked for")

    _measurement: ClassVar[Measurement | None] = None

    @pytest.fixture
    def device(self) -> Iterator[Device]:
        """Give the device, open."""
        with self.make_device() as device:
            yield device

    @pytest.fixture
    def measurement(self, device: Device) -> Measurement:
        """Give one measurement; all tests of a class look at the same."""
        kind = type(self)
        if kind._measurement is None:
            kind._measurement = device.take(self.make_architecture(), self.plan)
        return kind._measurement

    def test_samples_are_positive_finite_and_as_many_as_asked_for(self, measurement: Measurement) -> None:
        """Fewer than `min_samples` only where the time limit came first, and then it is said."""
        assert all(math.isfinite(value) and value > 0 for value in measurement.latencies_s + measurement.warmups_s)
        assert len(measurement.latencies_s) >= self.plan.min_samples or measurement.stop == "cap"
        assert len(measurement.latencies_s) <= self.plan.max_samples
        assert len(measurement.kept) == len(measurement.latencies_s)

    def test_the_interval_holds_the_median(self, measurement: Measurement) -> None:
        """Both ends or none, around the median of what is kept."""
        assert measurement.latency_s is not None
        assert (measurement.low_s is None) == (measurement.high_s is None)
        if measurement.low_s is not None and measurement.high_s is not None:
            assert 0 < measurement.low_s <= measurement.latency_s <= measurement.high_s

    def test_the_verdict_is_one_of_the_list_and_gives_its_reasons(self, measurement: Measurement) -> None:
        """A verdict of `ok` has no reason, every other has one."""
        assert measurement.verdict in self.verdicts
        assert bool(measurement.reasons) == (measurement.verdict != "ok")
        assert measurement.stop in ("converged", "plateau", "cap")

    def test_it_says_what_was_measured_on_what_and_how(self, device: Device, measurement: Measurement) -> None:
        """Digests of network and device, the plan, the machine, the software."""
        assert measurement.architecture == self.make_architecture().digest
        assert (measurement.device, measurement.device_digest) == (device.spec.name, device.spec.digest)
        assert measurement.plan == self.plan
        assert measurement.host["software"]
        assert measurement.started_at
        assert len(measurement.process_medians_s) <= 1, "`take` starts one process; levels add up several"
        for record in (measurement.settings, measurement.host, measurement.noise):
            assert json.loads(json.dumps(record)) == record

    def test_memory_is_positive_or_not_measured(self, measurement: Measurement) -> None:
        """`None` is not 0."""
        assert measurement.peak_memory_bytes is None or measurement.peak_memory_bytes > 0

    def test_a_broken_network_is_an_error_of_its_own_and_the_next_one_works(
        self, device: Device, measurement: Measurement
    ) -> None:
        """One candidate's failure becomes its row; afterwards equal seeds give equal outputs."""
        with pytest.raises(CandidateError):
            device.take(self.make_broken_architecture(), self.plan)

        assert device.take(self.make_architecture(), self.plan).output_hash == measurement.output_hash

    def test_turns_are_served_in_the_order_asked_for(self, device: Device) -> None:
        """Rounds of any length, a network twice in a row or not at all, until None; then host and noise."""
        rounds = [[0, 1], [1, 0, 0, 1], [1]]
        seen: list[Sequence[Turn]] = []

        def steer(turns: Sequence[Turn]) -> Sequence[int] | None:
            seen.append(tuple(turns))
            return rounds[len(seen) - 1] if len(seen) <= len(rounds) else None

        answer = device.take_turns([self.make_architecture(), self.make_second_architecture()], self.plan, steer)

        assert [[turn.side for turn in turns] for turns in seen] == [[], *rounds]
        for turn in (turn for turns in seen for turn in turns):
            assert turn.seconds
            assert turn.inferences >= len(turn.seconds)
            assert all(math.isfinite(value) and value > 0 for value in turn.seconds)
        assert answer["host"]["software"]
        assert json.loads(json.dumps(answer["noise"])) == answer["noise"]

    def test_a_broken_network_among_several_is_an_error_of_its_own(self, device: Device) -> None:
        """No round begins, since nothing could be compared."""
        with pytest.raises(CandidateError):
            device.take_turns(
                [self.make_architecture(), self.make_broken_architecture()], self.plan, self._no_round_begins
            )

    def test_the_fingerprint_is_json_and_does_not_change(self, device: Device, measurement: Measurement) -> None:
        """Measurements are found again by it, by any process that asks: what changes by itself must not be in it."""
        fingerprint = json.dumps(device.fingerprint(), sort_keys=True, allow_nan=False)

        with self.make_device() as other:
            assert json.dumps(other.fingerprint(), sort_keys=True, allow_nan=False) == fingerprint
        assert json.loads(fingerprint)

    def test_energy_has_a_source_or_is_not_measured(self, device: Device, measurement: Measurement) -> None:
        """The source is a name, and nothing is measured that was not asked for."""
        assert device.energy_source is None or device.energy_source
        assert self.plan.energy or measurement.energy_j is None

    def test_the_batch_of_the_plan_is_what_runs(self, device: Device, measurement: Measurement) -> None:
        """Another batch is another output."""
        single = device.take(self.make_architecture(), replace(self.plan, batch=1))

        assert single.plan.batch == 1
        assert measurement.output_hash is None or single.output_hash != measurement.output_hash

    def test_no_process_is_left_and_close_may_come_twice(self, device: Device, measurement: Measurement) -> None:
        """A device that measured has cleaned up; one that is closed stays so."""
        before = set(psutil.Process().children(recursive=True))
        other = self.make_device()
        other.open()
        other.close()
        other.close()

        assert set(psutil.Process().children(recursive=True)) <= before
        assert not [child for child in before if "nasbench.isolation_child" in " ".join(child.cmdline())]
