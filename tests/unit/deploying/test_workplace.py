"""This machine: what is checked out, and who builds."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure import packaging_python
from infrastructure.deploying import workplace
from infrastructure.findings import State
from infrastructure.package import own_architecture

Put = Callable[[str, str], Path]
OTHER = "x86_64" if own_architecture() == "arm64" else "arm64"


def test_a_clean_checkout_is_its_commit(repository: Path) -> None:
    found = workplace.checkout(repository)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True, timeout=10
    ).stdout
    assert head.startswith(found.commit)
    assert found.clean
    assert found.tag == found.commit


def test_two_states_of_a_changed_checkout_are_never_taken_for_each_other(repository: Path) -> None:
    commit = workplace.checkout(repository).commit
    seen = {commit}
    for change in ("two\n", "three\n"):
        (repository / "file").write_text(change)
        seen.add(workplace.checkout(repository).commit)
    for content in ("a", "b"):
        (repository / "untracked").write_text(content)
        seen.add(workplace.checkout(repository).commit)
    assert len(seen) == 5
    changed = workplace.checkout(repository)
    assert changed.commit.startswith(f"{commit}+")
    assert not changed.clean
    assert "+" not in changed.tag  # no registry takes it


def test_only_a_commit_is_deployed_as_prod_unless_it_is_meant(repository: Path) -> None:
    (repository / "file").write_text("two\n")
    found = workplace.checkout(repository)
    refused = workplace.look_at_checkout(found, committed_only=True)
    assert (refused.state, refused.mend) == (State.BAD, "commit them, or say DIRTY=1")
    assert workplace.look_at_checkout(found, committed_only=False).state is State.OK


def test_without_git_nobody_could_tell_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = workplace.checkout(tmp_path)
    assert workplace.look_at_checkout(found, committed_only=False).state is State.BAD


def test_a_docker_client_without_its_daemon_does_not_count(programs: Put) -> None:
    assert [each.state for each in workplace.look_at_builder(own_architecture())] == [State.BAD]
    programs("podman", "exit 0")
    (found,) = workplace.look_at_builder(own_architecture())
    assert (found.state, found.what) == (State.OK, "podman builds the image")


def test_another_processors_image_needs_an_emulator(
    programs: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("docker", "exit 0")
    monkeypatch.setattr(workplace, "EMULATORS", tmp_path)
    assert [each.state for each in workplace.look_at_builder(OTHER)] == [State.OK, State.UNKNOWN]  # type: ignore[arg-type]
    for name in ("qemu-aarch64", "qemu-x86_64"):
        (tmp_path / name).touch()
    assert [each.state for each in workplace.look_at_builder(OTHER)] == [State.OK]  # type: ignore[arg-type]


def test_lambdas_python_must_be_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python3.13"
    monkeypatch.setattr(packaging_python, "candidates", lambda: iter([python]))
    assert workplace.look_at_python().state is State.BAD
    python.write_text("#!/bin/sh\necho 3 13\n")
    python.chmod(0o755)
    assert workplace.look_at_python().state is State.OK
