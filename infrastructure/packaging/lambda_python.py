"""The Python that packages, whose version Lambda then runs, with Chalice and the application's libraries."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infrastructure.checkout import REPOSITORY

#: The version for Lambda, which supports it until June 2029.
PREFERRED = (3, 13)
#: Separate environments, because the preferred Python is seldom the one that runs this.
ENVIRONMENTS = REPOSITORY / ".venv-package"
INSTALL_SECONDS = 900


class PythonMissing(Exception):
    """No Python here can package; the message says what to do."""


@dataclass(frozen=True)
class PackagingPython:
    """A Python that has Chalice and everything that `app.py` imports."""

    path: Path
    version: tuple[int, int]

    @property
    def runtime(self) -> str:
        """The functions' runtime, for which Chalice takes this Python's own version."""
        return "python{}.{}".format(*self.version)

    def libraries(self) -> Path:
        """Returns the folder of its installed libraries, boto3 among them."""
        command = [str(self.path), "-c", "import boto3, pathlib; print(pathlib.Path(boto3.__file__).parents[1])"]
        return Path(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip())


def find(given: Path | None = None) -> PackagingPython:
    """Returns the given Python, else one of the preferred version, else this one. Raises PythonMissing."""
    found = None
    for candidate in (given,) if given is not None else candidates():
        version = version_of(candidate)
        if given is not None and version is None:
            raise PythonMissing(f"{given} is not a Python that runs; give another one.")
        if version is not None and (given is not None or version == PREFERRED):
            found = candidate, version
            break
    path, version = found or (Path(sys.executable), sys.version_info[:2])
    if path.absolute() == Path(sys.executable).absolute():
        return PackagingPython(path, version)
    return PackagingPython(_with_libraries(path), version)


def version_of(python: Path) -> tuple[int, int] | None:
    """Returns the version; None if this does not run, as pyenv's shim of a version that is not chosen."""
    command = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return int(answer[0]), int(answer[1])


def pins(*names: str) -> list[str]:
    """Returns the lines that pin these packages for the one-machine stack and for development."""
    files = (REPOSITORY / "infrastructure" / "local" / "requirements.txt", REPOSITORY / "requirements.txt")
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if line.partition("==")[0] in names]


def candidates() -> Iterator[Path]:
    """Lists Pythons that may be of the preferred version: this one, one on the path, pyenv's."""
    yield Path(sys.executable)
    name = "python{}.{}".format(*PREFERRED)
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob("versions/{}.{}.*/bin/{}".format(*PREFERRED, name)), reverse=True)


def _with_libraries(python: Path) -> Path:
    """An environment of this Python; a changed pin makes another one, because a running build may use the former."""
    requirements = REPOSITORY / "chalice_app" / "requirements.txt"
    packages = [*pins("chalice", "boto3"), "-r", str(requirements)]
    made_of = "\n".join([str(python), *packages, requirements.read_text()])
    environment = ENVIRONMENTS / hashlib.sha256(made_of.encode()).hexdigest()[:12]
    inside, done = environment / "bin" / "python", environment / "done"
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _run([str(python), "-m", "venv", "--clear", str(environment)])
            _run([str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
            done.touch()
    return inside


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if ended.returncode:
        raise PythonMissing(f"No environment for packaging could be created:\n{ended.stderr.strip()}")
