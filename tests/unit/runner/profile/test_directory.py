"""A profile is one session's alone, and an old login is never taken for the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.profile.directory import MAX_SET_ASIDE, Profile, ProfileBusy

TENANT = "tenant00001"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    profile = Profile(tmp_path, TENANT)
    profile.home.mkdir()
    return profile


def use(profile: Profile, epoch: int, login: str) -> None:
    """A browser was linked here and wrote its login down."""
    directory, _ = profile.open(epoch)
    (directory / "login").write_text(login)
    profile.mark_linked(epoch)


def login_of(directory: Path) -> str | None:
    file = directory / "login"
    return file.read_text() if file.exists() else None


def restored(profile: Profile, epoch: int, login: str, *, keep: bool = True) -> tuple[Path, bool]:
    """A copy of a snapshot replaces the current profile."""
    directory = profile.new_scratch_path()
    directory.mkdir()
    (directory / "login").write_text(login)
    return profile.replace(epoch, directory, keep=keep)


def test_only_one_process_may_hold_a_profile(tmp_path: Path) -> None:
    with Profile(tmp_path, TENANT).locked(), pytest.raises(ProfileBusy), Profile(tmp_path, TENANT).locked():
        pass
    with Profile(tmp_path, TENANT).locked():
        pass


def test_no_other_user_may_read_a_profile(tmp_path: Path) -> None:
    profile = Profile(tmp_path / "data", TENANT)
    with profile.locked():
        directory = profile.open(1).directory
    assert [path.stat().st_mode & 0o777 for path in (profile.home, directory)] == [0o700, 0o700]


def test_the_first_profile_is_empty_and_unlinked(profile: Profile) -> None:
    directory, linked = profile.open(1)
    assert directory.is_dir()
    assert not linked


def test_a_profile_that_no_other_runner_used_since_is_the_newest(profile: Profile) -> None:
    assert not profile.is_newest(None)
    use(profile, 1, "mine")
    assert profile.is_newest(1)
    directory, linked = profile.open(3)
    assert (login_of(directory), linked) == ("mine", True)


def test_a_restart_within_the_same_epoch_reuses_the_profile(profile: Profile) -> None:
    use(profile, 5, "mine")
    assert profile.is_newest(3)


def test_a_restored_control_plane_does_not_make_our_profile_old(profile: Profile) -> None:
    """The control plane forgot the claim at epoch 7; after the leap it sends an older last epoch, or none."""
    use(profile, 7, "mine")
    assert profile.is_newest(5)
    assert profile.is_newest(None)


def test_if_another_runner_held_the_session_since_ours_is_set_aside_for_the_snapshot(profile: Profile) -> None:
    use(profile, 1, "mine")
    assert not profile.is_newest(3)
    directory, linked = restored(profile, 5, "newer")
    assert (login_of(directory), linked) == ("newer", True)
    assert login_of(profile.home / "set-aside-epoch-1") == "mine"
    assert profile.is_newest(5)


def test_a_copy_of_a_snapshot_that_did_not_work_is_not_set_aside(profile: Profile) -> None:
    use(profile, 1, "mine")
    restored(profile, 5, "bad")
    directory, _ = restored(profile, 5, "older", keep=False)
    assert login_of(directory) == "older"
    assert [path.name for path in profile.home.glob("set-aside-*")] == ["set-aside-epoch-1"]


def test_the_scratch_files_of_a_killed_process_are_deleted(profile: Profile) -> None:
    first = profile.new_scratch_path()
    first.mkdir()
    first.with_suffix(".tar.zst").write_text("torn")
    (first / "file").write_text("torn")
    assert profile.new_scratch_path() != first
    use(profile, 1, "mine")
    profile.clear_scratch()
    assert not list(profile.home.glob("scratch-*"))
    assert login_of(profile.open(1).directory) == "mine"


def test_without_a_snapshot_an_old_login_is_better_than_none(profile: Profile) -> None:
    use(profile, 1, "mine")
    directory, linked = profile.open(5)
    assert (login_of(directory), linked) == ("mine", True)


def test_without_a_current_profile_the_newest_set_aside_is_used(profile: Profile) -> None:
    for epoch in (1, 3, 11):
        use(profile, epoch, f"login {epoch}")
        profile.set_aside()
    (profile.home / "current").rmdir()
    directory, linked = profile.open(13)
    assert (login_of(directory), linked) == ("login 11", True)


def test_few_old_profiles_are_kept(profile: Profile) -> None:
    for epoch in range(1, 9):
        use(profile, epoch, f"login {epoch}")
        profile.set_aside()
    kept = sorted(path.name for path in profile.home.glob("set-aside-*"))
    assert kept == ["set-aside-epoch-6", "set-aside-epoch-7", "set-aside-epoch-8"]
    assert len(kept) == MAX_SET_ASIDE


def test_after_a_wipe_no_older_login_is_used(profile: Profile) -> None:
    use(profile, 1, "old")
    profile.set_aside()
    use(profile, 3, "new")
    profile.wipe()
    directory, linked = profile.open(3)
    assert (login_of(directory), linked) == (None, False)


def test_a_suspect_mark_belongs_to_the_current_files_and_ends_with_them(profile: Profile) -> None:
    profile.open(2)
    profile.mark_linked(2)
    profile.mark_suspect()
    profile.mark_suspect()
    assert Profile(profile.home.parent, profile.tenant).is_suspect
    profile.set_aside()
    assert not profile.is_suspect
    profile.clear_suspect()


def test_a_rejected_profile_makes_way_for_any_snapshot_and_is_deleted(profile: Profile) -> None:
    use(profile, 5, "too large")
    profile.reject()
    assert not profile.is_newest(1)
    directory, linked = restored(profile, 7, "small")
    assert (login_of(directory), linked) == ("small", True)
    assert not list(profile.home.glob("set-aside-*")), "it would go on taking the disk"


def test_a_rejected_profile_is_still_better_than_no_login(profile: Profile) -> None:
    use(profile, 5, "too large")
    profile.reject()
    directory, linked = profile.open(7)
    assert (login_of(directory), linked) == ("too large", True)


def test_a_torn_marker_counts_as_none(profile: Profile) -> None:
    use(profile, 1, "mine")
    (profile.home / "marker.json").write_text('{"tenant": "ten')
    assert not profile.is_newest(1)
