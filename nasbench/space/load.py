"""From YAML to a search space. Strict: whatever is not understood is an error with file and line."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nasbench.definitions import Found, Node, find_definition, list_definitions, parse_definition, read_text
from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.space import regnet
from nasbench.space.architecture import Architecture, Scalar
from nasbench.space.choice import Choice, Steps
from nasbench.space.kinds import KINDS
from nasbench.space.kinds.rules import COUNT, COUNT_OR_NONE, FACTOR, SHARE, Kind, Rule
from nasbench.space.space import NamedArchitecture, PublishedLatency, SearchSpace, Skeleton, decode_choices
from nasbench.space.stack import Row, Slot, Stack, at_layer, slot_values

_SCHEMA = 1
_DESCRIPTION = ("schema", "name", "about", "source", "skeleton", "classes", "input", "architectures")
_STACK = ("width", "shared", "stem", "stages", "head")
_REGNET = ("stem", "rule")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
_ROW = ("block", "repeat", "out", "stride", "scale")
_PUBLISHED = ("params", "macs", "form", "top1", "source", "latencies")
MAX_REPEAT = 64
"""The most repeats of a row."""
_STRIDE = Rule("a whole number from 1 to 8", lambda value: COUNT.test(value) and value <= 8)
_REPEAT = Rule(f"a whole number from 0 to {MAX_REPEAT}", lambda v: COUNT_OR_NONE.test(v) and v <= MAX_REPEAT)
_DEPTH = Rule(f"a whole number from 1 to {MAX_REPEAT}", lambda v: COUNT.test(v) and v <= MAX_REPEAT)
_SIZE = Rule("a whole number from 1 to 4096", lambda value: COUNT.test(value) and value <= 4096)
# with these bounds no width of a regnet comes near the most channels that a row may have
_SLOPE = Rule("a number above 0, at most 1000", lambda v: _is_number(v) and 0 < v <= 1000)
_GROWTH = Rule("a number above 1, at most 16", lambda v: _is_number(v) and 1 < v <= 16)
_MULTIPLE = Rule("a multiple of 8, at most 8192", lambda v: COUNT.test(v) and v % 8 == 0 and v <= 8192)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def find_space(name: str) -> Found:
    """Find the file of a search space by name or path; raises UnknownNameError with a suggestion."""
    return find_definition("search space", "search_spaces", name)


def load_space(name: str | Path) -> SearchSpace:
    """Read a search space by name or path.

    Raises:
        UnknownNameError: there is none of that name.
        DefinitionError: its definition is wrong; the text says where, what came and what is allowed.
    """
    path = find_space(str(name)).path
    return _read_text(read_text(path), str(path))


def list_spaces() -> dict[str, Path]:
    """List the search spaces there are, local and bundled, by name."""
    return list_definitions("search_spaces")


def find_architecture(name: str) -> tuple[SearchSpace, NamedArchitecture]:
    """Find a published architecture by name in all spaces, or the one that a `.yaml` file with no choice left holds.

    Raises:
        UnknownNameError: no space has it.
        DefinitionError: a definition is wrong, or the file leaves choices.
    """
    if name.endswith((".yaml", ".yml")):
        space = load_space(name)
        if space.choices:
            raise DefinitionError(f"{name}: leaves {len(space.choices)} choices open; an architecture leaves none")
        return space, NamedArchitecture(space.name, space.skeleton, {}, {})
    texts: list[tuple[str, str]] = []
    unreadable: DefinitionError | None = None
    for path in list_spaces().values():
        try:
            texts.append((read_text(path), str(path)))
        except DefinitionError as error:
            unreadable = unreadable or error
    known: list[str] = []
    for text, place in sorted(texts, key=lambda one: name not in one[0]):  # parsing takes longer than looking
        names = _architecture_names(text, place)
        known += names
        if name in names:
            space = _read_text(text, place)
            return space, space.find_architecture(name)
    if unreadable is not None:
        raise unreadable
    raise unknown_name("architecture", name, known)


# A bench asks for its networks one by one; what a file said while it was as it is now need not be read again.
@lru_cache(maxsize=128)
def _read_text(text: str, path: str) -> SearchSpace:
    return read_space(parse_definition(text, path))


@lru_cache(maxsize=128)
def _architecture_names(text: str, path: str) -> tuple[str, ...]:
    node = parse_definition(text, path).entries().get("architectures")
    return tuple(node.entries()) if node is not None else ()


def read_space(root: Node) -> SearchSpace:
    """Build a search space from the root of its definition; raises DefinitionError."""
    entries = root.entries()
    schema = entries.get("schema")
    if schema is None or type(schema.value) is not int or schema.value != _SCHEMA:
        raise (schema or root).error(f"must say `schema: {_SCHEMA}`" if schema is None else f"is not {_SCHEMA}")
    word = entries["skeleton"].word(("stack", "regnet")) if "skeleton" in entries else "stack"
    own, required = (_STACK, ("stem", "stages", "head")) if word == "stack" else (_REGNET, _REGNET)
    root.mapping(("schema", "name", "input", "classes", *required), (*_DESCRIPTION, *own))
    name = entries["name"].text()
    if not _NAME.fullmatch(name):
        raise entries["name"].error(
            f"is {entries['name'].describe()}; from 1 to 40 letters a-z and A-Z, digits, '.', '_' and '-' are allowed"
        )
    read = _read_stack if word == "stack" else _read_regnet
    skeleton = read(name, root, entries)
    _check_decodes(root, skeleton)
    named = tuple(_read_architectures(name, root, skeleton)) if "architectures" in entries else ()
    plain = {key: node.plain() for key, node in entries.items() if key not in ("about", "source", "architectures")}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
    about = entries["about"].text() if "about" in entries else ""
    source = entries["source"].text() if "source" in entries else ""
    return SearchSpace(name, about, source, root.path, skeleton, named, digest)


def read_network(node: Node) -> Architecture:
    """Build a network that belongs to no space: `input`, `classes`, and `table`, its rows, with the head as the last.

    Raises:
        DefinitionError: a row is wrong, or leaves a choice; other keys are for the caller to look at.
    """
    entries = node.entries()
    *rows, head = entries["table"].items()
    places = {**{f"stage{index}": row for index, row in enumerate(rows)}, "head": head}
    channels, size = _read_input(entries["input"])
    table = _read_rows(_SlotReader({}), places, 1)
    skeleton = Stack("", channels, size, entries["classes"].integer(2, 1_000_000), 1, table)
    _check_chosen(node, skeleton)
    _check_decodes(node, skeleton)
    return decode_choices(skeleton, {})


def _check_decodes(root: Node, skeleton: Skeleton) -> None:
    """Decode with the first and with the last values, so that an impossible row is found when the file is read."""
    for index in (0, -1):
        try:
            skeleton.decode(lambda choice, index=index: choice.values[index])  # type: ignore[misc]
        except DefinitionError as error:
            raise (error if str(error).startswith(root.path) else root.error(str(error))) from None


def _read_regnet(name: str, root: Node, entries: Mapping[str, Node]) -> Skeleton:
    channels, size = _read_input(entries["input"])
    rules = {"depth": _DEPTH, "group_width": COUNT, "se": SHARE, "w0": _MULTIPLE, "wa": _SLOPE, "wm": _GROWTH}
    given = entries["rule"].mapping(regnet.RULE)
    rule = {key: _read_alone(given[key], f"rule.{key}", rules[key]) for key in regnet.RULE}
    where = f"{root.path}:{entries['rule'].line}: rule"
    stem = entries["stem"].integer(1, 1_000_000)
    return regnet.RegNet(name, where, channels, size, entries["classes"].integer(2, 1_000_000), stem, rule)


def _read_input(node: Node) -> tuple[int, Scalar | Choice]:
    entries = node.mapping(("channels", "size"))
    return entries["channels"].integer(1, 4096), _read_alone(entries["size"], "input.size", _SIZE)


def _read_alone(node: Node, name: str, rule: Rule) -> Scalar | Choice:
    """Read what belongs to no row: the input's size, the width multiplier, a parameter of the rule."""
    if isinstance(node.value, str) and node.value.startswith("$"):
        raise node.error(f"is {node.value!r}, but only rows share choices; write the value or a list here")
    return at_layer(_SlotReader({}).slot(node, name, rule), 0)


