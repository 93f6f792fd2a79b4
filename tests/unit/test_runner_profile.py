"""A profile is one session's alone, and an old login is never taken for the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.profile import SET_ASIDE_AT_MOST, Profile, ProfileBusy

TENANT = "tenant00001"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    profile = Profile(tmp_path, TENANT)
    profile.home.mkdir()
    return profile


def use(profile: Profile, epoch: int, login: str, last_epoch: int | None = None) -> None:
    """A browser was linked here and wrote its login down."""
    directory, _ = profile.open(epoch, last_epoch)
    (directory / "login").write_text(login)
    profile.mark_linked(epoch)


def login_of(directory: Path) -> str | None:
    file = directory / "login"
    return file.read_text() if file.exists() else None


def snapshot(login: str) -> object:
    def restore(directory: Path) -> None:
        (directory / "login").write_text(login)

    return restore


def test_only_one_process_may_hold_a_profile(tmp_path: Path) -> None:
    with Profile(tmp_path, TENANT).locked(), pytest.raises(ProfileBusy), Profile(tmp_path, TENANT).locked():
        pass
    with Profile(tmp_path, TENANT).locked():
        pass


def test_the_first_profile_is_empty_and_unlinked(profile: Profile) -> None:
    directory, linked = profile.open(1, None)
    assert directory.is_dir()
    assert not linked


def test_a_profile_nobody_used_since_is_reused_rather_than_the_snapshot(profile: Profile) -> None:
    use(profile, 1, "mine")
    directory, linked = profile.open(3, last_epoch=1, restore=snapshot("older"))  # type: ignore[arg-type]
    assert (login_of(directory), linked) == ("mine", True)


def test_a_restart_within_the_same_epoch_reuses_the_profile(profile: Profile) -> None:
    use(profile, 5, "mine")
    directory, _ = profile.open(5, last_epoch=3, restore=snapshot("older"))  # type: ignore[arg-type]
    assert login_of(directory) == "mine"


def test_if_somebody_held_the_session_since_the_snapshot_is_newer_and_ours_is_set_aside(profile: Profile) -> None:
    use(profile, 1, "mine")
    directory, linked = profile.open(5, last_epoch=3, restore=snapshot("newer"))  # type: ignore[arg-type]
    assert (login_of(directory), linked) == ("newer", True)
    assert login_of(profile.home / "set-aside-epoch-1") == "mine"


def test_without_a_snapshot_an_old_login_is_better_than_none(profile: Profile) -> None:
    use(profile, 1, "mine")
    directory, linked = profile.open(5, last_epoch=3)
    assert (login_of(directory), linked) == ("mine", True)


def test_without_a_current_profile_the_newest_set_aside_is_used(profile: Profile) -> None:
    for epoch in (1, 3, 11):
        use(profile, epoch, f"login {epoch}", last_epoch=epoch)
        profile.set_aside()
    (profile.home / "current").rmdir()
    directory, linked = profile.open(13, None)
    assert (login_of(directory), linked) == ("login 11", True)


def test_few_old_profiles_are_kept(profile: Profile) -> None:
    for epoch in range(1, 9):
        use(profile, epoch, f"login {epoch}", last_epoch=epoch)
        profile.set_aside()
    kept = sorted(path.name for path in profile.home.glob("set-aside-*"))
    assert kept == ["set-aside-epoch-6", "set-aside-epoch-7", "set-aside-epoch-8"]
    assert len(kept) == SET_ASIDE_AT_MOST


def test_after_a_wipe_no_older_login_comes_back(profile: Profile) -> None:
    use(profile, 1, "old")
    profile.set_aside()
    use(profile, 3, "new", last_epoch=1)
    profile.wipe()
    directory, linked = profile.open(3, last_epoch=1)
    assert (login_of(directory), linked) == (None, False)


def test_a_torn_marker_counts_as_none(profile: Profile) -> None:
    use(profile, 1, "mine")
    (profile.home / "marker.json").write_text('{"tenant": "ten')
    directory, linked = profile.open(3, last_epoch=1, restore=snapshot("newer"))  # type: ignore[arg-type]
    assert (login_of(directory), linked) == ("newer", True)
