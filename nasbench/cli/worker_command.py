"""`nasbench worker-command`: what to paste on a board so that it measures for us."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.errors import DefinitionError

if TYPE_CHECKING:
    from nasbench.cluster.address import Address
    from nasbench.records import DeviceSpec

_NODE_PACKAGES = ("ray", "numpy", "psutil")
"""What a node needs besides the runtime; the versions are those of here."""

_SETTINGS = "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor RAY_worker_niceness=0"
"""Another patch release of Python will do; and what is timed shall not give way to all else that runs there."""


def worker_command(
    device: Annotated[str, typer.Argument(help="A device of the backend ray, by name or file.")],
) -> None:
    """Print the commands that make a board, or any Linux machine, a registered device.

    The first part is for this machine, the second to be pasted on the board. It needs Python, Ray, numpy, psutil and
    the device's runtime, and nothing of this project: that is shipped when something is measured.
    """
    from nasbench.cluster.address import parse_address
    from nasbench.device.load import load_device

    spec = load_device(device)
    if spec.backend != "ray" or spec.address is None:
        raise DefinitionError(f"{spec.name} is a device of the backend {spec.backend}; only those of ray have workers")
    typer.echo("\n".join(_lines(spec, parse_address(spec.address))))


def _lines(spec: DeviceSpec, address: Address) -> Iterator[str]:
    token = "" if address.is_loopback else "RAY_AUTH_MODE=token "
    if address.is_loopback:
        yield f"# Nobody but this machine reaches {address.host}. For a board, write into devices/{spec.name}.yaml the"
        yield "# address of this machine as the board reaches it (hostname -I lists them), and ask again."
        yield ""
    yield "# On this machine, once: the head of the cluster."
    if token:
        yield "export RAY_AUTH_MODE=token                  # and in every shell from which you run nasbench"
        yield "ray get-auth-token --generate               # prints the token, and keeps it in ~/.ray/auth_token"
    yield (
        f"{_SETTINGS} ray start --head --node-ip-address={address.host} --port={address.port} "
        "--include-dashboard=false --disable-usage-stats"
    )
    yield ""
    yield f"# On the board: Linux with Python {sys.version_info.major}.{sys.version_info.minor}."
    yield f"python{sys.version_info.major}.{sys.version_info.minor} -m venv ~/nasbench-worker"
    yield f"~/nasbench-worker/bin/pip install {' '.join(map(shlex.quote, _packages(spec)))}"
    if token:
        yield "mkdir -p -m 700 ~/.ray"
        yield "(umask 077; cat > ~/.ray/auth_token)        # paste the token of the head, Enter, Ctrl-D"
    # No cores are offered: what trains elsewhere in the cluster shall stay off the board.
    yield (
        f"{token}{_SETTINGS} ~/nasbench-worker/bin/ray start --address={address} --num-cpus=0 "
        f"--resources='{{\"{spec.resource}\": 1}}' --disable-usage-stats"
    )
    yield "# That again when the board was started anew, or was cut off for a minute: Ray gives up then."
    yield ""
    yield f"# Then here: nasbench devices {spec.name} --probe"
    yield "# In the end, on both: ray stop"


def _packages(spec: DeviceSpec) -> Iterator[str]:
    from nasbench.runtime.base import find_runtime
    from nasbench.store.manifest import installed_version

    for package in (*_NODE_PACKAGES, *find_runtime(spec.runtime).executors):
        version = installed_version(package)
        # A local version such as 2.13.0+cpu is on no index.
        yield f"{package}=={version.partition('+')[0]}" if version else package
