"""Finds dynoxide: by the setting, as npm's platform package, or on the path."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from infrastructure.local.settings import CannotStart

#: Where `make install` puts the package for this kind of machine.
PACKAGES = REPOSITORY / "infrastructure" / "local" / "table" / "node_modules" / "@dynoxide"


def find_dynoxide(given: str | None, *, packages: Path = PACKAGES, environment: Mapping[str, str] = os.environ) -> Path:
    """Returns the program; raises :class:`CannotStart` with the sentence that says how to get it.

    Args:
        given: the setting DYNOXIDE, which precedes all others.
    """
    if given is not None:
        if not os.access(given, os.X_OK) or not Path(given).is_file():
            raise CannotStart(f"DYNOXIDE={given} is not a program: give the path of dynoxide.")
        return Path(given).resolve()
    for program in sorted(packages.glob("*/dynoxide")):
        if os.access(program, os.X_OK):
            return program
    if found := shutil.which("dynoxide", path=environment.get("PATH")):
        return Path(found)
    raise CannotStart(
        "dynoxide, which keeps the table, is not installed: run `make install` (Linux on x86-64), or else"
        " `cargo install dynoxide-rs` or `brew install nubo-db/tap/dynoxide`, or give its path with DYNOXIDE=…."
    )
