"""torch.compile: the network as one program of fused kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException
from torch._inductor import config
from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

from nasbench.errors import BuildError
from nasbench.runtime.eager import Eager

if TYPE_CHECKING:
    from nasbench.runtime.base import Images


class Compile(Eager):
    """torch.compile in its default mode, for the one shape that is measured.

    Source: Ansel et al., PyTorch 2, 2024, doi:10.1145/3620665.3640366.
    """

    def prepare(self, network: nn.Module | Path, images: Sequence[Images], dtype: str) -> list[Callable[[], Any]]:
        """Give one call for each input; the compiler runs here, at an inference of its own.

        Raises:
            BuildError: it fails, or lacks a C++ compiler.
        """
        calls = super().prepare(network, images, dtype)
        try:
            calls[0]()
        except InvalidCxxCompiler as error:
            raise BuildError(_NO_COMPILER) from error
        except (TorchDynamoException, CppCompileError) as error:
            raise BuildError(_explain(error)) from error
        return calls

    def convert(self, network: nn.Module, dtype: torch.dtype) -> nn.Module:
        """Give the module with its compiler around it."""
        config.compile_threads = 1  # a pool of compiling processes would live on while we measure
        module: nn.Module = torch.compile(super().convert(network, dtype), dynamic=False)  # type: ignore[assignment]
        return module


_NO_COMPILER = "torch.compile needs a C++ compiler and finds none; install g++, or name yours in the variable CXX"


def _explain(error: Exception) -> str:
    cause: BaseException = error
    while inner := getattr(cause, "inner_exception", None) or cause.__cause__:
        cause = inner
        if isinstance(cause, InvalidCxxCompiler):
            return _NO_COMPILER
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    return f"torch.compile cannot compile this network: {type(cause).__name__}: {reason}"
