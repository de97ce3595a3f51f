"""Write a network as Python source that stands alone: one file, which needs torch and nothing of nasbench.

The file has the rows of the network as constructor calls, and below them the source of the blocks that these rows are
of, as it stands in `nasbench.model.blocks`. So what the file computes and how it trains is what the network of
`nasbench.model.build` does, and its weights have the same names; nothing is traced or unrolled, and it can be edited.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from nasbench import __version__
from nasbench.errors import BuildError, NasbenchError
from nasbench.model.blocks import BLOCKS
from nasbench.model.cost import RowCost, count, count_rows
from nasbench.model.export import check_output, replacing
from nasbench.model.foreign import is_foreign
from nasbench.model.gather import Gathered, Import, Place, gather, write_imports
from nasbench.model.trace import show_shape
from nasbench.space.architecture import Architecture, Block, describe_options
from nasbench.space.kinds import find_kind
from nasbench.space.kinds.gates import GATES
from nasbench.units import one_line

_WIDTH = 120
_SHOWN_LOGITS = 8
_BLOCKS = "nasbench.model.blocks"
_BUILTIN = {"BuildError": "ValueError", "ShapeError": "ValueError"}
_ATTENTION: Place = (f"{_BLOCKS}.gates", "make_attention")
_INITIALIZE: Place = ("nasbench.model.build", "initialize")
_FOLD: Place = ("nasbench.model.deploy", "fold")
_OWN_NAMES = ("Network", "deploy", "load", "check", "main", "NAME", "INPUT_SHAPE", "CLASSES", "SEED", "EXPECTED")
_OWN_IMPORTS: frozenset[Import] = frozenset(
    {
        ("", "copy", "copy"),
        ("", "hashlib", "hashlib"),
        ("", "math", "math"),
        ("", "sys", "sys"),
        ("", "torch", "torch"),
        ("pathlib", "Path", "Path"),
        ("torch", "Tensor", "Tensor"),
        ("torch", "nn", "nn"),
    }
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an exported network comes from, for people; any text is allowed and becomes part of comments only.

    `published` is what its paper reports, in words, and `command` what wrote the file.
    """

    name: str
    source: str = ""
    published: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a network gives for one picture: a digest of all logits, the largest magnitude of them, and the first."""

    digest: str
    largest: float
    logits: tuple[float, ...]


def to_source(
    architecture: Architecture, path: Path, origin: Origin, *, seed: int = 0, trained: nn.Module | None = None
) -> None:
    """Write a network as a Python file that stands alone, once that was loaded and found to compute the same.

    Args:
        architecture: of rows; networks of others have a source already.
        path: the file; trained weights are expected beside it, with the suffix .safetensors.
        origin: what the file says of where the network comes from.
        seed: of the initial weights that `Network()` in the file has.
        trained: the same network with trained weights; the file can then be checked against these too.

    Raises:
        DefinitionError: as `nasbench.model.export.check_output`.
        BuildError: the network is a file, a function or timm's.
        NasbenchError: the file does not compute the same, which is a fault of nasbench.
    """
    from nasbench.model.build import build

    if is_foreign(architecture):
        raise BuildError("only networks of rows are written as source; those of timm and of your own have theirs")
    check_output(path)
    networks: dict[str, nn.Module] = {f"weights drawn from seed {seed}": build(architecture, seed)}
    if trained is not None:
        networks[path.with_suffix(".safetensors").name] = trained
    with _one_thread(), replacing(path) as part:
        picture = make_picture(architecture.input_shape)
        expected = {what: describe_output(run(network, picture)) for what, network in networks.items()}
        part.write_text(write_source(architecture, origin, seed, expected), encoding="utf-8")
        module = load_source(part)
        for what, network in networks.items():
            again = module.Network(seed)
            if network is trained:
                again.load_state_dict(network.state_dict())
            if describe_output(run(again, picture)) != expected[what]:
                raise NasbenchError(
                    f"{path.name} is not written: with {what} it computes something else; this is a fault of nasbench"
                )


def load_source(path: Path) -> ModuleType:
    """Execute a file of `to_source`, and give it as a module; it is as much to be trusted as any Python file."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    # not by an importer, which would leave compiled files beside it and might take an older one of them
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102
    return module


