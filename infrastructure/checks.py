"""What was looked at and how it stands: one line each, with the mend; shared by `make deploy` and `make doctor`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

#: What AWS says when these credentials may not ask.
DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized"}
)


class State(StrEnum):
    """How one thing stands."""

    OK = "ok"  #: nothing to do
    BAD = "bad"  #: the mend says what to do
    UNKNOWN = "unknown"  #: it could not be asked, or it is too early to tell


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    ``stops``: a deployment does not begin while this is bad.
    """

    state: State
    what: str
    mend: str = ""
    stops: bool = True

    def __str__(self) -> str:
        return f"{self.state:<7}  {self.what}" + (f" — {self.mend}" if self.mend else "")


def ok(what: str) -> Finding:
    """Nothing to do."""
    return Finding(State.OK, what)


def bad(what: str, mend: str, *, stops: bool = True) -> Finding:
    """A person must do what ``mend`` says."""
    return Finding(State.BAD, what, mend, stops)


def unknown(what: str, mend: str = "") -> Finding:
    """It could not be found out."""
    return Finding(State.UNKNOWN, what, mend)


def looked_at(what: str, look: Callable[[], Finding | list[Finding]]) -> list[Finding]:
    """What ``look`` found; what keeps it from looking is a finding too, and never the end of the others."""
    try:
        found = look()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in DENIED:
            mend = f"these credentials may not ask ({error.operation_name})"
        else:
            mend = f"AWS answered {code} to {error.operation_name}"
        return [unknown(what, mend)]
    except BotoCoreError as error:
        return [unknown(what, f"AWS could not be asked: {error}")]
    return found if isinstance(found, list) else [found]


def is_bad(findings: Iterable[Finding]) -> bool:
    """Whether anything needs a mend."""
    return any(finding.state is State.BAD for finding in findings)
