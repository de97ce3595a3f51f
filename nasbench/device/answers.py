"""What a measuring process may answer: its form is checked before anything is made of it.

The process may be on another machine and ran a network that is not ours, so what comes is data that can be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nasbench.cluster.messages import MOST, cleaned
from nasbench.device.base import Layers, Turn
from nasbench.device.verdict import check_latencies
from nasbench.errors import Crashed
from nasbench.isolation_child import clean
from nasbench.layers import LAYER_KINDS, Layer

_Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST < value < MOST


def _is_amount(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_sample(value: Any) -> bool:
    return isinstance(value, float) or _is_number(value)  # one that is no time is judged with the rest of its series


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_record(value: Any) -> bool:
    return isinstance(value, dict)


def _maybe(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _all(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(check(entry) for entry in value)


_ANSWER: Mapping[str, _Check] = {
    "build_s": _is_amount,
    "first_call_s": _is_amount,
    "output_hash": _is_text,
    "output_error": _maybe(_is_amount),
    "warmups_s": _all(_is_amount),
    "settled": _is_flag,
    "inner_loops": _is_count,
    "series": _is_record,
    "noise": _is_record,
    "peak_memory_bytes": _maybe(_is_count),
    "memory_method": _is_text,
    "energy": _maybe(_is_record),
    "environment": _is_record,
    "affinity": _all(_is_count),
    "host": _is_record,
}
_SERIES: Mapping[str, _Check] = {
    "seconds": _all(_is_sample),
    "kept": _all(_is_flag),
    "low_s": _maybe(_is_amount),
    "high_s": _maybe(_is_amount),
    "stop": lambda value: value in ("converged", "plateau", "cap"),
    "cpu_share": _maybe(_is_amount),
    "kept_share": _is_share,
    "gate_failed": _is_flag,
}
_NOISE: Mapping[str, _Check] = {
    "window_s": _is_positive,
    "frequencies_hz": _all(_is_number),
    "pressure_us": _maybe(_is_number),
    "waiting_s": _maybe(_is_number),
    "steal_s": _maybe(_is_number),
    "throttled_us": _maybe(_is_number),
    "thermal_events": _maybe(_is_number),
}
_TURN: Mapping[str, _Check] = {
    "side": _is_count,
    "seconds": _all(_is_sample),
    "kept": _is_flag,
    "inferences": _is_count,
}
_LAYER: Mapping[str, _Check] = {
    "name": _is_text,
    "kind": lambda value: value in LAYER_KINDS,
    "macs": _is_count,
    "output_shape": _all(_is_count),
    "seconds": _is_amount,
    "low_s": _maybe(_is_amount),
    "high_s": _maybe(_is_amount),
}
_ENERGY: Mapping[str, _Check] = {
    "energy_j": _maybe(_is_positive),
    "idle_power_w": _maybe(_is_amount),
    "source": _is_text,
}
_TURNS_ANSWER: Mapping[str, _Check] = {
    "host": _is_record,
    "noise": _is_record,
    "settled": _all(_is_flag),
}


def check_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Check what `nasbench.device.measuring.measure` answered; gives it with every text as one printable line.

    Raises:
        Crashed: something is missing or of another kind; the text says what.
        MeasurementError: a time is zero, negative or not finite.
    """
    _check(answer, _ANSWER, "")
    _check(answer["series"], _SERIES, "series.")
    check_latencies(answer["series"]["seconds"])
    _check(answer["noise"], _NOISE, "noise.")
    if answer["energy"] is not None:
        _check(answer["energy"], _ENERGY, "energy.")
    if len(answer["series"]["seconds"]) != len(answer["series"]["kept"]):
        raise Crashed("the answer has another number of samples than of marks for them")
    return {name: cleaned(value) for name, value in answer.items()}


def check_turns_answer(answer: Mapping[str, Any], sides: int) -> dict[str, Any]:
    """Check what `nasbench.device.turns.take_turns` answered of so many networks; gives it as `check_answer` does.

    Raises:
        Crashed: something is missing or of another kind; the text says what.
    """
    _check(answer, _TURNS_ANSWER, "")
    _check(answer["noise"], _NOISE, "noise.")
    if len(answer["settled"]) != sides:
        raise Crashed(f"the answer says of {len(answer['settled'])} networks whether they settled, and {sides} ran")
    return {name: cleaned(value) for name, value in answer.items()}


def read_turns(report: Mapping[str, Any], order: Sequence[int]) -> list[Turn]:
    """Read the turns of a round, as `nasbench.device.turns.converse` reports them, of the networks in that order.

    Raises:
        Crashed: they are none, or those of other networks.
        MeasurementError: a time is zero, negative or not finite.
    """
    told = report.get("turns")
    if not isinstance(told, list):
        raise Crashed(f"the answer has {clean(str(told), 100)} in the place of turns")
    turns = [read_turn(one) for one in told]
    if [turn.side for turn in turns] != list(order):
        raise Crashed(f"the answer has {len(turns)} turns that are not those {len(order)} that were ordered")
    return turns


def read_turn(told: Any) -> Turn:
    """Read one turn; raises as `read_turns`."""
    if not isinstance(told, dict):
        raise Crashed(f"the answer has {clean(str(told), 100)} in the place of a turn")
    _check(told, _TURN, "turn.")
    check_latencies(told["seconds"])
    return Turn(told["side"], tuple(told["seconds"]), told["kept"], told["inferences"])


def read_layers(answer: Mapping[str, Any]) -> Layers:
    """Read what `nasbench.device.profiling.take_layers` answered; raises as `check_answer`."""
    _check(answer, {"layers": _all(_is_record), "latency_s": _is_positive, "passes": _is_count}, "")
    for layer in answer["layers"]:
        _check(layer, _LAYER, "layers.")
    layers = tuple(
        Layer(
            **{
                **{name: one[name] for name in _LAYER},
                "name": clean(one["name"], 200),
                "output_shape": tuple(one["output_shape"]),
            }
        )
        for one in answer["layers"]
    )
    return Layers(layers, answer["latency_s"], answer["passes"])


def read_side(report: Mapping[str, Any], sides: int) -> int | None:
    """Read which of so many networks is worked on from here; None when a report says nothing of it.

    Raises:
        Crashed: it is none of them.
    """
    side = report.get("side")
    if side is not None and not (_is_count(side) and side < sides):
        raise Crashed(f"the answer's side is {clean(str(side), 60)}; it is one of {sides} networks, from 0")
    return side


def _check(record: Mapping[str, Any], checks: Mapping[str, _Check], where: str) -> None:
    for name, check in checks.items():
        if name not in record:
            raise Crashed(f"the answer has no {where}{name}")
        if not check(record[name]):
            raise Crashed(f"the answer's {where}{name} is {clean(str(record[name]), 60)}, which cannot be")
