"""The Python that runs the functions: the package's version, with what Lambda's own has and nothing else."""

import hashlib
import subprocess
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from infrastructure.packaging.lambda_python import PackagingPython, pins

INSTALL_SECONDS = 600


def lambda_python(packaging: PackagingPython) -> Path:
    """An environment with boto3, made anew when the pin changes: a library that the package lacks is missed at once."""
    wanted = pins("boto3")
    environment = REPOSITORY / "build" / f"lambda-{packaging.runtime}"
    inside, marker = environment / "bin" / "python", environment / "made-of"
    state = hashlib.sha256(f"{packaging.path} {wanted}".encode()).hexdigest()
    if not (marker.is_file() and marker.read_text() == state):
        for command in (
            [str(packaging.path), "-m", "venv", "--clear", str(environment)],
            [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
        ):
            subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
        marker.write_text(state)
    return inside
