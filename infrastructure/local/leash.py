"""Starts a program that is told to end when its parent dies: `python leash.py SIGNAL PARENT PROGRAM ARGUMENT…`.

Linux only; elsewhere the program simply starts. Runs before anything of ours can be imported.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the wish, check that it did not come too late, and become the program."""
    number, parent, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - the whole purpose


if __name__ == "__main__":
    main()
