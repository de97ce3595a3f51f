"""From a device's YAML to something that measures. Listing devices imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

from nasbench.cluster.address import parse_address
from nasbench.definitions import Found, Node, find_definition, read_definition
from nasbench.device.base import Device
from nasbench.errors import DefinitionError
from nasbench.records import DeviceSpec
from nasbench.registry import Registry
from nasbench.runtime.base import RUNTIMES, check_runtime
from nasbench.units import parse_bytes

BACKENDS = Registry(
    "device backend",
    {
        "cpu": "nasbench.device.cpu:CpuDevice",
        "cuda": "nasbench.device.cuda:CudaDevice",
        "ray": "nasbench.device.remote:RemoteDevice",
    },
)

_SCHEMA = 1
_DTYPES = tuple(dict.fromkeys(dtype for kind in RUNTIMES.values() for dtype in kind.dtypes))


def find_device(name_or_path: str) -> Found:
    """Find the file of a device by name or path; raises UnknownNameError with a suggestion."""
    return find_definition("device", "devices", name_or_path)


def load_device(name_or_path: str) -> DeviceSpec:
    """Read the definition of a device, by name or by path.

    Raises:
        DefinitionError: there is none, or it is wrong; the text says where.
    """
    return read_device(find_device(name_or_path).path)


def read_device(path: Path) -> DeviceSpec:
    """Read one device file; raises as `load_device`."""
    root = read_definition(path)
    keys = root.mapping(
        required=("schema", "name", "about", "backend"),
        optional=("runtime", "threads", "memory_limit", "dtype", "index", "cores", "address", "resource", "emulated"),
    )
    if keys["schema"].integer(1) != _SCHEMA:
        raise keys["schema"].error(f"is {keys['schema'].value}; this version of nasbench reads schema {_SCHEMA}")
    if keys["name"].text() != path.stem:
        raise keys["name"].error(f"is {keys['name'].describe()}; it must be the file's name, {path.stem!r}")
    keys["about"].text()
    spec = DeviceSpec(
        name=keys["name"].text(),
        backend=keys["backend"].word(BACKENDS),
        runtime=keys["runtime"].word(RUNTIMES) if "runtime" in keys else "eager",
        threads=keys["threads"].integer(1, 1024) if "threads" in keys else 1,
        memory_limit_bytes=_memory(keys["memory_limit"]) if "memory_limit" in keys else 4 << 30,
        dtype=keys["dtype"].word(_DTYPES) if "dtype" in keys else "fp32",
        index=keys["index"].integer(0, 1023) if "index" in keys else 0,
        cores=_cores(keys["cores"]) if "cores" in keys else None,
        address=_address(keys["address"]) if "address" in keys else None,
        resource=_resource(keys["resource"]) if "resource" in keys else None,
        emulated=keys["emulated"].flag() if "emulated" in keys else False,
    )
    if spec.index and spec.backend != "cuda":
        raise keys["index"].error(f"is given to the backend {spec.backend}; it numbers the GPUs of the backend cuda")
    for name in ("address", "resource"):
        if spec.backend != "ray" and name in keys:
            raise keys[name].error(
                f"is given to the backend {spec.backend}; it says where a device of the backend ray is"
            )
        if spec.backend == "ray" and name not in keys:
            raise root.error(f"has no {name!r}, which a device of the backend ray needs")
    try:
        check_runtime(spec.hardware, spec.runtime, spec.dtype)
    except DefinitionError as error:
        raise (keys.get("dtype") or keys.get("runtime") or root).error(f"does not fit: {error}") from None
    return spec


def _cores(node: Node) -> str:
    words = str(node.value)
    if words not in ("big", "little") and not re.fullmatch(
        "[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*", words
    ):
        raise node.error(f"is {node.describe()}; write big, little, or a list of cores such as 4-7")
    return words


def _address(node: Node) -> str:
    try:
        return str(parse_address(node.text()))
    except DefinitionError as error:
        raise node.error(f"does not say where the cluster is: {error}") from None


def _resource(node: Node) -> str:
    name = node.text()
    if not re.fullmatch("[A-Za-z0-9._-]{1,64}", name):
        raise node.error(f"is {node.describe()}; write 1 to 64 letters, digits, dots, dashes and underscores")
    return name


def _memory(node: Node) -> int:
    try:
        amount = parse_bytes(str(node.value))
    except DefinitionError:
        raise node.error(f"is {node.describe()}; write an amount of memory such as 4GiB") from None
    if amount < 64 << 20:
        raise node.error(f"is {node.describe()}; a process that holds torch needs 64MiB at the very least")
    return int(amount)


def open_device(spec: DeviceSpec) -> Device:
    """Make the device of a definition; the caller opens and closes it as a context manager.

    Raises:
        UnknownNameError: nobody registered its backend.
    """
    device: Device = BACKENDS.find(spec.backend)(spec)
    return device
