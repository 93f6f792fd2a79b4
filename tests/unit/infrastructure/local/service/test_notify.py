"""Notifications to systemd, over a socket as systemd gives it."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infrastructure.local.service.notify import State, is_service, notify


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address.startswith("@") else address)
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_gets_the_state(kind: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "notify")
        address = path if kind == "path" else "@" + path
        with manager(address) as listening:
            notify(State.READY, {"NOTIFY_SOCKET": address})
            notify(State.STOPPING, {"NOTIFY_SOCKET": address})
            assert [listening.recv(100) for _ in range(2)] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_systemd_nothing_is_sent(environment: dict[str, str]) -> None:
    notify(State.READY, environment)
    assert not is_service(environment)


def test_a_socket_that_is_gone_stops_nothing() -> None:
    environment = {"NOTIFY_SOCKET": "/nowhere/notify"}
    notify(State.READY, environment)
    assert is_service(environment)
