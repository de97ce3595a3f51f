"""The torch module of which a training step is measured: as it was written, nothing folded or merged."""

from __future__ import annotations

from torch import nn

from nasbench.errors import BuildError
from nasbench.model.build import build
from nasbench.model.foreign import call_factory, is_foreign, is_onnx_file, is_timm, name_foreign
from nasbench.space.architecture import Architecture


def build_training(architecture: Architecture, seed: int) -> nn.Module:
    """Give a network in its training form on the CPU, in training mode, random weights drawn from `seed`.

    Raises:
        CandidateError: it cannot be built, and an ONNX file never can.
    """
    if is_onnx_file(architecture):
        raise BuildError(
            f"{name_foreign(architecture)}: an ONNX file cannot be trained; name the network itself, as one that "
            "nasbench knows, timm/NAME or package.module:function"
        )
    if is_timm(architecture):
        from nasbench.model.from_timm import make_timm  # reaches for torchvision and timm

        return make_timm(architecture, seed, training=True)
    return call_factory(architecture, seed, training=True) if is_foreign(architecture) else build(architecture, seed)
