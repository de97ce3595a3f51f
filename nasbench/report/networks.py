"""The rows of a network with their shapes and costs, counted from its architecture; no network is built for it."""

from __future__ import annotations

import json

from nasbench.errors import NasbenchError
from nasbench.model.cost import count_rows
from nasbench.model.trace import show_shape
from nasbench.report.document import Layer, Network
from nasbench.space.architecture import Architecture, describe_options
from nasbench.space.load import find_architecture


def describe_network(stored: str | None, name: str | None, digest: str) -> Network | None:
    """Give the rows of a network.

    Args:
        stored: the rows as `pareto.parquet` has them, where it does.
        name: of a published architecture, looked up where nothing is stored.
        digest: of the network that was measured; a definition that has become another network tells nothing of it.

    Returns:
        None where the rows are not known, or belong to a block that this nasbench does not have.
    """
    try:
        if isinstance(stored, str):
            architecture = Architecture.from_dict(json.loads(stored))
        elif name is not None:
            architecture = find_architecture(name)[1].architecture
        else:
            return None
        if architecture.digest != digest:
            return None
        rows = count_rows(architecture)
    except (NasbenchError, ValueError):
        return None
    return Network(
        architecture.input_shape,
        [
            Layer(
                row.block.kind,
                describe_options(row.block.options),
                row.block.stride,
                show_shape(row.output_shape),
                row.cost.params,
                row.cost.macs,
            )
            for row in rows
        ],
    )
