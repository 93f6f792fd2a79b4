"""Network namespaces of Linux: a process in one of its own can open ports that exist nowhere else on the machine."""

import ctypes
import fcntl
import os
import secrets
import socket
import struct
import sys
from pathlib import Path

#: unshare(2)
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000
#: netdevice(7)
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def enter_new_namespace() -> bool:
    """Moves this process into a new network namespace, where only a loopback interface is; returns whether it may.

    Sockets that are open already stay where they are. The process must have only one thread. A kernel without
    namespaces, a container without the right, or another system than Linux refuses, and nothing is changed.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNET) != 0:  # needs CAP_SYS_ADMIN, which a user has in a user namespace of its own
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            return False
        # Without a map the process could create no files (user_namespaces(7)).
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _bring_loopback_up()
    return True


def hidden_address() -> str:
    """Returns a random address of 127.0.0.0/8, which is all loopback on Linux: with a port, 2^38 to guess."""
    if sys.platform != "linux":
        return "127.0.0.1"
    return f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(control, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
