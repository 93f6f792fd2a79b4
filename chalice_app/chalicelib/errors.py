"""The errors that the control plane expects, and the HTTP status and code of each: the one place that maps them.

AnswerlineError
├── BadRequest            400  the caller can correct the request; the message says how
│   └── Invalid           422  a form, with a sentence per field
├── Unauthorised          401  the caller is not authenticated
│   └── TaskRefused       401  the bootstrap token is right, but its task may not have a runner of its own
├── Forbidden             403  the caller is authenticated and may not do this
├── NotFound              404  it does not exist or belongs to another tenant: the same answer for both
├── Conflict              409  another request changed it first
│   └── StaleEpoch        409  the session has a later epoch (fencing token); this runner no longer holds it
├── TooLarge              413
├── TooMany               429  rate limit
├── TransientError        503  the same call may succeed later: retry with backoff
│   └── TimedOut          503  the model did not answer in time; what it wrote is paid for all the same
├── Unreadable            503  a stored record has not the form that this release reads; another release may
├── NotDeployed           503  the deployment left something out that this process cannot work without
├── ActionRequired        422  a person must fix something first (a problem of the assistant or of the mail)
└── PermanentError        422  no retry can succeed; never shown to a contact
"""

from collections.abc import Mapping

from wire import ProblemCode


class AnswerlineError(Exception):
    """Base of all expected errors. ``sentence`` is the message for people where the raiser gives none."""

    status = 500
    code = "trouble"
    sentence = "Something went wrong that we expected could."
    #: the tokens, in and out, of model calls that were paid for before this happened
    tokens: tuple[int, int] = (0, 0)
    #: the searches of the web that were paid for with them
    web_searches = 0

    def __init__(self, message: str | None = None) -> None:
        self.message = message or self.sentence
        super().__init__(self.message)


class BadRequest(AnswerlineError):
    """A request that its caller can correct."""

    status, code = 400, "bad_request"
    sentence = "This request is not of the expected form."


class Invalid(BadRequest):
    """A form with fields that its user must correct."""

    status, code = 422, "invalid"
    sentence = "Some fields need another look."

    def __init__(self, fields: Mapping[str, str], message: str | None = None) -> None:
        super().__init__(message)
        #: field name → one sentence that says what to do
        self.fields = dict(fields)


class Unauthorised(AnswerlineError):
    """A caller that is not authenticated."""

    status, code = 401, "unauthorised"
    sentence = "Sign in first."


class TaskRefused(Unauthorised):
    """A registration with the right bootstrap token from a task that may not have a runner."""

    code = "task_refused"
    sentence = "No runner is taken in from this task."


class Forbidden(AnswerlineError):
    """An authenticated caller that may not do this."""

    status, code = 403, "forbidden"
    sentence = "This is not allowed."


class NotFound(AnswerlineError):
    """A thing that does not exist, or that belongs to another tenant."""

    status, code = 404, "not_found"
    sentence = "There is nothing here."


class Conflict(AnswerlineError):
    """A change of a state that another request changed first."""

    status, code = 409, "conflict"
    sentence = "Somebody else changed this meanwhile; load it again."


class StaleEpoch(Conflict):
    """A call of a runner that no longer holds the session: its epoch (fencing token) is not the latest."""

    code = "stale_epoch"
    sentence = "This session is held by somebody else now."


class TooLarge(AnswerlineError):
    """A request that exceeds a limit of size."""

    status, code = 413, "too_large"
    sentence = "This is larger than allowed."


class TooMany(AnswerlineError):
    """A request beyond a rate limit."""

    status, code = 429, "too_many"
    sentence = "Too many requests; wait a little."


class TransientError(AnswerlineError):
    """A failure that may be gone at the next retry."""

    status, code = 503, "try_again"
    sentence = "This did not work just now; the same may work later."

    def __init__(self, message: str | None = None, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        #: the pause that the other side asked for, if it did
        self.retry_after_seconds = retry_after_seconds


class TimedOut(TransientError):
    """A model call that was sent and got no answer in time."""

    code = "timed_out"
    sentence = "The model did not answer in time."


class Unreadable(AnswerlineError):
    """A stored record that has not the form that this release reads; the log says which, and what is wrong with it."""

    status, code = 503, "unreadable"
    sentence = (
        "A stored record cannot be read. Perhaps a later release wrote it: deploy that one again. The log says which "
        "record it is (record_unreadable)."
    )


class NotDeployed(AnswerlineError):
    """A part of the deployment that is missing."""

    status, code = 503, "not_deployed"
    sentence = "The deployment is incomplete; deploying again fixes it."


class ActionRequired(AnswerlineError):
    """A failure that lasts until a person fixes its cause."""

    status, code = 422, "ask_someone"
    sentence = "A person must fix something first."

    def __init__(self, problem: ProblemCode, message: str | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class PermanentError(AnswerlineError):
    """A failure that no retry can avoid."""

    status, code = 422, "give_up"
    sentence = "This will never work."

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(message)
        #: a short word for logs and the timeline (``refusal``, ``policy``, …)
        self.reason = reason


class Misconfigured(Exception):
    """A missing environment variable that has no default."""
