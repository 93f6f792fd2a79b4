"""Installs and removes the service: settings and secrets below /etc, the unit, its start."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from infrastructure.local import preflight
from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.places import Folder
from infrastructure.local.credentials import DIRECTORY
from infrastructure.local.service import systemd
from infrastructure.local.service.account import Account, give, holder_of, run_as, service_account
from infrastructure.local.service.installed import Places, data_of_service, data_of_unit, user_of_unit
from infrastructure.local.service.settings_file import NAMES, SECRETS, change_file, parse_file
from infrastructure.local.service.unit import Installation, unit_text
from infrastructure.local.settings import CannotStart, Settings, parse

Report = Callable[[str], None]
_CREDENTIAL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
#: The groups that may use a container engine.
_ENGINE_GROUPS = ("docker",)


def install(checkout: Path, environment: Mapping[str, str], report: Report) -> Settings:
    """Installs the service, or brings it up to date, and starts it; returns its settings.

    Everything is checked before anything is written. Raises CannotStart.
    """
    places = Places.from_environment(environment)
    _require_rights(places)
    systemd.require_running()
    text = _text_of_settings(places)
    changed_text = change_file(text, {name: environment[name] for name in NAMES if environment.get(name)})
    secrets = {name: environment[name] for name in SECRETS if environment.get(name)}
    settings = read_settings(places, environment, changed_text, secrets)
    account = service_account(checkout, settings.data, environment.get("SERVICE_USER", ""))
    given = parse_file(changed_text)
    unit = _unit(checkout, settings, places, account, given)
    # A disk that is not mounted just now hinders no other setting.
    _check(checkout, settings, account, {**given, "BACKUP_TO": environment.get("BACKUP_TO", "")})
    active = systemd.is_active()
    if not active:
        os.close(preflight.lock_data_directory(settings.data))
    give(settings.data, account)
    changed = _write(places.settings, changed_text, 0o600)
    for name in SECRETS:
        file = places.credentials / name
        if name in secrets or not file.exists():  # an empty file is a secret that is not given
            changed |= _write(file, secrets.get(name, "") + "\n", 0o600)
    changed |= _write(places.unit, unit, 0o644)
    systemd.reload()
    systemd.enable()
    if active and not changed:
        report("the service runs with these settings already")
    else:
        report("starting the service …")
        systemd.restart()
    return settings


def remove(environment: Mapping[str, str], report: Report) -> None:
    """Stops the service and removes its unit; settings, secrets and data stay. Raises CannotStart."""
    places = Places.from_environment(environment)
    _require_rights(places)
    if places.unit.exists():
        systemd.disable()
        places.unit.unlink()
        systemd.reload()
        report("the service is stopped and removed")
    else:
        report("there is no service")
    if places.settings.parent.exists():
        report(f"settings and secrets stay in {places.settings.parent}, and the data where they are")


def read_settings(
    places: Places, environment: Mapping[str, str], text: str | None = None, secrets: Mapping[str, str] | None = None
) -> Settings:
    """Returns the settings with which the service starts. Raises CannotStart if it could not start with them."""
    if text is None:
        text = _text_of_settings(places)
    given = {**parse_file(text), **(secrets or {})}
    if environment.get("DATA"):
        given["DATA"] = environment["DATA"]
    elif places.unit.exists():
        given["DATA"] = data_of_unit(places.unit.read_text())
    if given.get("PORTS") == "auto":
        raise CannotStart("PORTS=auto means other ports at each start: give a service its first port, such as 4700.")
    if places.credentials.is_dir():
        given[DIRECTORY] = str(places.credentials)
    return parse([], given)


def with_service(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a command, with the settings of the service if it is about the service's data.

    What the command line gives has precedence. Raises CannotStart for a person who may not read the settings.
    """
    places = Places.from_environment(environment)
    given = {name: value for name, value in environment.items() if value}
    data = data_of_service(places)
    if data is None or ("DATA" in given and Path(given["DATA"]).resolve() != data.resolve()):
        return dict(environment)
    credentials = {DIRECTORY: str(places.credentials)} if places.credentials.is_dir() else {}
    return {**credentials, **parse_file(_text_of_settings(places)), **given, "DATA": str(data)}


