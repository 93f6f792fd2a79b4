"""Checks of this machine: the Python that packages, the program that builds images."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.checks import State
from infrastructure.deploying import build_machine
from infrastructure.packaging import lambda_python
from infrastructure.packaging.package import own_architecture

Put = Callable[[str, str], Path]
OTHER = "x86_64" if own_architecture() == "arm64" else "arm64"


def test_a_docker_client_without_its_daemon_does_not_count(programs: Put) -> None:
    assert [each.state for each in build_machine.check_builder(own_architecture())] == [State.BAD]
    programs("podman", "exit 0")
    (found,) = build_machine.check_builder(own_architecture())
    assert (found.state, found.subject) == (State.OK, "podman builds the image")


def test_another_processors_image_needs_an_emulator(
    programs: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("docker", "exit 0")
    monkeypatch.setattr(build_machine, "EMULATORS", tmp_path)
    assert [each.state for each in build_machine.check_builder(OTHER)] == [State.OK, State.UNKNOWN]  # type: ignore[arg-type]
    for name in ("qemu-aarch64", "qemu-x86_64"):
        (tmp_path / name).touch()
    assert [each.state for each in build_machine.check_builder(OTHER)] == [State.OK]  # type: ignore[arg-type]


def test_lambdas_python_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python3.13"
    monkeypatch.setattr(lambda_python, "candidates", lambda: iter([python]))
    assert build_machine.check_python().state is State.BAD
    python.write_text("#!/bin/sh\necho 3 13\n")
    python.chmod(0o755)
    assert build_machine.check_python().state is State.OK
