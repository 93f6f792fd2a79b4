"""The status of the backups, in a file: the newest one, and the problem of the last try; for doctor and admin."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final

STATUS: Final = Path("backup") / "status.json"
#: The longest sentence in the parameter that the admin reads; a parameter holds 4,096 bytes.
MAX_PROBLEM_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class Status:
    """The backups of one data directory at their place."""

    #: the address for people; empty without one
    place: str = ""
    #: the newest whole backup, and epoch milliseconds at its end; empty and 0 without one
    name: str = ""
    at_ms: int = 0
    size_bytes: int = 0
    #: when a backup was read back from its place and found to be what was checked here
    verified_at_ms: int = 0
    #: one sentence about the last try; empty if it worked
    problem: str = ""
    #: tries without success since the newest backup, and the last one of them
    failures: int = 0
    tried_at_ms: int = 0
    #: the operators had a mail about this row of failures
    mailed: bool = False
    #: digest of the deletions here that the ledger at the place has, too
    ledger_sha256: str = ""

    def failed(self, problem: str, now_ms: int) -> "Status":
        """Returns the status after a try that failed."""
        return replace(self, problem=problem, failures=self.failures + 1, tried_at_ms=now_ms)

    def succeeded(self, name: str, size_bytes: int, now_ms: int) -> "Status":
        """Returns the status after a backup that was read back."""
        made = replace(self, name=name, size_bytes=size_bytes, at_ms=now_ms, verified_at_ms=now_ms, tried_at_ms=now_ms)
        return replace(made, problem="", failures=0, mailed=False)

    def at(self, place: str) -> "Status":
        """Returns the status for a place: of another one nothing is known."""
        return self if self.place == place else Status(place=place)

    def for_admin(self, problem: str = "", *, same_disk: bool = False) -> str:
        """Returns what the admin's page reads; ``problem`` comes before that of the last try."""
        said = (problem or self.problem)[:MAX_PROBLEM_LENGTH]
        read: dict[str, object] = {"place": self.place, "at_ms": self.at_ms, "bytes": self.size_bytes}
        read |= {"verified_at_ms": self.verified_at_ms, "problem": said}
        if same_disk:
            read["same_disk"] = True
        return json.dumps(read, ensure_ascii=False)


def read_status(data: Path) -> Status:
    """Reads the status; nothing is known without a file that can be read."""
    try:
        stored = json.loads((data / STATUS).read_text())
        known = {field.name: stored[field.name] for field in fields(Status) if field.name in stored}
        kinds = {field.name: type(field.default) for field in fields(Status)}
        return Status(**known) if all(type(value) is kinds[name] for name, value in known.items()) else Status()
    except (OSError, ValueError, TypeError):
        return Status()


def write_status(data: Path, status: Status) -> None:
    """Stores the status atomically."""
    file = data / STATUS
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = file.with_name("status.unfinished")
    unfinished.write_text(json.dumps(asdict(status)))
    unfinished.chmod(0o600)
    unfinished.replace(file)
