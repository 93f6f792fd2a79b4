"""Preflight checks: verify the prerequisites before the start; each failure is one sentence with the next step."""

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from infrastructure.local.service.installed import commands_of
from infrastructure.local.settings import CannotStart, Settings
from infrastructure.local.table.program import find_dynoxide
from infrastructure.local.table.room import check_room
from infrastructure.packaging.image import CannotBuild, first_that_works
from runner.browser.chromium import DEBIAN_NAMES

MINISTACK_PYTHON = REPOSITORY / ".venv-ministack" / "bin" / "python"
WA_JS = REPOSITORY / "runner" / "node_modules" / "@wppconnect" / "wa-js" / "dist" / "wppconnect-wa.js"
#: The supported container engines, in order of preference.
ENGINES = ("docker", "podman")
#: The limit for one command of the container engine.
ENGINE_TIMEOUT_SECONDS = 30

#: A name for the user of each port, for the message when it is taken.
_PORT_NAMES = {
    "gateway": "the admin and the landing pages",
    "outbox": "the outbox",
    "phone": "the simulated phones",
    "whatsapp": "the simulated WhatsApp",
    "openai": "the simulated OpenAI",
    "ministack": "MiniStack",
    "table": "the table",
}


def check(settings: Settings) -> None:
    """Raises :class:`CannotStart` for the first missing prerequisite."""
    check_programs(settings)
    check_ports(settings)


def check_programs(settings: Settings) -> None:
    """Raises :class:`CannotStart` for the first program that is not installed."""
    check_ministack()
    find_dynoxide(settings.dynoxide)
    check_room(settings.data)
    if settings.runners_at:
        return
    if settings.runners and settings.runner_image:
        check_image(settings.runner_image)
    elif settings.runners:
        check_chromium(settings)
        check_wa_js()


def check_ministack() -> None:
    """Raises :class:`CannotStart` without MiniStack in its own virtual environment."""
    if not MINISTACK_PYTHON.exists():
        raise CannotStart("MiniStack is not installed: run `make install`.")


def check_ports(settings: Settings) -> None:
    """Raises :class:`CannotStart` if a port is taken."""
    for field, name in _PORT_NAMES.items():
        port = getattr(settings.ports, field)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise CannotStart(
                    f"Port {port} ({name}) is taken: stop the program that uses it, or move all ports with"
                    " `make up PORTS=…` (the first of seven in a row)."
                ) from None


def find_engine() -> str:
    """Returns the container engine of this machine; raises :class:`CannotStart` without one."""
    try:
        return first_that_works(ENGINES)
    except CannotBuild as error:
        raise CannotStart(str(error)) from None


def check_image(name: str) -> None:
    """Raises :class:`CannotStart` if the image is not on this machine; none is pulled."""
    inspected = subprocess.run(
        [find_engine(), "image", "inspect", name],
        capture_output=True,
        timeout=ENGINE_TIMEOUT_SECONDS,
        check=False,
    )
    if inspected.returncode != 0:
        raise CannotStart(f"There is no image {name} on this machine: build it with `make image TAG={name}`.")


def check_chromium(settings: Settings) -> None:
    """Raises :class:`CannotStart` without a Chromium."""
    if settings.chromium is not None:
        if not Path(settings.chromium).is_file():
            raise CannotStart(f"CHROMIUM={settings.chromium} does not exist.")
    elif not any(map(shutil.which, DEBIAN_NAMES)) and not _has_playwright_chromium():
        raise CannotStart(
            "No Chromium was found: install it with `apt-get install chromium-headless-shell` (or `chromium`),"
            " or give its path with `make up CHROMIUM=…`."
        )


def _has_playwright_chromium() -> bool:
    directory = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    return directory.is_dir() and any(directory.glob("chromium*"))


def check_wa_js() -> None:
    """Raises :class:`CannotStart` without wa-js, the runner's library inside the page."""
    if WA_JS.is_file():
        return
    if shutil.which("npm") is None:
        raise CannotStart("wa-js is not installed and there is no npm: install Node 20 or newer, then `make install`.")
    raise CannotStart("wa-js is not installed: run `make install`.")


def lock_data_directory(data: Path) -> int:
    """Locks the data directory; the returned descriptor must stay open. The lock ends with its process.

    From then on nothing under it is another user's to read: it holds keys, profiles and messages.
    """
    os.umask(0o077)  # of this process and of all that it starts
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    hide_from_git(data)
    descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    if os.geteuid() == 0:
        found = data.stat()
        os.fchown(descriptor, found.st_uid, found.st_gid)  # a restore by root leaves the data to their account
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        stop = commands_of(data).stop
        raise CannotStart(f"Another Answerline already runs on {data}; {stop}, or use DATA=….") from None
    close_to_others(data)
    return descriptor


def hide_from_git(data: Path) -> None:
    """Lets git ignore a data directory in this checkout, wherever it is moved to.

    Nobody commits its keys, and what changes in it is no other release.
    """
    ignored = data / ".gitignore"
    if REPOSITORY not in data.parents or ignored.exists():
        return
    with contextlib.suppress(OSError):  # a full disk
        ignored.write_text("*\n")
        found = data.stat()
        if os.geteuid() == 0:
            os.chown(ignored, found.st_uid, found.st_gid)


def close_to_others(directory: Path) -> None:
    """Takes the rights of the group and of others from all that an earlier release or a backup left there."""
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):  # of a runner that a killed stack left behind
                mode = path.lstat().st_mode
                if mode & 0o077 and not stat.S_ISLNK(mode):
                    path.chmod(stat.S_IMODE(mode) & 0o700)