def _read_stack(name: str, root: Node, entries: Mapping[str, Node]) -> Stack:
    shared = entries["shared"].entries() if "shared" in entries else {}
    for key, node in shared.items():
        if "." in key:
            raise node.error("has a dot in its name")
        if key == "width":
            raise node.error("has the name of the width multiplier's choice; take another name")
    channels, size = _read_input(entries["input"])
    reader = _SlotReader(shared)
    width = _read_alone(entries["width"], "width", FACTOR) if "width" in entries else 1
    stages = {f"stage{index}": node for index, node in enumerate(entries["stages"].items())}
    rows = _read_rows(reader, {"stem": entries["stem"], **stages, "head": entries["head"]}, width)
    for key, node in shared.items():
        if key not in reader.used:
            raise node.error(f"is used nowhere; write ${key} in a row")
    return Stack(name, channels, size, entries["classes"].integer(2, 1_000_000), width, rows)


def _read_rows(reader: _SlotReader, places: Mapping[str, Node], width: Scalar | Choice) -> tuple[Row, ...]:
    """Read the rows at their places, such as `stage0`; the one at `head` ends in the classes, and no other does."""
    rows = tuple(_read_row(reader, node, path) for path, node in places.items())
    for row, node in zip(rows, places.values(), strict=True):
        heads = [kind for kind in _row_kinds(row) if kind.out == "classes"]
        if row.path == "head" and len(heads) < len(_row_kinds(row)):
            raise node.error("must end in the classes; use " + ", ".join(k for k in KINDS if KINDS[k].out == "classes"))
        if row.path != "head" and heads:
            raise node.error(f"uses {heads[0].name}, which belongs at the head")
        _check_channels(node, row, width)
    return rows


