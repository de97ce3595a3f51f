"""The space around an architecture: a definition whose choices lie near the values that the architecture has.

Where the architecture is a point of a space, that space's own choices are narrowed. Where there is no such space, the
rows of the architecture are varied: kernels, how often rows repeat, and channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from nasbench.definitions import Node
from nasbench.errors import DefinitionError
from nasbench.space.architecture import Architecture, Block, Scalar
from nasbench.space.choice import Steps
from nasbench.space.kinds import find_kind, make_block
from nasbench.space.load import MAX_REPEAT, read_space

NOTHING: dict[str, Any] = {"block": "identity"}
"""The row that vanishes; it fills a place of the grammar that a very short network leaves empty."""

_RANGE_SHARE = 10
"""One step in a range is a tenth of its values, since ranges are finer than what a network is felt to be near to."""

Definition = dict[str, Any]


def narrow(root: Node, architecture: Architecture, steps: int) -> Definition | None:
    """Narrow the choices of a space to those near an architecture; None where it is no point of the space.

    Numbers stay within `steps` places of a value that the architecture has, in the order of the values that the space
    allows. Words and flags have no order and all stay, and so do choices that have no effect in the architecture.

    Args:
        root: the definition of the space.
        architecture: of any number of classes, which becomes that of the definition.
        steps: from 1.
    """
    space = read_space(root).with_classes(architecture.classes)
    chosen = space.skeleton.encode(architecture)
    if chosen is None:
        return None
    plain: Definition = root.plain()
    plain = {key: value for key, value in plain.items() if key != "architectures"}
    plain["classes"] = architecture.classes
    plain["input"] = {**plain["input"], "size": _near(plain["input"]["size"], _made(chosen, "input.size"), steps)}
    if "width" in plain:
        plain["width"] = _near(plain["width"], _made(chosen, "width"), steps)
    for key in ("shared", "rule"):
        if key in plain:
            prefix = "rule." if key == "rule" else ""
            plain[key] = {
                name: _near(slot, _made(chosen, f"{prefix}{name}"), steps) for name, slot in plain[key].items()
            }
    for key in ("stem", "head"):
        if isinstance(plain.get(key), dict):
            plain[key] = _near_row(plain[key], key, chosen, steps)
    if "stages" in plain:
        plain["stages"] = [_near_row(row, f"stage{index}", chosen, steps) for index, row in enumerate(plain["stages"])]
    return plain


def _near_row(row: Mapping[str, Any], path: str, chosen: Mapping[str, Scalar], steps: int) -> dict[str, Any]:
    return {key: _near(slot, _made(chosen, f"{path}.{key}"), steps) for key, slot in row.items()}


def _made(chosen: Mapping[str, Scalar], name: str) -> list[Scalar]:
    """Give what was chosen at a place: one value, one for each repeat, or none where the place has no effect."""
    return [
        value
        for key, value in chosen.items()
        if key == name or (key.startswith(f"{name}.") and key[len(name) + 1 :].isdigit())
    ]


def _near(slot: Any, made: list[Scalar], steps: int) -> Any:
    """Narrow what a definition says at a place to what is near the values made there."""
    if not made:
        return slot
    if isinstance(slot, dict) and "each" in slot:
        inner = _near(slot["each"], made, steps)
        return {"each": inner} if isinstance(inner, list | dict) else inner
    if isinstance(slot, dict):
        return _near_range(Steps(slot["from"], slot["to"], slot["step"]), made, steps)
    if not isinstance(slot, list) or not all(_is_number(value) for value in slot):
        return slot
    order = sorted(slot)
    places = [order.index(value) for value in made]
    kept = [value for value in slot if any(abs(order.index(value) - place) <= steps for place in places)]
    return kept if len(kept) > 1 else kept[0]


def _near_range(values: Steps, made: list[Scalar], steps: int) -> Any:
    reach = steps * max(1, len(values) // _RANGE_SHARE)
    places = [round((float(value) - values.low) / values.step) for value in made]
    low, high = max(0, min(places) - reach), min(len(values) - 1, max(places) + reach)
    return {"from": values[low], "to": values[high], "step": values.step}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def rows_of(architecture: Architecture) -> list[dict[str, Any]]:
    """Give the rows of an architecture as a definition writes them, with no choice left."""
    return [_row(block) for block in architecture.blocks]


def _row(block: Block) -> dict[str, Any]:
    row: dict[str, Any] = {"block": block.kind}
    if find_kind(block.kind).out == "given":
        row["out"] = block.out_channels
    if block.stride != 1:
        row["stride"] = block.stride
    return row | dict(block.options)


def fixed(architecture: Architecture) -> Definition:
    """Give an architecture as a definition with no choice left, one row a block."""
    return _stack(architecture, rows_of(architecture))


def vary(architecture: Architecture, steps: int, fits: Callable[[Architecture], bool]) -> Definition:
    """Give a definition around an architecture whose rows are varied.

    Kernels go `steps` odd or even numbers up and down, rows that repeat are repeated up to `steps` times more or less,
    and channels change by about an eighth, in steps of 8. Rows behind each other of equal channels change together.

    Args:
        architecture: of a square input.
        steps: from 1.
        fits: says whether a network can be built; a value that alone makes one that cannot is left out.
    """
    blocks = architecture.blocks
    shared: dict[str, list[int]] = {}
    rows = rows_of(architecture)
    for index, (block, row) in enumerate(zip(blocks, rows, strict=True)):
        if _has_kernel(block):
            row["kernel"] = _kernels(architecture, index, steps, fits)
    for stage, (channels, group) in enumerate(groupby(range(len(blocks)), key=lambda at: blocks[at].out_channels)):
        members = [index for index in group if find_kind(blocks[index].kind).out == "given"]
        values = _channels(architecture, members, channels, steps, fits) if members else []
        if len(values) > 1:
            shared[f"channels{stage}"] = values
            for index in members:
                rows[index]["out"] = f"$channels{stage}"
    body, head = rows[1:-1], rows[1:][-1:]
    merged = rows[:1]
    for row, equal in groupby(body):
        count = len(list(equal))
        if "stride" in row:  # of a row that repeats only the first has the stride
            merged += [row] * count
            continue
        while count + steps > MAX_REPEAT:
            merged.append(row | {"repeat": MAX_REPEAT // 2})
            count -= MAX_REPEAT // 2
        # a row that is there once may be the one that changes the size, so it stays once
        repeats = list(range(max(1, count - steps), count + steps + 1))
        merged.append(row | {"repeat": repeats} if count > 1 else row)
    definition = _stack(architecture, [*merged, *head])
    return ({"shared": shared} if shared else {}) | definition


def _has_kernel(block: Block) -> bool:
    """Say whether a row has a kernel that makes a difference."""
    kind = find_kind(block.kind)
    return kind.has("kernel") and kind.option("kernel").has_effect(kind.values(dict(block.options)))


def _kernels(architecture: Architecture, index: int, steps: int, fits: Callable[[Architecture], bool]) -> Any:
    block = architecture.blocks[index]
    option = find_kind(block.kind).option("kernel")
    now: Any = dict(block.options).get("kernel", option.default)
    if not _is_number(now) or now < 2:  # a pointwise convolution is what it is
        return now
    values = [
        value
        for value in range(now - 2 * steps, now + 2 * steps + 1, 2)
        if value == now or (value > 1 and _fits(architecture, [index], {"kernel": value}, None, fits))
    ]
    return values if len(values) > 1 else now


def _channels(
    architecture: Architecture, members: list[int], now: int, steps: int, fits: Callable[[Architecture], bool]
) -> list[int]:
    step = max(8, round(now / 64) * 8)
    near = (now + times * step for times in range(-steps, steps + 1))
    return [value for value in near if value == now or (value > 0 and _fits(architecture, members, {}, value, fits))]


def _fits(
    architecture: Architecture,
    members: Iterable[int],
    options: Mapping[str, Scalar],
    out: int | None,
    fits: Callable[[Architecture], bool],
) -> bool:
    """Say whether a network fits whose rows at `members` have other options, or other output channels."""
    blocks: list[Block] = []
    channels = architecture.blocks[0].in_channels
    for index, block in enumerate(architecture.blocks):
        kind, inside = find_kind(block.kind), index in members
        given = {**dict(block.options), **(options if inside else {})}
        if callable(kind.out):
            following = kind.out(channels, kind.values(given))
        elif kind.out == "same":
            following = channels
        else:
            following = out if inside and out is not None else block.out_channels
        try:
            blocks.append(make_block(block.kind, channels, following, block.stride, given, "row"))
        except DefinitionError:
            return False
        channels = following
    return fits(replace(architecture, blocks=tuple(blocks)))


def _stack(architecture: Architecture, rows: list[dict[str, Any]]) -> Definition:
    """Give rows as a definition of the skeleton `stack`."""
    *body, head = rows or [NOTHING]
    stem, *stages = body or [NOTHING]
    channels, size, _ = architecture.input_shape
    return {
        "input": {"channels": channels, "size": size},
        "classes": architecture.classes,
        "stem": stem,
        "stages": stages or [NOTHING],
        "head": head,
    }