def run(network: nn.Module, images: Tensor) -> Tensor:
    """Give a network's logits in evaluation mode; its mode afterwards is that of before."""
    training = network.training
    try:
        with torch.no_grad():
            logits: Tensor = network.eval()(images)
            return logits
    finally:
        network.train(training)


def make_picture(shape: tuple[int, int, int]) -> Tensor:
    """Make one image (1, C, H, W) of a pattern that needs no random numbers; exported files have the same function."""
    count = shape[0] * shape[1] * shape[2]
    return (torch.arange(count) % 251 / 125 - 1).reshape(1, *shape)


def describe_output(logits: Tensor) -> Expected:
    """Give a digest of all values, and the first ones where they are finite."""
    values = logits.flatten().tolist()
    shown = tuple(float(f"{value:.9g}") for value in values[:_SHOWN_LOGITS])  # nine digits tell every float32 apart
    digest = hashlib.sha256(repr(values).encode()).hexdigest()[:16]
    if not all(map(isfinite, values)):
        return Expected(digest, 0.0, ())
    return Expected(digest, max(map(abs, values), default=0.0), shown)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread, as the check in an exported file does: sums in parallel can differ in the last bit."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)


def write_source(
    architecture: Architecture, origin: Origin, seed: int = 0, expected: Mapping[str, Expected] | None = None
) -> str:
    """Give the text of a Python file that stands alone; raises as `nasbench.model.build.build`."""
    rows = count_rows(architecture)
    blocks = gather_blocks(block for block in architecture.blocks)
    parts = [
        _ABOUT,
        "from __future__ import annotations",
        write_imports(blocks.imports | _OWN_IMPORTS),
        "\n".join(_describe(architecture, rows, origin)),
        _constants(architecture, origin, seed, expected or {}),
        "\n" + _network(architecture, rows, blocks),
        *(f"\n{_heading(module, about)}\n\n{text}" for module, about, text in blocks.sections),
        "\n" + _CHECK,
    ]
    return "\n\n".join(parts)


def gather_blocks(rows: Iterable[Block]) -> Gathered:
    """Gather the source of the blocks that rows are of, of initial values and of the inference form."""
    rows = list(rows)
    attentions = dict.fromkeys(str(dict(row.options)["gate"]) for row in rows if "gate" in dict(row.options))
    text, uses = _write_attention(attentions)
    return gather(
        [*dict.fromkeys(_place_of(row.kind) for row in rows), _INITIALIZE, _FOLD],
        taken=_OWN_NAMES,
        builtin=_BUILTIN,
        replaced={_ATTENTION: (text, uses)},
    )


def _place_of(kind: str) -> Place:
    block = BLOCKS.find(kind)
    return block.__module__, block.__name__


def _write_attention(names: Iterable[str]) -> tuple[str, tuple[Place, ...]]:
    """Write the function that finds a gate by name, for some names, without the registry; and what it uses."""
    cases, uses = [], []
    for name in names:
        if name == "none":
            continue
        kind, given = GATES[name]
        options = [f"{key}={value!r}" for key, value in find_kind(kind).values(given).items()]
        if find_kind(kind).sized:
            options.append("shape=shape")
        uses.append(_place_of(kind))
        made = f"{uses[-1][1]}({', '.join(['channels', 'channels', '1', *options])})".replace("'", '"')
        cases.append(f'        case "{name}":\n            return {made}')
    lines = [
        "def make_attention(name: str, channels: int, shape: tuple[int, int, int] | None) -> nn.Module | None:",
        '    """Make what the option `gate` of a residual block names, None for none."""',
        "    match name:",
        '        case "none":',
        "            return None",
        *cases,
        '    raise ValueError(f"no gate is named {name!r} in this file")',
    ]
    return "\n".join(lines), tuple(uses)


def _heading(module: str, about: str) -> str:
    return f"# {'-' * (_WIDTH - 2)}\n# {about}\n# From {module.replace('.', '/')}.py of nasbench {__version__}.\n"


