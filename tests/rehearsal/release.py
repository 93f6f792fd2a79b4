"""Releases to rehearse with: this checkout, or a former commit with its own package, template and runner code."""

import hashlib
import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from infrastructure.checkout import REPOSITORY, Checkout, checkout
from infrastructure.packaging import lambda_python, template
from infrastructure.packaging.package import Package, build_with, own_architecture

GIT_SECONDS = 60
#: The former release installs its own packaging environment, packages, and fetches its wa-js.
MAKE_SECONDS = 1800
#: The lines of a failed `make` that are shown.
LAST_LINES = 20


@dataclass(frozen=True)
class Release:
    """A version, ready to be deployed."""

    source: Checkout
    #: the folder that its runners start from
    repository: Path
    #: what CloudFormation and Lambda get
    package: Package


def of_this_checkout(directory: Path) -> Release:
    """Packages this checkout into ``directory``."""
    return Release(checkout(REPOSITORY), REPOSITORY, build_with(lambda_python.find(), directory, own_architecture()))


def of_commit(commit: str, directory: Path) -> Release:
    """Checks a former commit out into ``directory`` and packages it there with its own code.

    Its Makefile is the interface: `make package` is the same command in every release, wherever the modules are.
    """
    exact = _git("rev-parse", "--verify", "--short=12", f"{commit}^{{commit}}").decode().strip()
    directory.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(_git("archive", exact))) as archived:
        archived.extractall(directory, filter="data")
    installed = directory / ".make" / "python"  # the packages of this checkout's environment serve it, too
    installed.parent.mkdir()
    installed.touch()
    _make(directory, f"BIN={Path(sys.executable).parent}", "package", ".make/wa-js")
    return Release(Checkout(exact), directory, _read_package(directory / "build" / "package"))


def _read_package(directory: Path) -> Package:
    body, archive = directory / "template.yaml", directory / "deployment.zip"
    content = archive.read_bytes()
    return Package(
        template=body,
        zip=archive,
        zip_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        runtime=lambda_python.find().runtime,
        architecture=own_architecture(),
        resources=len(template.load(body)["Resources"]),
    )


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, capture_output=True, timeout=GIT_SECONDS, check=True
    ).stdout


def _make(directory: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["make", "-C", str(directory), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MAKE_SECONDS,
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise RuntimeError(f"the former release cannot be packaged:\n{last}")
