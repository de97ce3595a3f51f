"""How a trial is written down: an evaluation as JSON text and its raw samples as one blob, and back without a change.

Samples are little-endian float64: 1,000 of them take 8 kB and 0.03 ms, against 22 kB and 0.4 ms as JSON.
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from nasbench.errors import DamagedRunError, DefinitionError, StoreError
from nasbench.records import STATUSES, Cost, Evaluation, Measurement, Score, TimingPlan
from nasbench.space.architecture import Architecture

SCHEMA = 2
"""Version of everything in a run folder. An older one is read and never written, a newer one refused.

2: measurements of several processes, whose latency is not the median of the pooled samples as a program of schema 1
would take it to be; the table of confirmed figures.
"""

_TUPLE = "$tuple"
_SAMPLES = ("latencies_s", "warmups_s")
_ATOMS = frozenset((str, int, bool, type(None)))
"""What is plain as it is; most of a trial, so that it is seen without a call."""


def check_version(found: int, where: str) -> None:
    """Refuse a run that a newer program wrote, and one whose version cannot be.

    Raises:
        StoreError: it is newer; the text has both versions.
        DamagedRunError: it is below 1.
    """
    if found > SCHEMA:
        raise StoreError(
            f"{where} has the schema {found}, and this nasbench reads up to {SCHEMA}; update nasbench to read it"
        )
    if found < 1:
        raise DamagedRunError(f"{where} has the schema {found}; schemas start at 1, so the file is damaged")


def dump_json(data: Any, what: str) -> str:
    """Write plain data as compact JSON; tuples come back as tuples.

    Raises:
        StoreError: it holds NaN, infinity, a key that is no text, or a type that JSON has not; the text says where.
    """
    return json.dumps(_plain(data, what), separators=(",", ":"), allow_nan=False)


def load_json(text: str) -> Any:
    """Read what `dump_json` wrote."""
    return json.loads(text, object_hook=_restore)


def encode_evaluation(evaluation: Evaluation) -> tuple[str, bytes]:
    """Give an evaluation as JSON text and the blob of its raw samples.

    Raises:
        StoreError: a figure is NaN or infinite, or something in it is no plain data.
    """
    what = f"trial {evaluation.trial}"
    if evaluation.status not in STATUSES:
        raise StoreError(f"{what} has the status {evaluation.status!r}; one of {', '.join(STATUSES)} is needed")
    data = _record(evaluation)
    parse_time(evaluation.started_at, what)
    data["architecture"] = evaluation.architecture.as_dict() | {"digest": evaluation.architecture.digest}
    data["cost"] = _record(evaluation.cost) if evaluation.cost else None
    data["score"] = _record(evaluation.score) if evaluation.score else None
    data["measurements"] = []
    blob = bytearray()
    for index, measurement in enumerate(evaluation.measurements):
        data["measurements"].append(_encode_measurement(measurement, blob, f"{what}.measurements[{index}]"))
    return dump_json(data, what), bytes(blob)


def decode_evaluation(text: str, blob: bytes) -> Evaluation:
    """Read what `encode_evaluation` wrote. A field that an older program did not know takes its default.

    Raises:
        DamagedRunError: it is no evaluation, or its architecture is not the one that was stored.
    """
    try:
        data = load_json(text)
        digest = data["architecture"].pop("digest")
        data["architecture"] = Architecture.from_dict(data["architecture"])
        data["cost"] = _make(Cost, data["cost"]) if data["cost"] else None
        data["score"] = _make(Score, data["score"]) if data["score"] else None
        view, measurements = memoryview(blob), []
        for entry in data["measurements"]:
            measurement, view = _decode_measurement(entry, view)
            measurements.append(measurement)
        data["measurements"] = tuple(measurements)
        evaluation: Evaluation = _make(Evaluation, data)
    except (KeyError, TypeError, ValueError, AttributeError, DefinitionError) as error:
        raise DamagedRunError(f"a stored trial cannot be read: {type(error).__name__} {error}") from error
    if evaluation.architecture.digest != digest:
        raise DamagedRunError(
            f"the architecture of trial {evaluation.trial} was stored as {digest} and reads as "
            f"{evaluation.architecture.digest}; a kind of rows has changed its defaults"
        )
    return evaluation


def encode_measurement(measurement: Measurement, what: str) -> tuple[str, bytes]:
    """Give a measurement as JSON text and the blob of its raw samples; `what` names it in errors.

    Raises:
        StoreError: a figure is NaN or infinite, or something in it is no plain data.
    """
    blob = bytearray()
    text = dump_json(_encode_measurement(measurement, blob, what), what)
    return text, bytes(blob)


def decode_measurement(text: str, blob: bytes) -> Measurement:
    """Read what `encode_measurement` wrote. A field that an older program did not know takes its default.

    Raises:
        DamagedRunError: it is no measurement.
    """
    try:
        return _decode_measurement(load_json(text), memoryview(blob))[0]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRunError(f"a stored measurement cannot be read: {type(error).__name__} {error}") from error


def encode_measurements(measurements: Sequence[Measurement], what: str) -> tuple[str, bytes]:
    """Give measurements of one network, one a device, as JSON text and the blob of their samples.

    One alone is written as `encode_measurement` does. Raises as that.
    """
    if len(measurements) == 1:
        return encode_measurement(measurements[0], what)
    blob = bytearray()
    several = [_encode_measurement(one, blob, f"{what}[{index}]") for index, one in enumerate(measurements)]
    return dump_json({"several": several}, what), bytes(blob)


def decode_measurements(text: str, blob: bytes) -> tuple[Measurement, ...]:
    """Read what `encode_measurements` wrote.

    Raises:
        DamagedRunError: it is no measurement.
    """
    try:
        data, view = load_json(text), memoryview(blob)
        found = []
        for entry in data.get("several", [data]):
            measurement, view = _decode_measurement(entry, view)
            found.append(measurement)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRunError(f"a stored measurement cannot be read: {type(error).__name__} {error}") from error
    return tuple(found)


def encode_score(score: Score) -> str:
    """Give a score as JSON text; raises as `dump_json`."""
    return dump_json(_record(score), "a score")


def decode_score(text: str) -> Score:
    """Read what `encode_score` wrote.

    Raises:
        DamagedRunError: it is no score.
    """
    try:
        score: Score = _make(Score, load_json(text))
    except (TypeError, ValueError, AttributeError) as error:
        raise DamagedRunError(f"a stored score cannot be read: {type(error).__name__} {error}") from error
    return score


def checksum(*parts: str | bytes | int) -> int:
    """Give a CRC-32 over the parts and where each ends."""
    crc = 0
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        crc = zlib.crc32(data, zlib.crc32(len(data).to_bytes(8, "little"), crc))
    return crc


def parse_time(text: str, what: str) -> datetime | None:
    """Read an ISO 8601 time; `""` is not known.

    Raises:
        StoreError: it is no time, or has no zone.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise StoreError(
            f"{what} started at {text!r}; an ISO 8601 time such as 2026-11-21T10:00:00+00:00 is needed"
        ) from error
    if moment.tzinfo is None:
        raise StoreError(f"{what} started at {text!r}, which has no time zone; UTC is +00:00")
    return moment


