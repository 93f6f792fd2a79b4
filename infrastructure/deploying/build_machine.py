"""Checks of this machine: Python 3.13, and a program that builds images."""

from pathlib import Path

from infrastructure.checks import CheckResult, bad, ok, unknown
from infrastructure.packaging import image, lambda_python
from infrastructure.packaging.package import Architecture, own_architecture

#: The folder in which Linux registers emulators of other processors.
EMULATORS = Path("/proc/sys/fs/binfmt_misc")


def check_python() -> CheckResult:
    """Checks for the Python that packages, whose version Lambda runs."""
    for candidate in lambda_python.candidates():
        if lambda_python.version_of(candidate) == lambda_python.PREFERRED:
            return ok(f"Python 3.13 ({candidate})")
    return bad(
        "Python 3.13 is not here", "install it (python.org, pyenv, or your distribution): Lambda runs this version"
    )


def check_builder(architecture: Architecture) -> list[CheckResult]:
    """Checks for a program that builds images for this processor."""
    try:
        builder = image.first_that_works()
    except image.CannotBuild as error:
        return [bad("no container builder", str(error))]
    results = [ok(f"{builder} builds the image")]
    if architecture != own_architecture() and not _emulated(architecture):
        fix = "register qemu (Debian: apt-get install qemu-user-static), or build on such a machine"
        results.append(unknown(f"{builder} may be unable to build for {architecture} on {own_architecture()}", fix))
    return results


def _emulated(architecture: Architecture) -> bool:
    return (EMULATORS / ("qemu-aarch64" if architecture == "arm64" else "qemu-x86_64")).exists()
