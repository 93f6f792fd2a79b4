"""The service: installed by `make service`, run as systemd would run it, secret where it must be, removed again."""

import getpass
import json
import os
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infrastructure.checkout import REPOSITORY

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

PASSWORD = "s3cret-of-the-mail-server"
SMTP_URL = f"smtps://answerline:{PASSWORD}@mail.example:465"
MANAGER = Path(__file__).with_name("service_manager.py")


class Service:
    """A scratch /etc, a data directory, and the commands of `make`."""

    def __init__(self, directory: Path) -> None:
        self.etc, self.data, self.ports = directory / "etc", directory / "data", free_ports(7)
        programs = directory / "bin"
        programs.mkdir()
        systemctl = programs / "systemctl"
        systemctl.write_text(f'#!/bin/sh\nexec {sys.executable} {MANAGER} "$@"\n')
        systemctl.chmod(0o755)
        self.etc.mkdir()
        self.unit = self.etc / "systemd" / "system" / "answerline.service"
        self.settings = self.etc / "answerline" / "answerline.env"
        self.credentials = self.etc / "answerline" / "credentials"
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(directory),
            "PYTHONPATH": ".:chalice_app:chalice_app/vendor",
            "SERVICE_ETC": str(self.etc),
            "SERVICE_USER": getpass.getuser(),
        }

    def run(self, verb: str, **settings: str) -> tuple[int, str]:
        """Runs what the target of `make` runs."""
        done = subprocess.run(
            [sys.executable, "-m", "infrastructure.local.service", verb],
            cwd=REPOSITORY,
            env={**self.environment, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=150,
        )
        return done.returncode, done.stdout

    def install(self, **settings: str) -> tuple[int, str]:
        return self.run("install", DATA=str(self.data), PORTS=str(self.ports), RUNNERS="0", **settings)

    @property
    def pid(self) -> int:
        return int(json.loads((self.data / "stack.json").read_text())["pid"])

    @property
    def journal(self) -> str:
        return (self.etc / "run" / "journal").read_text()


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no ports are free")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"))
    code, output = service.install(SMTP_URL=SMTP_URL, MAIL_FROM="line@agency.example")
    try:
        assert code == 0, output
        service.output = output  # type: ignore[attr-defined]
        yield service
    finally:
        service.run("remove")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_application_answers_once_the_service_is_started(service: Service) -> None:
    with urllib.request.urlopen(f"http://localhost:{service.ports}/api/health", timeout=10) as answer:
        assert json.load(answer)["stage"] == "local"


def test_the_person_who_installs_reads_the_first_password_and_the_journal_does_not(service: Service) -> None:
    first = json.loads((service.data / "operator.json").read_text())["first_password"]
    assert first in service.output  # type: ignore[attr-defined]
    assert first not in service.journal
    assert "the first password is in" in service.journal


def test_a_secret_is_in_its_own_file_and_nowhere_else(service: Service) -> None:
    assert SMTP_URL in (service.credentials / "SMTP_URL").read_text()
    for path in (service.unit, service.settings):
        assert PASSWORD not in path.read_text()
    family = [psutil.Process(service.pid), *psutil.Process(service.pid).children(recursive=True)]
    for process in family:
        assert PASSWORD not in " ".join([*process.cmdline(), *process.environ().values()])
    assert PASSWORD not in service.journal
    assert not [path for path in (service.data / "logs").iterdir() if PASSWORD in path.read_text(errors="replace")]
    # … and it is used: mails wait for that server.
    assert (service.data / "ministack" / "outbox" / "relayed").is_dir()


def test_only_root_reads_the_files_of_the_service(service: Service) -> None:
    assert mode(service.settings) == mode(service.credentials / "SMTP_URL") == 0o600
    assert mode(service.credentials) == mode(service.settings.parent) == mode(service.data) == 0o700
    assert mode(service.unit) == 0o644


