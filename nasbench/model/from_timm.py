"""Networks of timm (PyTorch Image Models) by their names there: an optional extra, `pip install nasbench[timm]`.

A row holds the name and timm's version; reading it back imports nothing. timm is imported where a network is named,
counted, built or exported.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from nasbench.errors import BuildError, DefinitionError, UnknownNameError
from nasbench.model.absorb import absorb_norms, find_norms, rest_of_plain
from nasbench.model.foreign import TIMM, first_line, foreign_architecture, is_timm, name_foreign, seed_all
from nasbench.model.trace import trace_module
from nasbench.records import Cost
from nasbench.space.architecture import Architecture

_CLOSEST = 3


def timm_network(name: str) -> Architecture:
    """Give the architecture that stands for a network of timm.

    `name` is what `timm.list_models()` has, or that with a tag, such as `efficientnet_b0.ra_in1k`; without one timm's
    default tag is taken, and equal networks are equal architectures. Input size and classes are those of the tag.

    Raises:
        UnknownNameError: timm has no such network; the text gives the closest.
        DefinitionError: timm is not installed, or cannot be imported.
    """
    timm = _import_timm(name)
    plain, _, tag = name.partition(".")
    _check_name(timm, plain)
    tags = timm.models.get_arch_pretrained_cfgs(plain)
    if tag and name not in tags:
        known = [one.partition(".")[2] for one in tags]
        close = ", ".join(difflib.get_close_matches(tag, known, n=_CLOSEST) or known[:_CLOSEST]) or "none"
        raise UnknownNameError(
            f"timm {timm.__version__} has no {TIMM}{plain} with the tag {tag!r}; the closest: {close}"
        )
    found = timm.models.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    if not tag and found.tag:
        name = f"{plain}.{found.tag}"
    return foreign_architecture(
        "timm", tuple(found.input_size), found.num_classes or 0, name=name, version=timm.__version__
    )


def make_timm(architecture: Architecture, seed: int, *, training: bool = False) -> nn.Module:
    """Give a network of timm in its inference form on the CPU, in evaluation mode, weights drawn by timm from `seed`.

    The inference form is what timm's own `reparameterize_model` makes of it, which merges the branches of RepVGG,
    MobileOne, FastViT and their like, and then every batch norm directly behind a convolution folded into it, as in
    nasbench's own networks (`nasbench.model.absorb`). A network that does not run on the meta device keeps the norms
    that timm leaves; ONNX Runtime and OpenVINO fold them by themselves. Everything else is timm's code as it is. For
    `training` all of it is, in training mode.

    Raises:
        BuildError: timm cannot be imported, is of another version than the row, or does not make the network.
    """
    shown, options = name_foreign(architecture), dict(architecture.blocks[0].options)
    try:
        timm = _import_timm(str(options["name"]))
    except DefinitionError as error:
        raise BuildError(str(error)) from error
    if timm.__version__ != options["version"]:
        raise BuildError(f"{shown}: was named with timm {options['version']}, and {timm.__version__} is installed")
    seed_all(seed)
    try:
        network = timm.create_model(str(options["name"]), pretrained=False)
        if training:
            return network.train()  # type: ignore[no-any-return]
        network = _reparameterize(timm, network)
        with torch.no_grad():
            _absorb(timm, network, _find_norms(timm, architecture))
        return network.eval().requires_grad_(False)
    except Exception as error:  # hundreds of networks by many authors may raise anything
        raise BuildError(f"{shown}: {type(error).__name__}: {first_line(error)}") from error


def count_timm(architecture: Architecture) -> Cost | None:
    """Count what a network of timm takes, as those of nasbench are counted: built and run on the meta device.

    None where it cannot be built or run there, where timm cannot be imported or where its version is another one.
    """
    assert is_timm(architecture), "counts networks of timm"
    options = dict(architecture.blocks[0].options)
    try:
        timm = _import_timm(str(options["name"]))
    except DefinitionError:
        return None
    if timm.__version__ != options["version"]:
        return None
    try:
        with warnings.catch_warnings(action="ignore"), torch.device("meta"), torch.no_grad():
            network = timm.create_model(str(options["name"]), pretrained=False).eval()
            params = _count_params(network)
            trace = trace_module(network, architecture.input_shape)
            deployed = _reparameterize(timm, network)
            _absorb(timm, deployed, find_norms(deployed, architecture.input_shape))
            deployed_trace = trace_module(deployed, architecture.input_shape)
            tensors = [*deployed.parameters(), *deployed.buffers()]
            return Cost(
                params=params,
                macs=trace.macs,
                activations=trace.activations,
                weight_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
                deployed_params=_count_params(deployed),
                deployed_macs=deployed_trace.macs,
                deployed_activations=deployed_trace.activations,
                traffic=deployed_trace.traffic,
            )
    except Exception:  # noqa: BLE001 - hundreds of networks by many authors may raise anything on the meta device
        return None


def _count_params(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _find_norms(timm: Any, architecture: Architecture) -> list[tuple[str, str]]:
    """Find the norms to absorb in what `make_timm` makes; none where that does not run on the meta device."""
    try:
        with warnings.catch_warnings(action="ignore"), torch.device("meta"):
            name = str(dict(architecture.blocks[0].options)["name"])
            network = _reparameterize(timm, timm.create_model(name, pretrained=False))
        return find_norms(network, architecture.input_shape)
    except Exception:  # noqa: BLE001 - as in `count_timm`; nothing of the real network is changed yet
        return []


def _reparameterize(timm: Any, network: nn.Module) -> nn.Module:
    with torch.no_grad():
        deployed: nn.Module = timm.utils.reparameterize_model(network.eval(), inplace=True)
    return deployed.eval()


def _absorb(timm: Any, network: nn.Module, found: list[tuple[str, str]]) -> None:
    absorb_norms(network, found, lambda norm: _rest(timm, norm))


def _rest(timm: Any, norm: nn.BatchNorm2d) -> nn.Module | None:
    """Give what is left of a batch norm; timm's own has an activation in it."""
    if type(norm) is not timm.layers.BatchNormAct2d:
        return rest_of_plain(norm)
    both: tuple[Any, Any] = (norm.drop, norm.act)
    parts: list[nn.Module] = [part for part in both if not isinstance(part, nn.Identity)]
    return parts[0] if len(parts) == 1 else nn.Sequential(*parts)


