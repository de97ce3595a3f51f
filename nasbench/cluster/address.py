"""Where a cluster is, and whether it may be talked to. Needs no Ray.

Whoever reaches a Ray cluster can run any code on all of its nodes, and on the driver by what it answers. So an address
that other machines can reach is refused unless this process was told to use a token, and only we may read it. That the
cluster asks for it is not checked: one that was started without lets anybody in.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nasbench.errors import DefinitionError, DeviceLost

REACH_LIMIT_S = 8.0
"""How long a port may take to answer before it counts as unreachable; a closed one answers at once."""

TOKEN_FILE = Path(".ray") / "auth_token"
"""Where Ray looks for the token, below the home folder, when no variable says otherwise."""

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the head of a cluster listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name may come to mean something else between this look and the connection


def parse_address(text: str) -> Address:
    """Read `host:port`, with brackets around an IPv6 host.

    Raises:
        DefinitionError: it is something else.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if colon and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536 and _is_host(host, bracketed):
        return Address(host, int(port))
    raise DefinitionError(f"{text!r} is no address of a cluster; write HOST:PORT such as 192.168.1.10:6379")


def _is_host(host: str, bracketed: bool) -> bool:
    if not bracketed:
        return bool(_HOST.fullmatch(host))
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def check_token(address: Address, environment: Mapping[str, str] = os.environ, home: Path | None = None) -> None:
    """Refuse an address that other machines can reach, unless we use a token and keep it to ourselves.

    This looks at `environment` and the token's file, and not at the cluster.

    Raises:
        DefinitionError: no token is used, there is none, or others on this machine may read its file; the text says
            what to do.
    """
    if address.is_loopback:
        return
    if environment.get("RAY_AUTH_MODE") != "token":
        raise DefinitionError(
            f"{address} can be reached by other machines, and whoever reaches a Ray cluster can run any code on it. "
            "Set RAY_AUTH_MODE=token here and on every node, see docs/security.md"
        )
    if environment.get("RAY_AUTH_TOKEN"):
        return
    path = token_path(environment, home)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DefinitionError(
            f"RAY_AUTH_MODE=token needs a token, and {path} cannot be read ({error.strerror}); "
            "make one with: ray get-auth-token --generate"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DefinitionError(f"others on this machine may read the token in {path}; run: chmod 600 {path}")


def token_path(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Path:
    """Give the file that Ray reads the token from."""
    given = environment.get("RAY_AUTH_TOKEN_PATH")
    return Path(given) if given else (home or Path.home()) / TOKEN_FILE


def check_reachable(address: Address, limit_s: float = REACH_LIMIT_S) -> None:
    """Open and close a connection, since Ray itself may wait for minutes where nobody answers.

    Raises:
        DeviceLost: nobody answers; the text says whether the port is closed, silent, or on no machine that is known.
    """
    try:
        _reach(address, limit_s)
    except TimeoutError as error:
        raise DeviceLost(
            f"no Ray cluster answers at {address}: nothing came for {limit_s:g} s; the machine is off, or a firewall "
            "drops what is sent there"
        ) from error
    except ConnectionRefusedError as error:
        raise DeviceLost(
            f"no Ray cluster answers at {address}: {error.strerror}; start its head there with: ray start --head "
            f"--node-ip-address={address.host} --port={address.port} --include-dashboard=false"
        ) from error
    except socket.gaierror as error:
        raise DeviceLost(
            f"no Ray cluster answers at {address}: {error.strerror}; write the head's address instead of its name"
        ) from error
    except OSError as error:
        raise DeviceLost(
            f"no Ray cluster answers at {address}: {error.strerror or error}; the machine is off, or its network is "
            "not ours"
        ) from error


def _reach(address: Address, limit_s: float) -> None:
    """Open and close a connection; raises OSError.

    In a thread, since to ask for the address of a name takes as long as it takes, and a name may have several.
    """
    failures: list[OSError] = []

    def attempt() -> None:
        try:
            socket.create_connection((address.host, address.port), timeout=limit_s).close()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failures:
        raise failures[0]
    if thread.is_alive():
        raise TimeoutError