def test_installing_again_changes_nothing_and_keeps_the_service_running(service: Service) -> None:
    before = service.pid, service.unit.read_text(), service.settings.read_text()
    code, output = service.run("install")
    assert (code, "runs with these settings already" in output) == (0, True), output
    assert (service.pid, service.unit.read_text(), service.settings.read_text()) == before


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"BASE_URL": "line.example"}, "BASE_URL=line.example is not an address"),
        ({"PORTS": "auto"}, "PORTS=auto means other ports at each start"),
        ({"SERVICE_USER": "nobody-at-all"}, "SERVICE_USER=nobody-at-all: there is no such user"),
        ({"CHROMIUM": "/no/chromium", "RUNNERS": "1"}, "CHROMIUM=/no/chromium does not exist."),
        ({"SMTP_URL": "mail.example"}, "SMTP_URL is not an address"),
        ({"MAIL_FROM": "a\nb@agency.example"}, "MAIL_FROM has a line break"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_written(
    service: Service, settings: dict[str, str], sentence: str
) -> None:
    before = service.pid, service.unit.read_text(), service.settings.read_text()
    code, output = service.run("install", **settings)
    assert code == 1
    assert sentence in output
    assert (service.pid, service.unit.read_text(), service.settings.read_text()) == before


def test_data_that_another_stack_uses_are_refused(service: Service, tmp_path: Path) -> None:
    other = Service(tmp_path)
    other.data = service.data
    code, output = other.install()
    assert (code, "Another Answerline already runs on" in output) == (1, True), output
    assert not other.unit.exists()


def test_without_systemd_the_person_reads_what_works_instead(service: Service, tmp_path: Path) -> None:
    other = Service(tmp_path)
    code, output = other.install(SYSTEM_STATE="offline")
    assert (code, "`make up` works without it." in output) == (1, True), output
    other.environment["PATH"] = str(tmp_path / "empty")
    code, output = other.install()
    assert (code, "There is no systemctl: a service needs systemd." in output) == (1, True), output
    assert not other.data.exists() and list(other.etc.iterdir()) == [], "nothing was written"


def test_the_caddyfile_is_of_the_installed_settings(service: Service) -> None:
    code, output = service.run("caddyfile", BASE_URL="https://line.agency.de", PORTS=str(service.ports))
    assert (code, f"reverse_proxy 127.0.0.1:{service.ports} {{" in output) == (0, True)
    code, output = service.run("caddyfile")
    assert (code, output) == (
        1,
        "BASE_URL is not given: it is the address that Caddy serves, like https://line.example.com.\n",
    )


def test_a_folder_for_backups_and_a_credential_that_was_put_there_reach_the_unit(tmp_path: Path) -> None:
    service = Service(tmp_path)
    # Starts nothing: only what is written counts here.
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\necho running\n[ $1 != is-active ]\n")
    code, output = service.install(BACKUP_TO=str(tmp_path / "backups"))
    assert (code, f"There is no folder {tmp_path}/backups: mount its disk" in output) == (1, True), output
    assert not service.unit.exists()
    (tmp_path / "backups").mkdir()
    service.credentials.mkdir(parents=True)
    (service.credentials / "backup-credentials").write_text("a key\nof lines\n")
    code, output = service.install(BACKUP_TO=str(tmp_path / "backups"))
    assert (code, "starting the service" in output) == (0, True), output
    unit = service.unit.read_text()
    assert f'ReadWritePaths="-{tmp_path}/backups"' in unit
    assert "LoadCredential=backup-credentials:" in unit
    assert f'BACKUP_TO="{tmp_path}/backups"' in service.settings.read_text()


def test_removing_stops_in_order_and_keeps_the_data(service: Service) -> None:
    """The last test: it removes the service of the others."""
    code, output = service.run("remove")
    assert (code, "stopped and removed" in output) == (0, True), output
    assert (service.etc / "run" / "stopped").read_text() == "in order"
    assert service.journal.rstrip().endswith("stopped")
    assert not service.unit.exists()
    assert service.settings.exists()
    assert (service.data / "ministack").is_dir()
    assert service.run("remove")[1].startswith("there is no service")
