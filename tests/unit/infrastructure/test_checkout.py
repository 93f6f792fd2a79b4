"""The state of a checkout, with a name for each state."""

import subprocess
from pathlib import Path

import pytest

from infrastructure.checkout import check_checkout, checkout
from infrastructure.checks import State
from infrastructure.local import environment


def test_a_clean_checkout_is_its_commit(repository: Path) -> None:
    found = checkout(repository)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True, timeout=10
    ).stdout
    assert head.startswith(found.commit)
    assert found.clean
    assert found.tag == found.commit


def test_two_states_of_a_changed_checkout_have_different_names(repository: Path) -> None:
    commit = checkout(repository).commit
    seen = {commit}
    for change in ("two\n", "three\n"):
        (repository / "file").write_text(change)
        seen.add(checkout(repository).commit)
    for content in ("a", "b"):
        (repository / "untracked").write_text(content)
        seen.add(checkout(repository).commit)
    assert len(seen) == 5
    changed = checkout(repository)
    assert changed.commit.startswith(f"{commit}+")
    assert not changed.clean
    assert "+" not in changed.tag  # no registry takes it


def test_only_a_commit_is_deployed_to_prod_unless_dirty_is_set(repository: Path) -> None:
    (repository / "file").write_text("two\n")
    found = checkout(repository)
    refused = check_checkout(found, committed_only=True)
    assert (refused.state, refused.fix) == (State.BAD, "commit them, or set DIRTY=1")
    assert check_checkout(found, committed_only=False).state is State.OK


def test_a_deployment_needs_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = checkout(tmp_path)
    assert check_checkout(found, committed_only=False).state is State.BAD


def test_a_running_stack_and_the_runners_it_starts_stay_one_release_while_files_change(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "REPOSITORY", repository)
    environment.current_commit.cache_clear()
    try:
        before = environment.runner_environment({}, Path("data"))["COMMIT"]
        assert before == checkout(repository).commit
        (repository / "file").write_text("two\n")
        assert checkout(repository).commit != before
        assert environment.runner_environment({}, Path("data"))["COMMIT"] == before
    finally:
        environment.current_commit.cache_clear()


def test_a_folder_without_git_runs_as_an_unknown_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    environment.current_commit.cache_clear()
    try:
        assert environment.current_commit() == "unknown"
    finally:
        environment.current_commit.cache_clear()
