"""Addresses of clusters: their form, who may be talked to, and who answers."""

import socket
import threading

import pytest

from nasbench.cluster.address import Address, check_reachable, check_token, parse_address
from nasbench.errors import DefinitionError, DeviceLost

REMOTE = Address("192.0.2.7", 6379)  # of a net that is for documentation and nobody has


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("192.0.2.7:6379", "192.0.2.7", 6379), ("head.example:1", "head.example", 1), ("[::1]:65535", "::1", 65535)],
)
def test_an_address_is_read_and_written_the_same(text, host, port):
    address = parse_address(text)

    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "6379", "host", "host:", ":6379", "host:0", "host:65536", "::1:6379", "[host]:1", "ray://h:1", "a b:1"),
        *("a..b:1", "a-:1", f"{'a' * 64}:1", ".".join(["a" * 63] * 4) + ":1"),
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text):
    with pytest.raises(DefinitionError, match=r"write HOST:PORT such as 192\.168\.1\.10:6379"):
        parse_address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.8.9.1:1", "localhost:1", "[::1]:1"])
def test_loopback_needs_no_token(text):
    check_token(parse_address(text), {})


@pytest.mark.parametrize(
    "text", ["192.0.2.7:1", "0.0.0.0:1", "head.example:1", "localhost.example:1", "[2001:db8::1]:1"]
)
def test_an_address_that_others_can_reach_is_refused_without_a_token(text):
    with pytest.raises(DefinitionError, match="Set RAY_AUTH_MODE=token here and on every node"):
        check_token(parse_address(text), {})


def test_a_token_may_come_from_the_environment():
    check_token(REMOTE, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "secret"})


def test_a_token_in_a_file_has_to_be_there_and_ours_alone(tmp_path):
    file = tmp_path / ".ray" / "auth_token"
    asked = {"RAY_AUTH_MODE": "token"}
    with pytest.raises(DefinitionError, match="ray get-auth-token --generate"):
        check_token(REMOTE, asked, tmp_path)

    file.parent.mkdir()
    file.write_text("secret")
    file.chmod(0o640)
    with pytest.raises(DefinitionError, match=f"chmod 600 {file}"):
        check_token(REMOTE, asked, tmp_path)

    file.chmod(0o600)
    check_token(REMOTE, asked, tmp_path)
    check_token(REMOTE, {**asked, "RAY_AUTH_TOKEN_PATH": str(file)}, tmp_path / "nowhere")


def test_a_closed_port_is_told_after_one_attempt(monkeypatch):
    attempts, connect = [], socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda *asked, **how: attempts.append(asked) or connect(*asked, **how)
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    start = f"ray start --head --node-ip-address=127.0.0.1 --port={port}"
    with pytest.raises(DeviceLost, match=rf"no Ray cluster answers at 127.0.0.1:{port}: .*refused; .*{start}"):
        check_reachable(Address("127.0.0.1", port))

    assert len(attempts) == 1


def test_a_name_that_nobody_knows_is_told(monkeypatch):
    def nobody(*asked):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(DeviceLost, match="not known; write the head's address instead of its name"):
        check_reachable(Address("head.example", 6379))


def test_a_name_server_that_does_not_answer_holds_nobody_up(monkeypatch):
    given_up, ended, waited_for = threading.Event(), threading.Event(), []

    def silent(*asked):
        waited_for.append(not given_up.wait(60))
        ended.set()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    with pytest.raises(DeviceLost, match=r"nothing came for 0.5 s"):
        check_reachable(Address("head.example", 6379), limit_s=0.5)
    given_up.set()

    assert ended.wait(60) and waited_for == [False]


def test_a_port_where_nobody_answers_is_given_up():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # takes one connection, and lets the others wait
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        try:
            with pytest.raises(DeviceLost, match=r"nothing came for 0.5 s"):
                check_reachable(Address(*full.getsockname()), limit_s=0.5)
        finally:
            for one in waiting:
                one.close()
