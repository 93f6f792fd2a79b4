"""What can go wrong, and what each kind becomes in HTTP: the one place that knows.

AnswerlineError
├── BadRequest            400  the caller can mend it; the message says how
│   └── Invalid           422  a form with a sentence per field
├── Unauthorised          401  nobody we know
│   └── TaskRefused       401  it knows the bootstrap token, but its task may not have a runner of its own
├── Forbidden             403  somebody we know, who may not
├── NotFound              404  not there, or not theirs: the same answer
├── Conflict              409  somebody else changed it first
│   └── StaleEpoch        409  the session moved on; this runner no longer speaks for it
├── TooLarge              413
├── TooMany               429
├── TransientError              503  passing: the same call may work later
├── NotDeployed           503  the deployment left something out that this process cannot work without
├── ActionRequired            422  a person must mend it first (a problem of the assistant or of the mail)
└── PermanentError                422  it will never work; never shown to a contact
"""

from collections.abc import Mapping

from wire import ProblemCode


class AnswerlineError(Exception):
    """Something went wrong that we expected could."""

    status = 500
    code = "trouble"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.message)


class BadRequest(AnswerlineError):
    """This request is not of the expected form."""

    status, code = 400, "bad_request"


class Invalid(BadRequest):
    """Some fields need another look."""

    status, code = 422, "invalid"

    def __init__(self, fields: Mapping[str, str], message: str | None = None) -> None:
        super().__init__(message)
        #: field name → one sentence that says what to do
        self.fields = dict(fields)


class Unauthorised(AnswerlineError):
    """Sign in first."""

    status, code = 401, "unauthorised"


class TaskRefused(Unauthorised):
    """No runner is taken in from this task."""

    code = "task_refused"


class Forbidden(AnswerlineError):
    """This is not allowed."""

    status, code = 403, "forbidden"


class NotFound(AnswerlineError):
    """There is nothing here."""

    status, code = 404, "not_found"


class Conflict(AnswerlineError):
    """Somebody else changed this meanwhile; load it again."""

    status, code = 409, "conflict"


class StaleEpoch(Conflict):
    """This session is held by somebody else now."""

    code = "stale_epoch"


class TooLarge(AnswerlineError):
    """This is larger than allowed."""

    status, code = 413, "too_large"


class TooMany(AnswerlineError):
    """Too many requests; wait a little."""

    status, code = 429, "too_many"


class TransientError(AnswerlineError):
    """This did not work just now; the same may work later."""

    status, code = 503, "try_again"

    def __init__(self, message: str | None = None, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        #: what the other side asked for, if it did
        self.retry_after_seconds = retry_after_seconds


class NotDeployed(AnswerlineError):
    """The deployment is incomplete; deploying again mends it."""

    status, code = 503, "not_deployed"


class ActionRequired(AnswerlineError):
    """A person must mend something first."""

    status, code = 422, "ask_someone"

    def __init__(self, problem: ProblemCode, message: str | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class PermanentError(AnswerlineError):
    """This will never work."""

    status, code = 422, "give_up"

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(message)
        #: a short word for logs and the timeline (``refusal``, ``policy``, …)
        self.reason = reason
