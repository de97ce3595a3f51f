"""Token mixing by wavelet transforms: WaveMix."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, COUNT, FACTOR, Option, Rule, make_kind, one_of

_PAPER = "Jeevan et al. 2022, arXiv:2205.14375"
_GELU = Option("act", ACTIVATION, "gelu")
_LEVELS = Rule("a whole number from 1 to 6", lambda value: COUNT.test(value) and value <= 6)

KINDS = (
    make_kind(
        "wavemix_patches", "convolution of patches as large as the stride, activation, batch norm", _PAPER, _GELU
    ),
    make_kind(
        "wavemix",
        "Haar wavelet transform of one or more levels, 1x1 convolutions, and back to the size by deconvolution",
        f"{_PAPER}, figure 1",
        Option("levels", _LEVELS, 1),
        Option("expand", FACTOR, 2),
        Option("enlarge", one_of("deconvolution", "nearest"), "deconvolution"),
        _GELU,
    ),
)
