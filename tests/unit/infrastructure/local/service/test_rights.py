"""The rights of a command that root starts: as the account of the data, with root's own for what root named."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local.service import rights
from infrastructure.local.service.account import command_that_gives, holder_of
from infrastructure.local.service.installation import keeper_of, with_service
from infrastructure.local.service.installed import Places
from infrastructure.local.service.rights import as_caller, as_holder, lent
from infrastructure.local.settings import CannotStart

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another account")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every account reaches, with `data` of another account's."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    (made / "data").mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(made / "data", "nobody")
    yield made
    shutil.rmtree(made)


def owner(path: Path) -> str:
    return path.owner()


@root_only
@pytest.mark.parametrize("can_run", [True, False])
def test_what_is_written_into_the_data_belongs_to_their_account(
    directory: Path, monkeypatch: pytest.MonkeyPatch, can_run: bool
) -> None:
    monkeypatch.setattr(rights, "_can_run", lambda: can_run)
    data = directory / "data"
    (data / "of-a-former-release").write_text("root's")
    with as_holder(data):
        assert owner(data / "of-a-former-release") == "nobody", "before, too: or the command could not use it"
        (data / "new").write_text("x")
        subprocess.run(["touch", data / "by-a-program"], check=True)
        with as_caller():
            (directory / "named").write_text("x")
            assert os.geteuid() == 0
        assert (os.geteuid() == 0) is not can_run
    assert {owner(path) for path in data.iterdir()} == {"nobody"}
    assert owner(directory / "named") == "root"
    assert os.getresuid() == os.getresgid() == (0, 0, 0)


@root_only
def test_a_program_of_the_command_cannot_become_root_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "_can_run", lambda: True)
    (directory / "of-root").mkdir(mode=0o700)
    with as_holder(directory / "data"):
        seen = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
        assert os.environ["HOME"] == str(directory / "data"), "the account's own, nobody has none"
        assert subprocess.run(["ls", directory / "of-root"], capture_output=True, check=False).returncode != 0
    (uids, gids) = (next(line for line in seen.splitlines() if line.startswith(f"{kind}:")) for kind in ("Uid", "Gid"))
    for ids in (uids, gids):
        assert "0" not in ids.split()[1:], ids


@root_only
def test_rights_and_names_come_back_after_an_error(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "_can_run", lambda: True)
    before, groups = dict(os.environ), os.getgroups()
    with pytest.raises(ValueError), as_holder(directory / "data"):
        raise ValueError
    assert (os.getresuid(), dict(os.environ), os.getgroups()) == ((0, 0, 0), before, groups)


def test_nothing_changes_for_data_of_ones_own_and_for_none(tmp_path: Path) -> None:
    before = os.getresuid()
    for data in (tmp_path, tmp_path / "missing"):
        with as_holder(data), as_caller():
            assert os.getresuid() == before
    assert not (tmp_path / "missing").exists()


@root_only
def test_a_missing_directory_is_made_for_its_account(directory: Path) -> None:
    data = directory / "data" / "new"
    with as_holder(data, made_for=keeper_of(data, {"SERVICE_ETC": str(directory)})):
        (data / "x").write_text("x")
    assert owner(data) == owner(data / "x") == "nobody"
    assert data.stat().st_mode & 0o077 == 0


@root_only
def test_the_account_of_data_that_are_lost_is_the_one_of_the_unit(directory: Path) -> None:
    places = Places(directory)
    places.unit.parent.mkdir(parents=True)
    places.unit.write_text(f'[Service]\nUser=nobody\nReadWritePaths="{directory}/lost"\n')
    environment = {"SERVICE_ETC": str(directory)}
    assert keeper_of(directory / "lost", environment).name == "nobody"
    assert keeper_of(directory / "other", environment).name == "root"


@root_only
def test_files_that_only_root_reads_are_lent(directory: Path) -> None:
    (directory / "backup-credentials").write_text("a key")
    given = {"CREDENTIALS_DIRECTORY": str(directory), "BACKUP_KNOWN_HOSTS": str(directory / "missing"), "X": "y"}
    with lent(given, directory / "data") as lending:
        copy = Path(lending["BACKUP_CREDENTIALS"])
        assert (copy.read_text(), owner(copy), copy.stat().st_mode & 0o777) == ("a key", "nobody", 0o400)
        assert owner(copy.parent) == "nobody" and copy.parent.stat().st_mode & 0o077 == 0
        assert {name: lending[name] for name in given} == given
    assert not copy.parent.exists()


def test_an_account_without_a_name_has_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 54_321, 54_321)
        assert holder_of(tmp_path).name == "54321"
    assert command_that_gives(tmp_path) == f"`sudo chown -R {holder_of(tmp_path).name} {tmp_path}`"


# -- the settings of the service --------------------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path) -> Places:
    places = Places(tmp_path / "etc")
    places.unit.parent.mkdir(parents=True)
    places.unit.write_text('[Service]\nUser=nobody\nReadWritePaths="/srv/answerline"\n')
    places.credentials.mkdir(parents=True)
    places.settings.write_text('BACKUP_TO="/mnt/backups"\nPORTS="5000"\n')
    return places


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"DATA": "/srv/answerline", "BACKUP_TO": "/mnt/backups", "PORTS": "5000"}),
        ({"DATA": "", "BACKUP_TO": ""}, {"DATA": "/srv/answerline", "BACKUP_TO": "/mnt/backups", "PORTS": "5000"}),
        ({"PORTS": "6000"}, {"DATA": "/srv/answerline", "BACKUP_TO": "/mnt/backups", "PORTS": "6000"}),
        ({"DATA": "/srv/../srv/answerline"}, {"DATA": "/srv/answerline", "BACKUP_TO": "/mnt/backups", "PORTS": "5000"}),
        ({"DATA": "/srv/other"}, {"DATA": "/srv/other"}),
    ],
)
def test_a_command_has_the_settings_of_the_service_whose_data_it_is_about(
    service: Places, given: dict[str, str], expected: dict[str, str]
) -> None:
    found = with_service({**given, "SERVICE_ETC": str(service.etc)})
    seen = {name: value for name, value in found.items() if name not in ("SERVICE_ETC", "CREDENTIALS_DIRECTORY")}
    assert seen == expected
    assert found.get("CREDENTIALS_DIRECTORY") == (str(service.credentials) if "BACKUP_TO" in expected else None)


def test_without_a_service_a_command_has_its_own_settings(tmp_path: Path) -> None:
    given = {"SERVICE_ETC": str(tmp_path), "DATA": "x"}
    assert with_service(given) == given


def test_a_person_who_may_not_read_the_settings_is_asked_for_sudo(
    service: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    unit = service.unit.read_text()
    monkeypatch.setattr(Path, "read_text", lambda path: unit if path == service.unit else refuse(path))
    with pytest.raises(CannotStart, match="with sudo"):
        with_service({"SERVICE_ETC": str(service.etc)})
