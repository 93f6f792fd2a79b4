"""What the simulator remembers of a call, and what it has been told to spoil."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.openai.answers import Body
from tests.simulators.openai.fault import Fault

#: as a fault's key: everybody's
EVERY_KEY = "*"


@dataclass
class RecordedRequest:
    """One call as it arrived, without its key."""

    number: int
    #: seconds since 1970
    at: float
    method: str
    path: str
    #: first 12 hex digits of SHA-256(key), or None without a key
    key_fingerprint: str | None
    persona: str | None
    #: without Authorization and cookies
    headers: dict[str, str]
    #: the JSON body, or the fields of a form (a file as its name and size)
    body: Body
    #: of the answer; None while the call is open or when the connection was reset
    status: int | None = None
    #: the fault that was played, if any
    fault: str | None = None


@dataclass
class ScriptedFault:
    """A fault that waits for its calls."""

    fault: Fault
    #: how many calls it still spoils; None until it is cleared
    left: int | None
    #: spoils only this path, such as /v1/responses
    path: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def reaches(self, path: str) -> bool:
        """Whether a call to `path` meets this fault."""
        return path == self.path if self.path is not None else self.fault.reaches(path)


def fingerprint(key: str) -> str:
    """How a key is named in records: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]
