"""Whether an ONNX file computes what its network computes, asked of ONNX Runtime where that is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nasbench.errors import NasbenchError

if TYPE_CHECKING:
    from torch import nn

_MOST = 1e-3
"""A share of the largest logit. Rounding leaves 1e-6 mostly, and 2e-4 in EfficientViM with initial weights."""


def check_agreement(
    path: Path, network: nn.Module, input_shape: tuple[int, int, int], batches: Iterable[int]
) -> float | None:
    """Give the largest difference between a file's logits and its network's, as a share of the largest logit.

    Args:
        path: what `nasbench.model.export.to_onnx` wrote.
        network: in evaluation mode.
        input_shape: (channels, height, width) of one image.
        batches: numbers of images to try.

    Returns:
        None where onnxruntime is not installed.

    Raises:
        NasbenchError: ONNX Runtime does not run the file, or the difference is more than rounding.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    worst = 0.0
    for batch in batches:
        images = torch.randn(batch, *input_shape, generator=torch.Generator().manual_seed(batch))
        try:
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            (logits,) = session.run(["logits"], {"images": images.numpy()})
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise NasbenchError(f"{path}: ONNX Runtime does not run it with {batch} images: {reason}") from error
        with torch.no_grad():
            expected = network(images)
        difference = (torch.from_numpy(logits) - expected).abs().max() / expected.abs().max().clamp(min=1e-6)
        worst = max(worst, float(difference))
        if not float(difference) <= _MOST:  # NaN fails this too
            raise NasbenchError(
                f"{path}: its logits differ by {float(difference):.1e} of the largest from torch's for {batch} images; "
                "this is more than rounding. Tell us how you made it."
            )
    return worst