def _read_row(reader: _SlotReader, node: Node, path: str) -> Row:
    entries = node.entries()
    if "block" not in entries:
        raise node.error("lacks the key 'block'")
    repeat: Slot = 1
    if "repeat" in entries:
        if path in ("stem", "head"):
            raise entries["repeat"].error("is not allowed; stem and head appear once")
        repeat = reader.slot(entries["repeat"], f"{path}.repeat", _REPEAT)
    most = max(int(value) for value in slot_values(at_layer(repeat, 0)))
    kind_rule = Rule("a block", lambda value: isinstance(value, str) and value in KINDS)
    kind_slot = reader.slot(entries["block"], f"{path}.block", kind_rule, most)
    kinds = _unique_kinds(kind_slot)
    node.mapping(("block",), (*_ROW, *dict.fromkeys(option.name for kind in kinds for option in kind.options)))
    out = reader.slot(entries["out"], f"{path}.out", COUNT, most) if "out" in entries else None
    _check_out(node, kinds, out)
    stride = reader.slot(entries["stride"], f"{path}.stride", _STRIDE) if "stride" in entries else 1
    if any(value != 1 for value in slot_values(at_layer(stride, 0))):
        for kind in kinds:
            if not kind.strided:
                raise entries["stride"].error(f"is given to {kind.name}, which takes no stride")
    options: dict[str, Slot] = {}
    for key, value in entries.items():
        if key not in _ROW:
            rules = [kind.option(key).rule for kind in kinds if kind.has(key)]
            options[key] = reader.slot(value, f"{path}.{key}", _all_of(rules), most)
    _check_needs(entries, kinds, options)
    scale = entries["scale"].word(("always", "never", "above_one")) if "scale" in entries else "always"
    where = f"{node.path}:{node.line}: {node.key}"
    return Row(path, where, kind_slot, repeat, out, stride, scale, options)


def _unique_kinds(slot: Slot) -> list[Kind]:
    slots = slot if isinstance(slot, tuple) else (slot,)
    return [KINDS[str(name)] for name in dict.fromkeys(value for one in slots for value in slot_values(one))]


def _row_kinds(row: Row) -> list[Kind]:
    return _unique_kinds(row.kind)


def _check_out(node: Node, kinds: list[Kind], out: Slot | None) -> None:
    takers = [kind.name for kind in kinds if kind.out == "given"]
    if takers and out is None:
        raise node.error(f"lacks the key 'out', the output channels of {takers[0]}")
    if out is not None and not takers:
        words = {"classes": "the number of classes", "same": "those of its input"}.get(
            str(kinds[0].out), "computed from its options"
        )
        raise node.entries()["out"].error(f"is given, but the output channels of {kinds[0].name} are {words}")


def _check_channels(node: Node, row: Row, width: Scalar | Choice) -> None:
    """Refuse a row whose widest output has more channels than a row may have."""
    if row.out is None:
        return
    factor = max(float(value) for value in _telling_values(width))
    most = max(int(value) for value in _telling_values(row.out))
    channels = row.channels(most, factor)
    if not COUNT.test(channels):
        raise node.entries()["out"].error(
            f"reaches {channels} channels at the width {factor:g}; {COUNT.words} is needed"
        )


def _telling_values(slot: Slot) -> tuple[Scalar, ...]:
    """Give the values that show whether all fit: of a range the first two and the last, otherwise all."""
    if isinstance(slot, tuple):
        return tuple(value for choice in slot for value in _telling_values(choice))
    if isinstance(slot, Choice) and isinstance(slot.values, Steps):
        return tuple(slot.values[index] for index in (0, 1, -1))
    return slot_values(slot)


