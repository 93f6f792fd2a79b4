"""Image of the runner, built with docker, podman or buildah, whichever works here (`make image`)."""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from infrastructure.checkout import REPOSITORY, checkout
from infrastructure.packaging.package import Architecture

DOCKERFILE = "runner/Dockerfile"
TAG = "answerline-runner"
#: In the order in which they are tried.
BUILDERS = ("docker", "podman", "buildah")
ANSWER_WITHIN_SECONDS = 30

_PLATFORMS = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}


class CannotBuild(Exception):
    """No program here builds images; the message says what to do."""


def first_that_works(names: Sequence[str] = BUILDERS) -> str:
    """Returns the first of these programs that is installed and answers (a docker client without a daemon does not)."""
    for name in names:
        if shutil.which(name) is not None and _answers(name):
            return name
    raise CannotBuild(f"None of {', '.join(names)} works here: install one, or start its daemon (`{names[0]} info`).")


def build_command(
    builder: str,
    tag: str,
    *,
    commit: str,
    architecture: Architecture | None = None,
    fresh: bool = False,
    more: Sequence[str] = (),
) -> list[str]:
    """Returns the command that builds the image.

    Args:
        builder: docker, podman or buildah.
        tag: the image's name.
        commit: the version that the image contains.
        architecture: another one than this machine's needs binfmt (qemu-user-static).
        fresh: uses nothing of earlier builds: the newest base images and the newest Chromium.
        more: further arguments for the builder.
    """
    command = [builder, "build", "--file", str(REPOSITORY / DOCKERFILE), "--tag", tag]
    command += ["--build-arg", f"COMMIT={commit}"]
    if builder != "docker":
        command += ["--format", "docker"]  # OCI images have no health check
    if architecture is not None:
        command += ["--platform", _PLATFORMS[architecture]]
    if fresh:
        command += ["--no-cache", "--pull"]
    return [*command, *more, str(REPOSITORY)]


def main(arguments: Sequence[str]) -> int:
    """Builds the image; returns 0 and prints its name last, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.packaging.image", description=__doc__)
    parser.add_argument("--tag", default=TAG, help="the image's name")
    parser.add_argument("--architecture", choices=tuple(_PLATFORMS), help="another than this machine's")
    parser.add_argument("--fresh", action="store_true", help="the newest Chromium and base images; nothing from cache")
    parser.add_argument("--more", default="", help="more arguments for docker, podman or buildah, as one string")
    chosen = parser.parse_args(arguments)
    try:
        command = build_command(
            first_that_works(),
            chosen.tag,
            commit=checkout(REPOSITORY).commit or "unknown",
            architecture=chosen.architecture,
            fresh=chosen.fresh,
            more=shlex.split(chosen.more),
        )
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 1
    print(shlex.join(command), flush=True)
    built = subprocess.run(command, check=False).returncode
    print(chosen.tag if built == 0 else f"{command[0]} ended with {built}; its last lines say why.")
    return 1 if built else 0


def _answers(name: str) -> bool:
    try:
        asked = subprocess.run([name, "info"], capture_output=True, timeout=ANSWER_WITHIN_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
