"""Networks that nasbench did not build: an ONNX file, a network of timm, or a Python function that gives a module.

Each is an architecture of one row, so that everything which measures an architecture measures it too. Reading a row
back runs no code: a user's function is called in the process that measures or exports, and nowhere else.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import BuildError, DefinitionError
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import FOREIGN_KINDS, make_block

if TYPE_CHECKING:
    from torch import nn

UNKNOWN_CLASSES = 0
"""The number of classes of a network whose output is not known before it runs; only its batch is checked."""

TIMM = "timm/"
"""What stands before the name of a network of timm; `nasbench.model.from_timm` makes them."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What an ONNX file says of itself. `batch` is None where the file leaves it open."""

    input_shape: tuple[int, int, int]
    batch: int | None
    sha256: str


def onnx_file(path: Path) -> Architecture:
    """Give the architecture that stands for an ONNX file; its weights stay where they are.

    Raises:
        DefinitionError: the file cannot be read, or it is no network with one input of images in fp32.
    """
    found = inspect_onnx(path)
    return foreign_architecture("onnx_file", found.input_shape, path=str(path), sha256=found.sha256)


def factory(target: str, input_shape: tuple[int, int, int]) -> Architecture:
    """Give the architecture that stands for a function without arguments, `package.module:function`.

    The module's source is found and hashed, not executed. `input_shape` is (channels, height, width).

    Raises:
        DefinitionError: the text has another form, or there is no such module with a source file.
    """
    module, colon, function = target.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), function)):
        raise DefinitionError(f"{target!r} is no function of a module; write package.module:function")
    source = _find_source(module)
    if source is None:
        raise DefinitionError(
            f"{target!r}: there is no module {module!r} with a source file here or among what is installed"
        )
    return foreign_architecture("factory", input_shape, target=target, sha256=_hash([source]))


def is_foreign(architecture: Architecture) -> bool:
    """Say whether nasbench did not build this network."""
    return len(architecture.blocks) == 1 and architecture.blocks[0].kind in FOREIGN_KINDS


def is_onnx_file(architecture: Architecture) -> bool:
    """Say whether this network is an ONNX file."""
    return is_foreign(architecture) and architecture.blocks[0].kind == "onnx_file"


def is_timm(architecture: Architecture) -> bool:
    """Say whether this network is one of timm."""
    return is_foreign(architecture) and architecture.blocks[0].kind == "timm"


def name_foreign(architecture: Architecture) -> str:
    """Give the path, the function or the name at timm that an architecture stands for."""
    options = dict(architecture.blocks[0].options)
    if is_timm(architecture):
        return f"{TIMM}{options['name']}"
    return str(options["path"] if is_onnx_file(architecture) else options["target"])


def foreign_architecture(
    kind: str, input_shape: tuple[int, int, int], classes: int = UNKNOWN_CLASSES, **options: str
) -> Architecture:
    """Give the architecture of one row of a foreign kind."""
    row = make_block(kind, input_shape[0], input_shape[0], 1, options, kind)
    return Architecture(input_shape, classes, (row,))


def seed_all(seed: int) -> None:
    """Seed every random state that somebody else's code may draw weights from."""
    import numpy as np
    import torch

    for set_seed in (torch.manual_seed, np.random.seed, random.seed):
        set_seed(seed)


def check_onnx(architecture: Architecture, batch: int) -> Path:
    """Check that the file is what it was when the architecture was made, and that it takes a batch; give its path.

    Raises:
        BuildError: it was changed or is gone, or it has another batch.
    """
    path = Path(name_foreign(architecture))
    try:
        found = inspect_onnx(path)
    except DefinitionError as error:
        raise BuildError(str(error)) from error
    if found.sha256 != dict(architecture.blocks[0].options)["sha256"]:
        raise BuildError(f"{path}: the file was changed after it was named")
    if found.batch not in (None, batch):
        raise BuildError(
            f"{path}: takes a batch of {found.batch} and no other, and {batch} was asked for; export it so"
        )
    return path


def call_factory(architecture: Architecture, seed: int, *, training: bool = False) -> nn.Module:
    """Call the user's function, all random states seeded before, and give its network in evaluation or training mode.

    Raises:
        BuildError: it cannot be imported or fails, its source was changed, or it gives something else.
    """
    import torch

    target = name_foreign(architecture)
    module, _, function = target.partition(":")
    source = _find_source(module)
    if source is None or _hash([source]) != dict(architecture.blocks[0].options)["sha256"]:
        raise BuildError(f"{target}: its source was changed after it was named")
    seed_all(seed)  # it is called again to check its output
    try:
        network = getattr(importlib.import_module(module), function)()
    except Exception as error:  # the user's own code may raise anything
        raise BuildError(f"{target}: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(network, torch.nn.Module):
        raise BuildError(f"{target}: gives a {type(network).__name__}; a torch.nn.Module is needed")
    return network.train() if training else network.eval().requires_grad_(False)


def inspect_onnx(path: Path) -> OnnxFile:
    """Read what an ONNX file takes, without weights that lie in other files.

    Raises:
        DefinitionError: it cannot be read, lacks files, or does not take one input of images in fp32.
    """
    try:
        import onnx
    except ImportError as error:
        raise DefinitionError(f"{path}: reading ONNX files needs onnx: pip install nasbench[onnx]") from error
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read: {error.strerror or error}") from error
    except DecodeError as error:
        raise DefinitionError(f"{path}: is no ONNX file") from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise DefinitionError(f"{path}: has {len(inputs)} inputs ({names}); networks with one input are measured")
    tensor = inputs[0].type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    if tensor.elem_type != onnx.TensorProto.FLOAT or len(sizes) != 4 or not all(sizes[1:]):
        kind = onnx.helper.tensor_dtype_to_string(tensor.elem_type).removeprefix("TensorProto.").lower()
        shape = "x".join("?" if size is None else str(size) for size in sizes)
        raise DefinitionError(
            f"{path}: its input {inputs[0].name} is {kind} {shape}; float images NxCxHxW are needed, of which only N "
            "may be left open"
        )
    channels, height, width = (int(size or 0) for size in sizes[1:])
    return OnnxFile((channels, height, width), sizes[0] or None, _hash([path, *_external_files(graph, path)]))


def _external_files(graph: Any, path: Path) -> list[Path]:
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    names = {ExternalDataInfo(tensor).location for tensor in graph.initializer if uses_external_data(tensor)}
    files = [path.parent / name for name in sorted(names)]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise DefinitionError(f"{path}: its weights lie in {', '.join(missing)}, which is not there")
    return files


def _find_source(module: str) -> Path | None:
    """Find the source file of a module as an import would, but import nothing, its packages included."""
    places: Sequence[str] | None = None
    name = ""
    source = None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _find_spec(name, places)
        if spec is None:
            return None
        places, source = spec.submodule_search_locations, spec.origin
    return Path(source) if source and source.endswith(".py") else None


def _find_spec(name: str, places: Sequence[str] | None) -> Any:
    for finder in sys.meta_path:
        # a user's own modules lie in the working directory, which a command's search path may lack
        for where in (places,) if places is not None else (None, [str(Path.cwd())]):
            if (spec := finder.find_spec(name, where)) is not None:
                return spec
    return None


def _hash(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """Give the first line of what an error says."""
    return next(iter(str(error).strip().splitlines()), "")
