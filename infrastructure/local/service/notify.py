"""Notifications to systemd: this service is ready, or stops (the datagrams of sd_notify(3))."""

import contextlib
import os
import socket
from collections.abc import Mapping
from enum import StrEnum

#: The variable by which systemd names its socket; an `@` at its beginning stands for an abstract one.
SOCKET = "NOTIFY_SOCKET"


class State(StrEnum):
    """A state of which systemd is notified."""

    READY = "READY=1"  #: everything has answered once
    STOPPING = "STOPPING=1"  #: the runners drain


def is_service(environment: Mapping[str, str] = os.environ) -> bool:
    """Returns whether systemd waits for this process; its output then goes to the journal."""
    return bool(environment.get(SOCKET))


def notify(state: State, environment: Mapping[str, str] = os.environ) -> None:
    """Notifies systemd, where there is one; a lost notification stops nothing."""
    address = environment.get(SOCKET, "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect("\0" + address[1:] if address.startswith("@") else address)
        datagrams.send(state.encode())
