"""FD-MobileNet against a formula of its own over the rows of the authors' code, and against their MFLOPs."""

import pytest
from families.reference import counted

ROWS = [(64, 2), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 4, (1024, 1)]
"""Output channels and stride of every depthwise separable block (qinzheng93/FD-MobileNet, MobileNet.py)."""

WIDTHS = {"fd_mobilenet_1.0": 1.0, "fd_mobilenet_0.5": 0.5, "fd_mobilenet_0.25": 0.25}
MFLOPS = {"fd_mobilenet_1.0": 144, "fd_mobilenet_0.5": 40, "fd_mobilenet_0.25": 12}


def by_formula(width, size=224, classes=1000):
    """Count parameters and MACs; a batch norm has two parameters for each channel."""
    channels, size = int(32 * width), size // 2
    params, macs = 27 * channels + 2 * channels, 27 * channels * size**2
    for row_out, stride in ROWS:
        out, size = int(row_out * width), size // stride
        params += (9 + 2) * channels + (channels + 2) * out
        macs += (9 + out) * channels * size**2
        channels = out
    return params + (channels + 1) * classes, macs + channels * classes


@pytest.mark.parametrize("name", WIDTHS)
def test_params_and_macs_equal_the_formula(name):
    assert counted(name) == by_formula(WIDTHS[name])


@pytest.mark.parametrize("name", MFLOPS)
def test_macs_round_to_the_published_ones(name):
    assert round(counted(name)[1] / 1e6) == MFLOPS[name]
