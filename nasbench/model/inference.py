"""The torch module that is measured or exported, of a network from rows, of timm, or from a user's function."""

from __future__ import annotations

from torch import nn

from nasbench.errors import BuildError
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.foreign import call_factory, is_foreign, is_onnx_file, is_timm, name_foreign
from nasbench.space.architecture import Architecture


def build_inference(architecture: Architecture, seed: int) -> nn.Module:
    """Give a network in its inference form on the CPU, random weights drawn from `seed`.

    Rows are built and folded, and what timm makes is folded as far as that is safe; what a user's function gives stays
    as it is.

    Raises:
        CandidateError: it cannot be built, and an ONNX file never can.
    """
    if is_onnx_file(architecture):
        raise BuildError(
            f"{name_foreign(architecture)}: torch does not run ONNX files; devices with the runtime onnx or openvino "
            "do, such as cpu-onnx"
        )
    if is_timm(architecture):
        from nasbench.model.from_timm import make_timm  # reaches for torchvision and timm

        return make_timm(architecture, seed)
    return call_factory(architecture, seed) if is_foreign(architecture) else deploy(build(architecture, seed))
