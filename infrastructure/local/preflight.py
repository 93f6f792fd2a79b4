"""Looks before anything is started whether it can work, and says in one sentence what to do if not."""

import fcntl
import os
import shutil
import socket
import subprocess
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from infrastructure.local.settings import CannotStart, Settings
from infrastructure.packaging.image import CannotBuild, first_that_works
from runner.browser.chromium import DEBIAN_NAMES

MINISTACK_PYTHON = REPOSITORY / ".venv-ministack" / "bin" / "python"
WA_JS = REPOSITORY / "runner" / "node_modules" / "@wppconnect" / "wa-js" / "dist" / "wppconnect-wa.js"
#: What runs containers; either will do.
ENGINES = ("docker", "podman")
ENGINE_ANSWERS_WITHIN_SECONDS = 30

_NAMES = {
    "gateway": "the admin and the landing pages",
    "outbox": "the outbox",
    "phone": "the simulated phones",
    "whatsapp": "the simulated WhatsApp",
    "openai": "the simulated OpenAI",
    "ministack": "MiniStack",
}


def check(settings: Settings) -> None:
    """Raise :class:`CannotStart` for the first thing that is missing."""
    if not MINISTACK_PYTHON.exists():
        raise CannotStart("MiniStack is not installed: run `make install`.")
    if settings.runners and settings.runner_image:
        image(settings.runner_image)
    elif settings.runners:
        chromium(settings)
        wa_js()
    ports(settings)


def ports(settings: Settings) -> None:
    """Every port must be free."""
    for field, what in _NAMES.items():
        port = getattr(settings.ports, field)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise CannotStart(
                    f"Port {port} ({what}) is taken: stop the program that uses it, or move all ports with"
                    " `make up PORTS=…` (the first of six in a row)."
                ) from None


def engine() -> str:
    """What runs containers here."""
    try:
        return first_that_works(ENGINES)
    except CannotBuild as error:
        raise CannotStart(str(error)) from None


def image(name: str) -> None:
    """The image must be on this machine; none is fetched."""
    asked = subprocess.run(
        [engine(), "image", "inspect", name],
        capture_output=True,
        timeout=ENGINE_ANSWERS_WITHIN_SECONDS,
        check=False,
    )
    if asked.returncode != 0:
        raise CannotStart(f"There is no image {name} on this machine: build it with `make image TAG={name}`.")


def chromium(settings: Settings) -> None:
    """A browser must be there."""
    if settings.chromium is not None:
        if not Path(settings.chromium).is_file():
            raise CannotStart(f"CHROMIUM={settings.chromium} does not exist.")
    elif not any(map(shutil.which, DEBIAN_NAMES)) and not _of_playwright():
        raise CannotStart(
            "No Chromium was found: install it with `apt-get install chromium-headless-shell` (or `chromium`),"
            " or give its path with `make up CHROMIUM=…`."
        )


def _of_playwright() -> bool:
    directory = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    return directory.is_dir() and any(directory.glob("chromium*"))


def wa_js() -> None:
    """The page's half of the runner must be there."""
    if WA_JS.is_file():
        return
    if shutil.which("npm") is None:
        raise CannotStart("wa-js is not installed and there is no npm: install Node 20 or newer, then `make install`.")
    raise CannotStart("wa-js is not installed: run `make install`.")


def lock_data_directory(data: Path) -> int:
    """Hold the data directory; the returned descriptor must stay open. A dead stack holds nothing."""
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)  # it holds keys, profiles and messages
    descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CannotStart(f"Another Answerline already runs on {data}; stop it, or use DATA=….") from None
    return descriptor