def _check_needs(entries: Mapping[str, Node], kinds: list[Kind], options: Mapping[str, Slot]) -> None:
    """Refuse a choice that would sometimes have no effect."""
    for kind in kinds:
        for option in kind.options:
            slot = options.get(option.name)
            if not isinstance(slot, Choice | tuple):
                continue
            for other, idles, words in option.conditions():
                if any(map(idles, _telling_values(options.get(other, kind.option(other).default)))):
                    raise entries[option.name].error(f"is a choice, but has no effect where {other} {words}")


def _all_of(rules: list[Rule]) -> Rule:
    """Allow what every rule allows."""
    words = " and ".join(dict.fromkeys(rule.words for rule in rules))
    return Rule(words, lambda value: all(rule.test(value) for rule in rules))


@dataclass
class _SlotReader:
    """Reads what stands at one place of a row. Shared choices are read where they are first used, and kept."""

    shared: Mapping[str, Node]

    def __post_init__(self) -> None:
        self.used: dict[str, Slot] = {}

    def slot(self, node: Node, name: str, rule: Rule, repeats: int = 0) -> Slot:
        """Read a value, a list, `{each: ...}` (where `repeats` is above 0), a range or a `$shared` name."""
        if isinstance(node.value, str) and node.value.startswith("$"):
            return self._shared(node, node.value[1:], rule)
        if isinstance(node.value, dict) and "each" in node.value:
            if not repeats:
                raise node.error("cannot be chosen for each repeat; write a list")
            inner = node.mapping(("each",))["each"]
            values = self._values(inner, rule)
            return tuple(Choice(f"{name}.{layer}", values) for layer in range(repeats))
        if isinstance(node.value, dict | list):
            return Choice(name, self._values(node, rule))
        return self._checked(node, rule)

    def _shared(self, node: Node, key: str, rule: Rule) -> Slot:
        if key not in self.shared:
            close = difflib.get_close_matches(key, self.shared, n=1)
            hint = f" Did you mean {('$' + close[0])!r}?" if close else ""
            raise node.error(f"names {node.value!r}, which `shared:` does not have.{hint}")
        if key not in self.used:
            self.used[key] = _SlotReader({}).slot(self.shared[key], key, Rule("anything", lambda value: True))
        slot = self.used[key]
        for value in _telling_values(slot):
            if not rule.test(value):
                raise self.shared[key].error(f"holds {value!r}, but {node.key} needs {rule.words}")
        return slot

    def _values(self, node: Node, rule: Rule) -> tuple[Scalar, ...] | Steps:
        if isinstance(node.value, dict):
            return self._steps(node, rule)
        values = [self._checked(item, rule) for item in node.items()]
        if len(set(map(repr, values))) < len(values) or len(set(values)) < len(values):
            raise node.error("holds a value twice")
        if len(values) < 2:
            raise node.error("is a list of one value; write the value alone, or add another")
        return tuple(values)

    def _steps(self, node: Node, rule: Rule) -> Steps:
        entries = node.mapping(("from", "to", "step"))
        for entry in entries.values():
            if not isinstance(entry.value, int | float) or isinstance(entry.value, bool):
                raise entry.error(f"is {entry.describe()}; a number is needed")
        low, high, step = (entries[key].value for key in ("from", "to", "step"))
        if not step > 0 or not low < high:
            raise node.error("must go up: `from` below `to`, `step` above 0")
        steps = Steps(low, high, step)
        try:
            count = len(steps)
        except OverflowError as error:  # such as steps of 1e-31
            raise node.error("has more values than can be counted; from 2 to 1,000,000 are allowed") from error
        if not 2 <= count <= 1_000_000:
            raise node.error(f"has {count} values; from 2 to 1,000,000 are allowed")
        for value in (steps[0], steps[1], steps[count - 1]):
            if not rule.test(value):
                raise node.error(f"reaches {value}; {rule.words} is needed")
        return steps

    def _checked(self, node: Node, rule: Rule) -> Scalar:
        value = node.value
        if value is None or isinstance(value, dict | list) or not rule.test(value):
            if rule.words == "a block" and isinstance(value, str):
                raise node.error(f"is {node.describe()}, and no block is named so.{_hint(value)}")
            raise node.error(f"is {node.describe()}; {rule.words} is needed")
        return value  # type: ignore[no-any-return]