def _check_name(timm: Any, name: str) -> None:
    if name in timm.list_models():
        return
    renamed = timm.models.get_deprecated_models()
    if renamed.get(name):
        raise UnknownNameError(f"timm {timm.__version__} calls {TIMM}{name} now {TIMM}{renamed[name]}")
    close = difflib.get_close_matches(name, timm.list_models(), n=_CLOSEST)
    hint = f"the closest: {', '.join(TIMM + one for one in close)}" if close else "timm.list_models() lists them"
    raise UnknownNameError(f"timm {timm.__version__} has no network {name!r}; {hint}")


def _import_timm(name: str) -> Any:
    """Import timm, or say in one line what stands in the way.

    Raises:
        DefinitionError: timm or torchvision is not installed, or does not fit.
    """
    where = f"{TIMM}{name}"
    for package in ("timm", "torchvision"):
        if importlib.util.find_spec(package) is None:
            raise DefinitionError(f"{where}: {package} is not installed: pip install nasbench[timm]")
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # a build for another torch fails in many ways
        raise DefinitionError(
            f"{where}: torchvision {_version('torchvision')}, which timm needs, does not fit torch {torch.__version__} "
            f"({type(error).__name__}: {first_line(error)}); install the torchvision that was built for this torch, "
            "from where torch came from"
        ) from error
    try:
        return importlib.import_module("timm")
    except Exception as error:
        raise DefinitionError(
            f"{where}: timm {_version('timm')} cannot be imported ({type(error).__name__}: {first_line(error)}); "
            "install another version: pip install --upgrade nasbench[timm]"
        ) from error


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
