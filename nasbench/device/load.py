"""From a device's YAML to something that measures. Listing devices imports no torch."""

from __future__ import annotations

from pathlib import Path

from nasbench.definitions import Found, Node, find_definition, read_definition
from nasbench.device.base import Device
from nasbench.errors import DefinitionError
from nasbench.records import DeviceSpec
from nasbench.registry import Registry
from nasbench.runtime.base import RUNTIMES, check_runtime
from nasbench.units import parse_bytes

BACKENDS = Registry(
    "device backend", {"cpu": "nasbench.device.cpu:CpuDevice", "cuda": "nasbench.device.cuda:CudaDevice"}
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
        optional=("runtime", "threads", "memory_limit", "dtype", "index"),
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
    )
    if spec.index and spec.backend == "cpu":
        raise keys["index"].error("is given to the backend cpu, of which a machine has one; it numbers GPUs")
    try:
        check_runtime(spec.backend, spec.runtime, spec.dtype)
    except DefinitionError as error:
        raise (keys.get("dtype") or keys.get("runtime") or root).error(f"does not fit: {error}") from None
    return spec


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
