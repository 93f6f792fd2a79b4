"""The service that is installed on this machine, if one is: its files, its data, and the commands that operate it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The name of the service.
NAME = "answerline"


@dataclass(frozen=True)
class Places:
    """The paths of the service's files."""

    etc: Path = Path("/etc")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Places":
        """Returns the places below ``SERVICE_ETC`` instead of /etc, where that is given."""
        return cls(Path(environment.get("SERVICE_ETC") or "/etc").absolute())

    @property
    def unit(self) -> Path:
        return self.etc / "systemd" / "system" / f"{NAME}.service"

    @property
    def settings(self) -> Path:
        return self.etc / NAME / f"{NAME}.env"

    @property
    def credentials(self) -> Path:
        return self.etc / NAME / "credentials"


@dataclass(frozen=True)
class Commands:
    """The commands that operate a stack, as a person types them: those of `make up`, or those of the service."""

    service: bool = False

    @property
    def start(self) -> str:
        return f"`sudo systemctl start {NAME}`" if self.service else "`make up`"

    @property
    def stop(self) -> str:
        return f"stop it with `sudo systemctl stop {NAME}`" if self.service else "stop it"

    @property
    def again(self) -> str:
        return f"`sudo systemctl restart {NAME}`" if self.service else "`make up` again"

    def said(self, sentence: str) -> str:
        """Returns a sentence about `make up` and other commands of `make` as it is for this stack."""
        if not self.service:
            return sentence
        return sentence.replace("`make up ", "`make service ").replace("`make ", "`sudo make ")

    def make(self, words: str) -> str:
        """Returns a command of `make` on the data."""
        return self.said(f"`make {words}`")

    def set(self, settings: str) -> str:
        """Returns the command that starts the stack with these settings."""
        return self.said(f"`make up {settings}`")


def commands_of(data: Path, environment: Mapping[str, str] = os.environ) -> Commands:
    """Returns the commands for the stack on a data directory."""
    return Commands(service=data_of_service(Places.from_environment(environment)) == data)


def data_of_service(places: Places) -> Path | None:
    """Returns the data directory of the installed service; None without one."""
    try:
        found = data_of_unit(places.unit.read_text())
    except OSError:
        return None
    return Path(found) if found else None


def data_of_unit(unit: str) -> str:
    """Returns the data directory of an installed unit; empty if it names none."""
    found = re.search(r'^ReadWritePaths="(.*)"$', unit, re.MULTILINE)
    return found[1].replace("%%", "%") if found else ""


def user_of_unit(unit: str) -> str:
    """Returns the account of an installed unit; empty if it names none."""
    found = re.search(r"^User=(.*)$", unit, re.MULTILINE)
    return found[1] if found else ""
