"""What the tests of `nasbench.model` share: networks of other projects, and where the real tables lie."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from alone import Alone

_SHARED = Path(__file__).parents[2].parent / "shared"
_KEPT = []


def _import_torchvision():
    """Import torchvision, also where its compiled operators do not fit the installed torch.

    timm and the classification models need none of those operators, but torchvision looks two of them up when it is
    imported; declaring their names is enough. The library object is kept, since torch forgets the names with it.
    """
    try:
        import torchvision  # noqa: F401
    except (RuntimeError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
        importlib.import_module("torchvision")


@pytest.fixture(scope="session")
def timm_model():
    """Give a function that makes a model of timm, on the meta device unless told otherwise."""
    _import_torchvision()
    import timm

    def make(name, device="meta", **options):
        with torch.device(device):
            return timm.create_model(name, **options).eval()

    return make


@pytest.fixture(scope="session")
def torchvision_model():
    """Give a function that makes a model of torchvision on the meta device."""
    _import_torchvision()
    from torchvision.models import get_model

    def make(name):
        with torch.device("meta"):
            return get_model(name, weights=None).eval()

    return make


@pytest.fixture(scope="session")
def shared_data():
    """Give the folder of real tables, which lies beside the checkout and is no part of it."""
    folder = _SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the real tables (../shared/data beside the checkout) are absent")
    return folder


@pytest.fixture(scope="module")
def alone():
    """Give a process without nasbench; torch has one thread here as there, since sums in parallel can differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    process = Alone()
    yield process
    process.close()
    torch.set_num_threads(threads)
