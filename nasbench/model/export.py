"""Take an architecture or a network out of nasbench: as a definition, as ONNX, as a file of weights."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import os
import pickle
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from nasbench.definitions import Node, parse_definition
from nasbench.errors import BuildError, CandidateError, DefinitionError, NasbenchError
from nasbench.model.build import Network, build, check
from nasbench.model.deploy import deploy
from nasbench.space.architecture import Architecture
from nasbench.space.around import fixed, narrow, vary
from nasbench.space.load import read_space
from nasbench.space.write import write_definition
from nasbench.units import one_line


def to_yaml(architecture: Architecture) -> str:
    """Write an architecture as a definition with no choice left, one row a block, which nasbench reads back.

    Raises:
        BuildError: the input is not square; definitions have one size.
    """
    _check_square(architecture)
    space = architecture.space
    about = f"One architecture of the space {space}" if space else "One architecture"
    head = {"schema": 1, "name": _space_name(architecture, architecture.digest), "about": about}
    return write_definition(head | fixed(architecture))


def to_space(architecture: Architecture, name: str, steps: int, root: Node | None = None) -> str:
    """Write a definition whose choices lie near an architecture, with the architecture as a named point of it.

    Args:
        architecture: of rows.
        name: of the point.
        steps: how many values the choices go up and down, from 1.
        root: the definition of the space that the architecture is a point of, whose choices are narrowed then. Without
            one, or where it is no point of that space, its rows are varied, see `nasbench.space.around`.

    Raises:
        BuildError: the input is not square.
        DefinitionError: the definition is wrong.
    """
    _check_square(architecture)
    near = None if root is None else narrow(root, architecture, steps)
    what = "Choices of its space" if near is not None else "Kernels, repeats and channels"
    about = f"{what} at most {steps} {'step' if steps == 1 else 'steps'} around {one_line(name)}"
    if near is None:
        near = vary(architecture, steps, _can_be_built)
    head = {"schema": 1, "name": _space_name(architecture, f"{architecture.digest[:8]}-around"), "about": about}
    if "source" in near:
        head["source"] = near["source"]
    definition = {**head, **{key: value for key, value in near.items() if key not in head}}
    space = read_space(parse_definition(write_definition(definition), "the definition around it"))
    return write_definition({**definition, "architectures": {name: {"choose": space.encode(architecture)}}})


def _can_be_built(architecture: Architecture) -> bool:
    try:
        check(architecture)
    except CandidateError:
        return False
    return True


def _check_square(architecture: Architecture) -> None:
    _, height, width = architecture.input_shape
    if height != width:
        raise BuildError(f"the input is {height}x{width}; a definition has one size for both")


def _space_name(architecture: Architecture, ending: str) -> str:
    """Give the name of a definition: 40 characters at most, and only those that such names have."""
    space = re.sub(r"[^A-Za-z0-9._-]", "_", architecture.space or "architecture")
    return f"{space[: 39 - len(ending)]}-{ending}"


def to_onnx(
    network: nn.Module,
    path: Path,
    input_shape: tuple[int, int, int],
    batch: int | None = 1,
    opset: int | None = None,
) -> None:
    """Write a network as an ONNX file in evaluation mode, with the input `images` and the output `logits`.

    Shapes are fixed, the batch included, since runtimes plan better for known shapes. `deploy` the network before for
    the form that is measured. Of more than 1.5 GiB of weights, torch writes them into a second file, `path` with .data.

    Args:
        network: a module of one input.
        path: the file.
        input_shape: (channels, height, width) of one image.
        batch: number of images; None leaves it open.
        opset: version of ONNX's operators; None takes torch's own choice.

    Raises:
        DefinitionError: as `check_output`, or torch does not write this version of the operators.
        NasbenchError: the packages of the extra `onnx` are not installed, or torch cannot export the network.
    """
    check_onnx()
    check_output(path)
    refusals: tuple[type[Exception], ...] = (torch.onnx.errors.OnnxExporterError,)
    if opset is not None:
        refusals = (*refusals, RuntimeError)  # what onnx raises for a version that there is not
    training = network.training
    # traced with two images where the number is left open: of one, torch takes it for fixed
    images = torch.zeros((batch or 2, *input_shape))
    try:
        with replacing(path) as part:
            with _silent():
                torch.onnx.export(
                    network.eval(),
                    (images,),
                    str(part),
                    dynamo=True,
                    external_data=False,
                    input_names=["images"],
                    output_names=["logits"],
                    opset_version=opset,
                    dynamic_shapes=None if batch is not None else ({0: torch.export.Dim("batch")},),
                    verbose=False,
                )
            if opset is not None:
                _check_opset(part, opset)
    except refusals as error:
        cause = error.__cause__ or error  # the exporter's own text says which of its steps failed, the cause says why
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise NasbenchError(f"torch cannot export this network to ONNX: {reason}") from error
    finally:
        network.train(training)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter quiet: it talks on stdout, which is for answers, warns, and logs what it tries in vain."""
    kept = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(kept)