def keeper_of(data: Path, environment: Mapping[str, str]) -> Account:
    """Returns the account that a data directory belongs to; of one that is not there, the one that it is made for."""
    if data.exists():
        return holder_of(data)
    places = Places.from_environment(environment)
    if data_of_service(places) == data:
        return service_account(REPOSITORY, data, user_of_unit(places.unit.read_text()))
    return holder_of(next(folder for folder in data.parents if folder.exists()))


def _text_of_settings(places: Places) -> str:
    try:
        return places.settings.read_text()
    except FileNotFoundError:
        return ""
    except PermissionError:
        raise CannotStart("The service belongs to root: run this command with sudo.") from None


def _unit(checkout: Path, settings: Settings, places: Places, account: Account, given: Mapping[str, str]) -> str:
    reads = [Path(sys.executable).resolve(), *([Path(settings.chromium)] if settings.chromium else [])]
    installation = Installation(
        checkout=checkout,
        data=settings.data,
        settings_file=places.settings,
        credentials=places.credentials,
        secrets=_credential_names(places),
        user=account.name,
        group=account.group,
        home=account.home,
        reads=tuple(reads),
        writes=_backup_folder(given),
        groups=_ENGINE_GROUPS if settings.runner_image else (),
    )
    try:
        return unit_text(installation)
    except ValueError as error:
        raise CannotStart(f"{error}.") from None


def _credential_names(places: Places) -> tuple[str, ...]:
    """Returns the names of all credentials: what the operator put beside ours is handed over, too."""
    found = places.credentials.iterdir() if places.credentials.is_dir() else ()
    return tuple(sorted({*SECRETS, *(path.name for path in found if _CREDENTIAL.fullmatch(path.name))}))


def _backup_folder(given: Mapping[str, str]) -> tuple[Path, ...]:
    """Returns the folder to which backups go, if they go to one of this machine."""
    place = given.get("BACKUP_TO", "")
    return (Path(place),) if place.startswith("/") else ()


def check_as_account(settings: Settings) -> None:
    """Checks what the service needs, with the rights of this process. Raises CannotStart."""
    preflight.check_programs(settings)
    if settings.backup_to is None or "://" in settings.backup_to:
        return
    try:
        Folder(Path(settings.backup_to)).try_out()
    except BackupFailed as error:
        raise CannotStart(str(error)) from None


def _check(checkout: Path, settings: Settings, account: Account, given: Mapping[str, str]) -> None:
    """Runs the checks of `make up` as the service's account, which may see less than the person who installs."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(account.home),
        "PYTHONPATH": ".:chalice_app:chalice_app/vendor",
        "PYTHONDONTWRITEBYTECODE": "1",
        **given,
    }
    python = str(checkout / ".venv" / "bin" / "python")
    run_as(account, [python, "-m", "infrastructure.local.service", "check"], environment, checkout)
    if settings.runner_image and shutil.which("docker") is None:
        raise CannotStart("RUNNER_IMAGE is given, and there is no docker: runners of a service start in docker.")


def _require_rights(places: Places) -> None:
    existing = next(path for path in (places.etc, *places.etc.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        raise CannotStart(f"You may not write to {existing}: run this command with sudo.")


def _write(path: Path, text: str, mode: int) -> bool:
    """Writes a file as a whole if its text differs; returns whether it did."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if mode & 0o044 else 0o700)
    if path.exists() and path.read_text() == text:
        path.chmod(mode)
        return False
    unfinished = path.with_name(f".{path.name}.unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.chmod(mode)
    unfinished.replace(path)
    return True
