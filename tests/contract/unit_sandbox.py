"""Runs a command under what a unit forbids, as systemd would: `python unit_sandbox.py UNIT COMMAND …`.

Applies, by libseccomp, the unit's SystemCallFilter, RestrictNamespaces and RestrictAddressFamilies, and
NoNewPrivileges. What systemd does with mounts (ProtectSystem and its kin) is not played.
"""

import ctypes
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ALLOW = 0x7FFF_0000
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
#: SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_MASKED_EQ
EQUAL, AT_LEAST, MASKED_EQUAL = 4, 5, 7
#: AF_MAX
FAMILY_COUNT = 46
NAMESPACES = {
    **{"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000},
    **{"user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "time": 0x80},
}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
PR_SET_NO_NEW_PRIVS = 38


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def error(number: int) -> int:
    return 0x0005_0000 | number


@cache
def calls_of(name: str) -> frozenset[str]:
    """The system calls of one word of SystemCallFilter."""
    if not name.startswith("@"):
        return frozenset({name})
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    words = [line.strip() for line in listed.stdout.splitlines()[1:]]
    return frozenset().union(*(calls_of(word) for word in words if word and not word.startswith("#")))


def apply(unit: str) -> None:
    def words(directive: str) -> list[str]:
        found = re.search(rf"^{directive}=(.*)$", unit, re.MULTILINE)
        assert found is not None, directive
        return found[1].split()

    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(error(EPERM)))

    def rule(action: int, call: str, *comparisons: Comparison) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # another architecture's calls are not known here
            array = (Comparison * len(comparisons))(*comparisons)
            assert library.seccomp_rule_add_array(context, action, number, len(comparisons), array) == 0, call

    for call in frozenset().union(*map(calls_of, words("SystemCallFilter"))):
        rule(ALLOW, call)
    # A second filter for the arguments: what it does not refuse, the first one decides.
    second = ctypes.c_void_p(library.seccomp_init(ALLOW))
    first, context = context, second
    for name in NAMESPACES.keys() - set(words("RestrictNamespaces")) - {"time"}:
        for call in ("clone", "unshare"):
            flag = NAMESPACES[name]
            rule(error(EPERM), call, Comparison(0, MASKED_EQUAL, flag, flag))
    rule(error(ENOSYS), "clone3")
    for family in set(range(FAMILY_COUNT)) - {FAMILIES[name] for name in words("RestrictAddressFamilies")}:
        rule(error(EAFNOSUPPORT), "socket", Comparison(0, EQUAL, family, 0))
    rule(error(EAFNOSUPPORT), "socket", Comparison(0, AT_LEAST, FAMILY_COUNT, 0))
    assert "NoNewPrivileges=yes" in unit
    assert ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert library.seccomp_load(second) == 0
    assert library.seccomp_load(first) == 0


def main(arguments: list[str]) -> None:
    apply(Path(arguments[0]).read_text())
    os.execvp(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
