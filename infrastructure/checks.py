"""Results of health checks, one line each with its fix; `make deploy` and `make doctor` print them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

#: AWS's error codes for a call that these credentials may not make.
DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized"}
)


class State(StrEnum):
    """The outcome of one check."""

    OK = "ok"  #: nothing to do
    BAD = "bad"  #: the fix says what to do
    UNKNOWN = "unknown"  #: the check could not be made, or it is too early to tell


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    ``blocks``: a deployment does not begin while this is bad.
    """

    state: State
    subject: str
    fix: str = ""
    blocks: bool = True

    def __str__(self) -> str:
        return f"{self.state:<7}  {self.subject}" + (f" — {self.fix}" if self.fix else "")


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, which has an ``s`` unless there is exactly one: ``1 tenant``, ``0 tenants``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ok(subject: str) -> CheckResult:
    """A result that needs no action."""
    return CheckResult(State.OK, subject)


def bad(subject: str, fix: str, *, blocks: bool = True) -> CheckResult:
    """A result that needs a person: ``fix`` says what they do."""
    return CheckResult(State.BAD, subject, fix, blocks)


def unknown(subject: str, fix: str = "") -> CheckResult:
    """A result of a check that could not be made."""
    return CheckResult(State.UNKNOWN, subject, fix)


def run_check(subject: str, check: Callable[[], CheckResult | list[CheckResult]]) -> list[CheckResult]:
    """Runs one check; an error of AWS becomes an unknown result, so that the other checks still run."""
    try:
        results = check()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in DENIED:
            fix = f"these credentials may not call {error.operation_name}"
        else:
            fix = f"AWS answered {code} to {error.operation_name}"
        return [unknown(subject, fix)]
    except BotoCoreError as error:
        return [unknown(subject, f"AWS cannot be reached: {error}")]
    return results if isinstance(results, list) else [results]


def any_bad(results: Iterable[CheckResult]) -> bool:
    """Returns whether any result needs a fix."""
    return any(result.state is State.BAD for result in results)
