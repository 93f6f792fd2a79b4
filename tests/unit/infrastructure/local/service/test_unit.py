"""The unit of systemd: what stands in it, and what never does."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.local.ecs import supervisor
from infrastructure.local.service.installed import data_of_unit
from infrastructure.local.service.unit import (
    STOP_WITHIN_SECONDS,
    Installation,
    unit_text,
)

ANALYZE = shutil.which("systemd-analyze")
INSTALLATION = Installation(
    checkout=Path("/opt/answerline"),
    data=Path("/opt/answerline/data"),
    settings_file=Path("/etc/answerline/answerline.env"),
    credentials=Path("/etc/answerline/credentials"),
    secrets=("SMTP_URL", "BACKUP_KEY"),
    user="answerline",
    group="answerline",
    home=Path("/opt/answerline/data"),
)
#: Each must survive in every place where a path stands.
PATHS = ["/srv/a b", "/srv/100%n", "/srv/ümläut", "/srv/#;", "/srv/a=b", "/srv/-x", "/srv/{a}*"]


def directives(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_the_service_starts_at_boot_and_whenever_it_ended() -> None:
    unit = directives(unit_text(INSTALLATION))
    assert unit["WantedBy"] == ["multi-user.target"]
    assert (unit["Type"], unit["Restart"], unit["StartLimitIntervalSec"]) == (["notify"], ["always"], ["0"])


def test_a_stop_gives_every_part_its_time_in_order() -> None:
    unit = directives(unit_text(INSTALLATION))
    assert (unit["KillMode"], unit["KillSignal"]) == (["mixed"], ["SIGTERM"])
    assert unit["TimeoutStopSec"] == [str(STOP_WITHIN_SECONDS)]
    assert supervisor.STOP_GRACE_SECONDS + supervisor.KILL_TIMEOUT_SECONDS + 15 + 2 * 60 < STOP_WITHIN_SECONDS


def test_what_it_may_take_is_bounded() -> None:
    unit = directives(unit_text(INSTALLATION))
    assert unit["MemoryHigh"] < unit["MemoryMax"]
    assert {"TasksMax", "LimitNOFILE", "LimitCORE", "LogRateLimitBurst"} <= unit.keys()
    assert unit["OOMPolicy"] == ["continue"]  # one browser that is killed does not stop the other lines


def test_each_secret_is_a_credential_and_none_is_a_variable() -> None:
    unit = directives(unit_text(INSTALLATION))
    assert unit["LoadCredential"] == [
        f"{name}:/etc/answerline/credentials/{name}" for name in ("BACKUP_KEY", "SMTP_URL")
    ]
    assert not {"SetCredential", "PassEnvironment"} & unit.keys()
    assert not [value for value in unit["Environment"] if any(name in value for name in INSTALLATION.secrets)]


@pytest.mark.parametrize(
    ("checkout", "data", "home", "reads", "protection"),
    [
        ("/opt/answerline", "/var/lib/answerline", "/var/lib/answerline", "/usr/bin/python3", "yes"),
        ("/home/Alice/answerline", "/var/lib/answerline", "/var/lib/answerline", "/usr/bin/python3", "read-only"),
        ("/opt/answerline", "/home/Alice/data", "/var/lib/answerline", "/usr/bin/python3", "read-only"),
        ("/opt/answerline", "/var/lib/answerline", "/home/Alice", "/usr/bin/python3", "read-only"),
        ("/opt/answerline", "/var/lib/answerline", "/opt", "/home/Alice/.pyenv/python3", "read-only"),
        ("/opt/answerline", "/var/lib/answerline", "/opt", "/root/.local/python3", "read-only"),
        ("/homes/answerline", "/var/lib/answerline", "/opt", "/usr/bin/python3", "yes"),
    ],
)
def test_homes_are_hidden_unless_something_is_in_one(
    checkout: str, data: str, home: str, reads: str, protection: str
) -> None:
    places = {"checkout": Path(checkout), "data": Path(data), "home": Path(home), "reads": (Path(reads),)}
    assert directives(unit_text(replace(INSTALLATION, **places)))["ProtectHome"] == [protection]  # type: ignore[arg-type]


def test_a_folder_for_backups_may_be_written_and_may_be_missing() -> None:
    unit = directives(unit_text(replace(INSTALLATION, writes=(Path("/mnt/backup disk"),))))
    assert unit["ReadWritePaths"] == ['"/opt/answerline/data"', '"-/mnt/backup disk"']


def test_only_containers_need_another_group() -> None:
    assert "SupplementaryGroups" not in directives(unit_text(INSTALLATION))
    unit = directives(unit_text(replace(INSTALLATION, groups=("docker",))))
    assert unit["SupplementaryGroups"] == ["docker"]


@pytest.mark.parametrize("path", PATHS)
def test_the_data_of_an_installed_unit_are_found_again(path: str) -> None:
    assert data_of_unit(unit_text(replace(INSTALLATION, data=Path(path)))) == path


def test_another_text_has_no_data() -> None:
    assert data_of_unit("[Service]\nExecStart=/bin/true\n") == ""


@pytest.mark.parametrize(
    "path",
    ["/srv/a\nUser=root", "/srv/a\rb", "/srv/a\x00b", "/srv/a ", "/srv/$HOME", "/srv/it's", '/srv/"q"', "/srv/a\\b"],
)
def test_a_path_never_becomes_a_second_directive(path: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a unit"):
        unit_text(replace(INSTALLATION, data=Path(path)))


@pytest.mark.skipif(ANALYZE is None, reason="missing: systemd-analyze, of Debian's package systemd")
@pytest.mark.parametrize("name", ["plain", *(Path(path).name for path in PATHS)])
def test_systemd_understands_every_line(tmp_path: Path, name: str) -> None:
    assert ANALYZE is not None
    checkout = tmp_path / name
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")  # the command must be there
    unit = tmp_path / "answerline.service"
    unit.write_text(
        unit_text(replace(INSTALLATION, checkout=checkout, data=checkout / "data", user="root", group="root"))
    )
    done = subprocess.run([ANALYZE, "verify", unit], capture_output=True, text=True, timeout=60)
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "answerline" in line]
    assert (done.returncode, about_ours) == (0, [])


@pytest.mark.skipif(ANALYZE is None, reason="missing: systemd-analyze, of Debian's package systemd")
def test_systemd_finds_it_well_hardened(tmp_path: Path) -> None:
    assert ANALYZE is not None
    unit = tmp_path / "answerline.service"
    unit.write_text(unit_text(INSTALLATION))
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=30", "--no-pager", unit],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze judges no files")
    assert done.returncode == 0, done.stdout[-600:] + done.stderr