def _check_opset(path: Path, opset: int) -> None:
    """Look whether a file has the operators that were asked for; torch writes others where it cannot convert them."""
    import onnx

    found = next(one.version for one in onnx.load(path, load_external_data=False).opset_import if not one.domain)
    if found != opset:
        raise DefinitionError(
            f"version {opset} of ONNX's operators cannot be written for this network; torch gives version {found}"
        )


def to_torch(network: Network, architecture: Architecture, path: Path) -> None:
    """Write an architecture and a network's weights into one file; `load_torch` reads it back, without running code.

    Raises:
        DefinitionError: as `check_output`.
    """
    check_output(path)
    with replacing(path) as part:
        torch.save(
            {
                "architecture": architecture.as_dict(),
                "deployed": network.deployed,
                "state_dict": network.state_dict(),
            },
            part,
        )


def to_safetensors(network: nn.Module, architecture: Architecture, path: Path) -> None:
    """Write a network's weights by name as safetensors, with the rows of its architecture as JSON in the metadata.

    The names are those of `Network` in nasbench, and of the file that `nasbench.model.standalone` writes.

    Raises:
        DefinitionError: as `check_output`.
        NasbenchError: the package safetensors is not installed.
    """
    check_output(path)
    check_safetensors()
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with replacing(path) as part:
        save_file(state, part, metadata={"format": "pt", "architecture": json.dumps(architecture.as_dict())})


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place to write and to check a file that is to be `path`: the same name in a temporary folder beside it.

    At the end every file in that folder takes the place of the one of its name; after an error none does. It is a
    folder since files name each other: large ONNX files their weights, sources theirs. A link, such as that of an open
    file in /proc, is written through.
    """
    if path.is_symlink():
        yield path
        return
    with TemporaryDirectory(prefix=".nasbench-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        yield part
        for written in sorted(part.parent.iterdir(), key=lambda one: one == part):  # last the file that names others
            written.replace(path.with_name(written.name))


def check_onnx() -> None:
    """Check that ONNX files can be written; asked before weights are trained.

    Raises:
        NasbenchError: a package is not installed.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise NasbenchError(f"export to ONNX needs {' and '.join(missing)}: pip install nasbench[onnx]")


def check_safetensors() -> None:
    """Check that weights can be written as safetensors; asked before they are trained.

    Raises:
        NasbenchError: the package is not installed.
    """
    if importlib.util.find_spec("safetensors") is None:
        raise NasbenchError("weights as safetensors need the package safetensors: pip install nasbench[export]")


def check_output(path: Path) -> None:
    """Check that a file can be written at `path`; asked before the work that it is to hold.

    Raises:
        DefinitionError: its folder is absent, it is a folder or a device itself, or writing is not permitted.
    """
    if not path.parent.is_dir():
        raise DefinitionError(f"{path}: cannot be written: there is no folder {path.parent}")
    if path.is_dir():
        raise DefinitionError(f"{path}: cannot be written: it is a folder; give the name of a file in it")
    if path.exists() and not path.is_file():
        raise DefinitionError(f"{path}: cannot be written: it is no ordinary file")  # a device would be replaced
    beside = path.is_symlink() or os.access(path.parent, os.W_OK)  # see `replacing`
    if not beside or (path.exists() and not os.access(path, os.W_OK)):
        raise DefinitionError(f"{path}: cannot be written: permission denied")


def load_torch(path: Path) -> tuple[Architecture, Network]:
    """Read what `to_torch` wrote; the network is in evaluation mode on the CPU.

    Raises:
        NasbenchError: the file cannot be read, or holds something else.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
        architecture = Architecture.from_dict(data["architecture"])
        network = build(architecture)
        if data["deployed"]:
            network = deploy(network)
        network.load_state_dict(data["state_dict"])
    except OSError as error:
        raise NasbenchError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, EOFError, NasbenchError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NasbenchError(f"{path}: holds no network of nasbench: {reason}") from error
    return architecture, network.eval()
