"""Take an architecture or a network out of nasbench: as a definition, as ONNX, as a file of weights."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from nasbench.errors import BuildError, DefinitionError, NasbenchError
from nasbench.model.build import Network, build
from nasbench.model.deploy import deploy
from nasbench.space.architecture import Architecture, Block
from nasbench.space.kinds import find_kind


def to_yaml(architecture: Architecture) -> str:
    """Write an architecture as a definition with no choice left, one row a block, which nasbench reads back.

    Raises:
        BuildError: the input is not square; definitions have one size.
    """
    channels, height, width = architecture.input_shape
    if height != width:
        raise BuildError(f"the input is {height}x{width}; a definition has one size for both")
    *body, head = [_row(block) for block in architecture.blocks] or [_NOTHING]
    stem, *stages = body or [_NOTHING]
    space = architecture.space or "architecture"
    lines = [
        "schema: 1",
        f"name: {_flow(f'{space}-{architecture.digest}')}",
        f"about: {_flow(f'One architecture of the space {space}' if architecture.space else 'One architecture')}",
        f"input: {_flow({'channels': channels, 'size': height})}",
        f"classes: {architecture.classes}",
        f"stem: {_flow(stem)}",
        "stages:",
        *(f"  - {_flow(row)}" for row in stages or [_NOTHING]),
        f"head: {_flow(head)}",
    ]
    return "\n".join(lines) + "\n"


_NOTHING: dict[str, Any] = {"block": "identity"}
"""The row that vanishes; it fills a place of the grammar that a very short network leaves empty."""


def _row(block: Block) -> dict[str, Any]:
    row: dict[str, Any] = {"block": block.kind}
    if find_kind(block.kind).out == "given":
        row["out"] = block.out_channels
    if block.stride != 1:
        row["stride"] = block.stride
    return row | dict(block.options)


def _flow(value: Any) -> str:
    """Write a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1_000_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def to_onnx(network: nn.Module, path: Path, input_shape: tuple[int, int, int], batch: int = 1) -> None:
    """Write a network as one ONNX file in evaluation mode, with the input `images` and the output `logits`.

    Shapes are fixed, the batch included, since runtimes plan better for known shapes. `deploy` the network before for
    the form that is measured.

    Raises:
        DefinitionError: as `check_output`.
        NasbenchError: the packages of the extra `onnx` are not installed, or torch cannot export the network.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise NasbenchError(f"export to ONNX needs {' and '.join(missing)}: pip install nasbench[onnx]")
    check_output(path)
    training = network.training
    images = torch.zeros((batch, *input_shape))
    try:
        # The exporter talks on stdout, which is kept for answers, and warns of what torch itself has deprecated.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            torch.onnx.export(
                network.eval(),
                (images,),
                str(path),
                dynamo=True,
                external_data=False,
                input_names=["images"],
                output_names=["logits"],
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        cause = error.__cause__ or error  # the exporter's own text says which of its steps failed, the cause says why
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise NasbenchError(f"torch cannot export this network to ONNX: {reason}") from error
    finally:
        network.train(training)


def to_torch(network: Network, architecture: Architecture, path: Path) -> None:
    """Write an architecture and a network's weights into one file; `load_torch` reads it back, without running code.

    Raises:
        DefinitionError: as `check_output`.
    """
    check_output(path)
    torch.save(
        {
            "architecture": architecture.as_dict(),
            "deployed": network.deployed,
            "state_dict": network.state_dict(),
        },
        path,
    )


def check_output(path: Path) -> None:
    """Check that a file can be written at `path`; asked before the work that it is to hold.

    Raises:
        DefinitionError: its folder is absent, it is a folder itself, or writing is not permitted.
    """
    if not path.parent.is_dir():
        raise DefinitionError(f"{path}: cannot be written: there is no folder {path.parent}")
    if path.is_dir():
        raise DefinitionError(f"{path}: cannot be written: it is a folder; give the name of a file in it")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
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