def _encode_measurement(measurement: Measurement, blob: bytearray, what: str) -> dict[str, Any]:
    if len(measurement.kept) != len(measurement.latencies_s):
        raise StoreError(
            f"{what} has {len(measurement.latencies_s)} samples and {len(measurement.kept)} marks; "
            "one mark a sample is needed"
        )
    parse_time(measurement.started_at, what)
    data = _record(measurement)
    data["plan"] = _record(measurement.plan)
    try:
        for name in _SAMPLES:
            values = data.pop(name)
            if not all(map(math.isfinite, values)):
                raise StoreError(f"{what}.{name} holds NaN or infinity, which is never a figure")
            data[f"{name}_count"] = len(values)
            blob += _little_endian(array("d", values)).tobytes()
        blob += bytes(map(bool, data.pop("kept")))
    except (TypeError, OverflowError) as error:
        raise StoreError(f"{what} has samples that are no numbers: {error}") from error
    return data


def _decode_measurement(data: dict[str, Any], view: memoryview) -> tuple[Measurement, memoryview]:
    for name in _SAMPLES:
        size = 8 * data.pop(f"{name}_count")
        values = array("d")
        values.frombytes(view[:size])
        data[name] = tuple(_little_endian(values))
        view = view[size:]
    count = len(data["latencies_s"])
    data["kept"] = tuple(map(bool, view[:count]))
    data["plan"] = _make(TimingPlan, data["plan"])
    return _make(Measurement, data), view[count:]


def _little_endian(values: array[float]) -> array[float]:
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _record(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _make(kind: type[Any], data: Mapping[str, Any]) -> Any:
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in data.items() if name in known})


def _plain(data: Any, where: str) -> Any:
    if type(data) in _ATOMS:
        return data
    if isinstance(data, float):
        if not math.isfinite(data):
            raise StoreError(f"{where} is {data}, which is never a figure; None means not measured")
        return data
    if isinstance(data, Mapping):
        for key in data:
            if not isinstance(key, str) or key == _TUPLE:
                raise StoreError(f"{where} has the key {key!r}; keys are texts other than {_TUPLE!r}")
        return {k: v if type(v) in _ATOMS else _plain(v, f"{where}.{k}") for k, v in data.items()}
    if isinstance(data, tuple):
        return {_TUPLE: _plain_list(data, where)}
    if isinstance(data, list):
        return _plain_list(data, where)
    if isinstance(data, str | int):  # a subclass, such as an enumeration's member
        return data
    raise StoreError(f"{where} is of type {type(data).__name__}, which cannot be stored; turn it into plain data")


def _plain_list(data: Sequence[Any], where: str) -> list[Any]:
    return [v if type(v) in _ATOMS else _plain(v, f"{where}[{index}]") for index, v in enumerate(data)]


def _restore(data: dict[str, Any]) -> Any:
    return tuple(data[_TUPLE]) if len(data) == 1 and _TUPLE in data else data
