"""The modules that rows stand for, one file a family. Importing this package registers all of them."""

from __future__ import annotations

from nasbench.model.blocks import convolution, head, mobilenet, nasbench201, resnet, shufflenet
from nasbench.model.blocks.registry import BLOCKS

__all__ = ["BLOCKS", "convolution", "head", "mobilenet", "nasbench201", "resnet", "shufflenet"]