def _describe(architecture: Architecture, rows: tuple[RowCost, ...], origin: Origin) -> Iterator[str]:
    """Give the comment that says what network this is, with its table of rows."""
    cost = count(architecture)
    counted = f"{cost.params:,} parameters and {cost.macs:,} multiply-accumulates an image"
    if (cost.deployed_params, cost.deployed_macs) != (cost.params, cost.macs):
        counted += f"; deployed {cost.deployed_params:,} and {cost.deployed_macs:,}"
    said = {
        "network": origin.name,
        "architecture": f"{architecture.digest}, of the space {architecture.space}"
        if architecture.space
        else architecture.digest,
        "input": f"{show_shape(architecture.input_shape).replace('x', ' x ')}, {architecture.classes} classes",
        "size": counted,
        "source": origin.source,
        "published": origin.published,
        "written by": f"nasbench {__version__}" + (f": {origin.command}" if origin.command else ""),
    }
    for key, value in said.items():
        if value:
            yield from textwrap.wrap(
                one_line(value), _WIDTH, initial_indent=f"# {key + ':':<14}", subsequent_indent="#" + " " * 15
            )
    table = [("row", "block", "output", "stride", "parameters", "MACs", "options")]
    for index, row in enumerate(rows):
        table.append(
            (
                str(index),
                row.block.kind,
                show_shape(row.output_shape),
                str(row.block.stride),
                f"{row.cost.params:,}",
                f"{row.cost.macs:,}",
                describe_options(row.block.options),
            )
        )
    widths = [max(len(line[column]) for line in table) for column in range(6)]
    yield "#"
    for line in table:
        cells = [
            cell.rjust(width) if column in (0, 3, 4, 5) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=False))
        ]
        yield "# " + "  ".join([*cells, line[6]]).rstrip()


def _constants(architecture: Architecture, origin: Origin, seed: int, expected: Mapping[str, Expected]) -> str:
    lines = [
        f"NAME = {_literal(one_line(origin.name))}",
        f"INPUT_SHAPE = {architecture.input_shape}",
        f"CLASSES = {architecture.classes}",
        f"SEED = {seed}",
        "EXPECTED = {  # what nasbench computed for the picture of `check`: a digest, the largest and the first logits",
    ]
    for what, one in expected.items():
        logits = textwrap.wrap(f"{list(one.logits)},", _WIDTH - 8)
        lines += [
            f"    {_literal(what)}: (",
            *(f"        {line}" for line in (f"{_literal(one.digest)},", f"{one.largest},", *logits)),
            "    ),",
        ]
    return "\n".join([*lines, "}"])


def _network(architecture: Architecture, rows: tuple[RowCost, ...], blocks: Gathered) -> str:
    shapes = [architecture.input_shape, *(row.output_shape for row in rows)]
    calls = [
        _call(row.block, blocks.names[_place_of(row.block.kind)], shape)
        for row, shape in zip(rows, shapes, strict=False)
    ]
    lines = []
    for call, group in groupby(range(len(calls)), key=lambda index: tuple(calls[index])):
        members = list(group)
        first, last = members[0], members[-1]
        which = f"row {first}" if first == last else f"rows {first} to {last}"
        lines.append(f"                # {which}: {show_shape(shapes[first])} -> {show_shape(shapes[last + 1])}")
        name, arguments = call[0], call[1:]
        if first == last:
            lines += _wrap(f"{name}(", arguments, "),", 16)
        else:
            lines += ["                *(", *_wrap(f"{name}(", arguments, ")", 20)]
            lines += [f"                    for _ in range({len(members)})", "                ),"]
    return _NETWORK.replace("ROWS", "\n".join(lines)).replace(
        "SHAPES", f"(N, {', '.join(map(str, architecture.input_shape))}) -> (N, {architecture.classes})"
    )


def _call(block: Block, name: str, shape: Any) -> list[str]:
    """Give the name of a row's class and its arguments, as source."""
    kind = find_kind(block.kind)
    options = kind.values(dict(block.options)) | ({"shape": shape} if kind.sized else {})
    given = [f"{key}={_literal(value)}" for key, value in options.items()]
    return [name, str(block.in_channels), str(block.out_channels), str(block.stride), *given]