def _hint(name: str) -> str:
    """Suggest blocks for a name that none has: those of a like name, or else those that are about its words."""
    words = name.lower().replace("-", "_").split("_")
    about = [kind.name for kind in KINDS.values() if all(word in f"{kind.name} {kind.about}" for word in words)]
    likely = difflib.get_close_matches(name, KINDS, n=1) or about[:5]
    suggested = f" Did you mean {' or '.join(map(repr, likely))}?" if likely else ""
    return f"{suggested} `nasbench ls blocks` lists all {len(KINDS)}."


def _read_architectures(space: str, root: Node, skeleton: Skeleton) -> Iterator[NamedArchitecture]:
    for name, node in root.entries()["architectures"].entries().items():
        entries = node.mapping((), ("choose", "table", "published"))
        if ("choose" in entries) == ("table" in entries):
            raise node.error("needs either `choose`, a point of this space, or `table`, rows of its own")
        published = _read_published(entries["published"]) if "published" in entries else {}
        if "choose" in entries:
            choices = _read_choices(entries["choose"], skeleton)
            own: Skeleton = skeleton
        else:
            choices, own = None, _read_table(space, root, entries["table"])
        try:
            decode_choices(own, choices or {})
        except DefinitionError as error:
            raise node.error(f"is not possible: {error}") from None
        yield NamedArchitecture(name, own, choices, published, tuple(_read_latencies(entries.get("published"))))


def _read_choices(node: Node, skeleton: Skeleton) -> dict[str, Scalar]:
    """Read `choose`; a choice for every repeat may be given as one value or as a list."""
    names = {choice.name for choice in skeleton.choices}
    chosen: dict[str, Scalar] = {}
    for name, value in node.entries().items():
        if name in names:
            chosen[name] = value.plain()
            continue
        each = [full for full in names if full.startswith(f"{name}.") and full[len(name) + 1 :].isdigit()]
        if not each:
            raise value.error(str(unknown_name("choice", name, names)))
        if isinstance(value.value, list):
            chosen.update({f"{name}.{layer}": item.plain() for layer, item in enumerate(value.items())})
        else:
            count = _chosen_repeats(node, skeleton, name.rsplit(".", 1)[0], len(each))
            chosen.update({f"{name}.{layer}": value.plain() for layer in range(count)})
    return chosen


def _chosen_repeats(node: Node, skeleton: Skeleton, path: str, most: int) -> int:
    """Give how often `choose` repeats the row at `path`; `most` where the row leaves nothing to choose."""
    rows = skeleton.rows if isinstance(skeleton, Stack) else ()
    for row in rows:
        if row.path == path and isinstance(row.repeat, Choice) and row.repeat.name in node.entries():
            return node.entries()[row.repeat.name].integer(0, MAX_REPEAT)
    return most


def _read_table(space: str, root: Node, node: Node) -> Skeleton:
    """Read rows with no choice left; what they do not say is taken from the space."""
    read, own = (_read_regnet, _REGNET) if "rule" in root.entries() else (_read_stack, _STACK)
    given = node.mapping((), ("input", *own))
    left = ("architectures", "width", *(("stages", "shared") if "stages" in given else ()))
    entries = {key: value for key, value in root.entries().items() if key not in left}
    entries.update(given)
    skeleton = read(space, root, entries)
    _check_chosen(node, skeleton)
    return skeleton


def _check_chosen(node: Node, skeleton: Skeleton) -> None:
    """Refuse rows that leave a choice."""
    if skeleton.choices:
        names = ", ".join(choice.name for choice in skeleton.choices)
        raise node.error(f"leaves the choices {names}; an architecture leaves none")


def _read_latencies(node: Node | None) -> Iterator[PublishedLatency]:
    for item in node.entries()["latencies"].items() if node and "latencies" in node.entries() else []:
        entries = item.mapping(("ms", "device"), ("batch",))
        batch = entries["batch"].integer(1, 1_000_000) if "batch" in entries else 1
        yield PublishedLatency(entries["ms"].number(1e-6, 1e9) / 1e3, entries["device"].text(), batch)


def _read_published(node: Node) -> dict[str, float | str]:
    entries = node.mapping(("source",), _PUBLISHED)
    figures: dict[str, float | str] = {"source": entries["source"].text()}
    number = {"params": 1e15, "macs": 1e18, "top1": 100.0}
    figures.update({key: entries[key].number(0, high) for key, high in number.items() if key in entries})
    if "form" in entries:
        figures["form"] = entries["form"].word(("training", "deployed"))
    return figures
