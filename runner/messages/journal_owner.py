"""The owner of a journal: under which epoch and capability its messages may be handed in, in a file beside it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from runner.control_plane.capability import hand_in_capability, is_runner_token
from runner.messages.json_lines import write_lines

#: The file beside the journal.
OWNER_FILE = "keeper.json"


@dataclass(frozen=True, slots=True)
class JournalOwner:
    """The epoch (the fencing token) under which the messages were read, and the capability that hands them in."""

    epoch: int
    #: Accepted for messages and sent parts of this tenant and epoch only, until 24 h after the runner's end.
    capability: str = field(repr=False)
    #: The control plane does not know of the link yet, and would take every message for history.
    held_back: bool = False


def owner_of(journal: Path) -> JournalOwner | None:
    """Returns the owner of a journal; None without a valid one. Raises OSError if it cannot be read just now."""
    try:
        stored = json.loads(journal.with_name(OWNER_FILE).read_text(encoding="utf-8"))
        epoch, token = int(stored["epoch"]), str(stored["token"])
        if is_runner_token(token):  # by a former release
            token = hand_in_capability(token, journal.parent.name, epoch)
        return JournalOwner(epoch, token, stored.get("held_back") is True)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_owner(journal: Path, owner: JournalOwner) -> None:
    """Stores the owner of a journal. Raises OSError."""
    stored = {"epoch": owner.epoch, "token": owner.capability, "held_back": owner.held_back}
    write_lines(journal.with_name(OWNER_FILE), [stored])


def delete_owner(journal: Path) -> None:
    """Deletes the owner: only the tenant's next session on this disk can hand in the messages then. Raises OSError."""
    journal.with_name(OWNER_FILE).unlink(missing_ok=True)