def _literal(value: Any) -> str:
    text = ascii(value)
    return '"' + text[1:-1] + '"' if isinstance(value, str) and '"' not in text else text


def _wrap(opening: str, arguments: Iterable[str], closing: str, indent: int) -> list[str]:
    """Write a call on as few lines as it fits on."""
    arguments = list(arguments)
    line = f"{' ' * indent}{opening}{', '.join(arguments)}{closing}"
    if len(line) <= _WIDTH:
        return [line]
    inner = " " * (indent + 4)
    filled = textwrap.wrap(", ".join(arguments) + ",", _WIDTH, initial_indent=inner, subsequent_indent=inner)
    return [" " * indent + opening, *filled, " " * indent + closing]


_ABOUT = '''"""A network that nasbench wrote out: one file, which needs torch and nothing else.

`Network()` is the network with initial weights, in training mode. In evaluation mode it computes what it computes in
nasbench, to the bit with equal weights on an equal machine, and its weights have the same names. It trains as it does
there too: dropout, stochastic depth and the like are not in it; add what your recipe needs.

`load(path)` gives it with the weights of a .safetensors file. `deploy(network)` gives the form for inference, with
batch norms folded and branches merged; that form is the one whose latency nasbench measures.

Run the file to check it: it compares what it computes with what nasbench computed. The blocks are source of nasbench,
under the Apache License 2.0.
"""'''

_NETWORK = '''class Network(nn.Module):
    """SHAPES, the rows one after the other."""

    def __init__(self, seed: int = SEED) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
ROWS
            ]
        )
        initialize(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits."""
        flow = images  # images, tokens, or a pair of streams
        for block in self.blocks:
            flow = block(flow)
        return flow


def load(path: str | Path) -> Network:
    """Give the network in evaluation mode with the weights of a .safetensors file."""
    from safetensors.torch import load_file  # pip install safetensors

    network = Network()
    network.load_state_dict(load_file(path))
    return network.eval()


def deploy(network: Network) -> Network:
    """Give the form for inference, as a copy in evaluation mode."""
    deployed = copy.deepcopy(network).eval()
    with torch.no_grad():
        deployed.blocks = nn.ModuleList(fold(block) for block in deployed.blocks)
    return deployed.requires_grad_(False)'''

_CHECK = f'''# {"-" * (_WIDTH - 2)}
# The check


def check(network: nn.Module, digest: str, largest: float, logits: list[float]) -> bool:
    """Compare what a network computes with what nasbench computed, print what is found, and say whether it is right."""
    torch.set_num_threads(1)
    count = INPUT_SHAPE[0] * INPUT_SHAPE[1] * INPUT_SHAPE[2]
    picture = (torch.arange(count) % 251 / 125 - 1).reshape(1, *INPUT_SHAPE)
    with torch.no_grad():
        values = network.eval()(picture).flatten().tolist()
    found = hashlib.sha256(repr(values).encode()).hexdigest()[:16]
    if found == digest:
        print(f"  output {{found}}: equal to the bit")
        return True
    difference = max((abs(one - other) for one, other in zip(values, logits)), default=float("inf")) / (largest or 1.0)
    right = difference < 1e-3 and all(map(math.isfinite, values))
    words = "as equal as two machines are" if right else "this is another network"
    print(f"  output {{found}}, expected {{digest}}; they differ by {{difference:.1e}} of the largest: {{words}}")
    return right


def main() -> int:
    """Check the network with initial weights, and with those of a .safetensors file where one is beside this file."""
    network = Network()
    count = sum(parameter.numel() for parameter in network.parameters())
    print(f"{{NAME}}: {{count:,}} parameters, {{CLASSES}} classes")
    right = True
    for what, (digest, largest, logits) in EXPECTED.items():
        print(what)
        beside = Path(__file__).with_name(what)
        if what.endswith(".safetensors"):
            if not beside.is_file():
                print("  is not beside this file")
                continue
            network = load(beside)
        right = check(network, digest, largest, logits) and right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
'''
