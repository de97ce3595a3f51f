"""nasbench: search for neural architectures by the latency that a device really shows.

A network is a table of block rows. In a definition a scalar is fixed and a list is a choice.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
