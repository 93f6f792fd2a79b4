"""Starts a program that gets a signal when its parent dies: `python parent_death.py SIGNAL PARENT PROGRAM ARGUMENT…`.

Linux only (`prctl(2)`, PR_SET_PDEATHSIG); elsewhere the program simply starts. Imports only the standard library.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Requests the signal, exits if the parent is already dead, and executes the program."""
    number, parent, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - the whole purpose


if __name__ == "__main__":
    main()
