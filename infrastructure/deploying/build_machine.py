"""This machine: Python 3.13, and a program that builds images."""

from pathlib import Path

from infrastructure.checks import Finding, bad, ok, unknown
from infrastructure.packaging import image, lambda_python
from infrastructure.packaging.package import Architecture, own_architecture

#: Where Linux registers emulators of other processors.
EMULATORS = Path("/proc/sys/fs/binfmt_misc")


def look_at_python() -> Finding:
    """Lambda runs the Python that packages."""
    for candidate in lambda_python.candidates():
        if lambda_python.version_of(candidate) == lambda_python.PREFERRED:
            return ok(f"Python 3.13 ({candidate})")
    return bad(
        "Python 3.13 is not here", "install it (python.org, pyenv, or your distribution): Lambda gets this version"
    )


def look_at_builder(architecture: Architecture) -> list[Finding]:
    """A program that builds images, and builds them for this processor."""
    try:
        builder = image.first_that_works()
    except image.CannotBuild as error:
        return [bad("no container builder", str(error))]
    found = [ok(f"{builder} builds the image")]
    if architecture != own_architecture() and not _emulated(architecture):
        mend = "register qemu (Debian: apt-get install qemu-user-static), or build on such a machine"
        found.append(unknown(f"{builder} may be unable to build for {architecture} on {own_architecture()}", mend))
    return found


def _emulated(architecture: Architecture) -> bool:
    return (EMULATORS / ("qemu-aarch64" if architecture == "arm64" else "qemu-x86_64")).exists()
