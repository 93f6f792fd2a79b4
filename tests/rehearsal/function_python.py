"""The Python that runs the functions: the package's version, with the libraries of Lambda's own and nothing else."""

import hashlib
import subprocess
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from infrastructure.packaging.lambda_python import PackagingPython, pins

INSTALL_SECONDS = 600


def function_python(packaging: PackagingPython) -> Path:
    """Returns a Python that has boto3 only, so that a library which the package lacks is missed at once.

    Its environment is created anew when the pin of boto3 changes.
    """
    pinned = pins("boto3")
    environment = REPOSITORY / "build" / f"lambda-{packaging.runtime}"
    python, marker = environment / "bin" / "python", environment / "made-of"
    state = hashlib.sha256(f"{packaging.path} {pinned}".encode()).hexdigest()
    if not (marker.is_file() and marker.read_text() == state):
        for command in (
            [str(packaging.path), "-m", "venv", "--clear", str(environment)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned],
        ):
            subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
        marker.write_text(state)
    return python
