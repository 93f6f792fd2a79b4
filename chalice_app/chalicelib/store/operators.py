"""The browsers in which operators are signed in or sign in: found by the hash of a cookie, ended by the server.

What a sign-in interrupts stays on this side, too: the page where somebody was going, and the form that an operator had
filled in. The browser holds only the name of a place, and no address may lead elsewhere.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from pydantic import TypeAdapter

from chalicelib.model import MAX_OPERATOR_SESSION, OPERATOR_IDLE_FOR, milliseconds
from chalicelib.model.stored_enum import StoredEnum
from chalicelib.store.records.reader import one, readable
from chalicelib.store.table import Attr, ConditionFailed, Item, Put, Table, Update
from chalicelib.store.timeline import seconds
from chalicelib.tokens import sha256

#: The time of a browser's last request is written at most this often.
SEEN_WRITTEN_EVERY = timedelta(minutes=1)
#: A session that has ended is still known this long: a form that its page posts is kept for its operator.
ENDED_KNOWN_FOR = timedelta(hours=12)
#: A sign-in waits this long for its next step: as long as Cognito's session lives (AuthSessionValidity).
STEP_KEPT_FOR = timedelta(minutes=15)
#: A browser in which an operator signed in is known as that operator's for this long.
BROWSER_KNOWN_FOR: Final = timedelta(days=90)
#: A page that somebody was going to is remembered this long.
PATH_KEPT_FOR: Final = timedelta(hours=1)
#: A form that was not saved is offered again this long.
FORM_KEPT_FOR: Final = timedelta(hours=12)
#: An item of DynamoDB has at most 400 KB.
MAX_FORM_BYTES: Final = 200_000
#: Fields that are never stored: secrets, and the token of the page that posted the form.
NEVER_KEPT: Final = frozenset({"api_key", "csrf"})
#: A path of our own pages for operators.
SHAPE_OF_PATH: Final = re.compile(r"/admin(?:/[a-z0-9-]{1,64}){0,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """A signed-in browser."""

    token_sha256: str
    email: str
    #: the token that each form of this browser carries
    csrf: str = field(repr=False)
    created_at: int
    seen_at: int
    #: when Cognito last said that this is an operator; 0: never
    checked_at: int = 0
    #: Cognito's name for the account, which another one with the same address does not have; empty: not known yet
    subject: str = ""

    def is_alive(self, now: int) -> bool:
        """True unless it idled for too long or is too old."""
        idle, old = now - self.seen_at, now - self.created_at
        return idle < milliseconds(OPERATOR_IDLE_FOR) and old < milliseconds(MAX_OPERATOR_SESSION)


class StepKind(StoredEnum):
    """The step of a sign-in that is due next."""

    REPLACE = "new_password"  #: choose a password that replaces the first one
    CODE = "code"  #: six digits of the authenticator app
    SET_UP = "set_up"  #: set up an authenticator app
    UNKNOWN = "unknown"  #: written by a later release: the sign-in starts again


@dataclass(frozen=True, slots=True)
class SignInStep:
    """A browser whose password was right, and which owes Cognito one more answer."""

    token_sha256: str
    email: str
    kind: StepKind
    username: str
    cognito_session: str = field(repr=False)
    asked_at: int
    #: of the authenticator app that is being set up
    secret: str = field(default="", repr=False)
    #: the place to go to afterwards
    place: str = field(default="", repr=False)


_sessions = TypeAdapter(OperatorSession)
_steps = TypeAdapter(SignInStep)
_fields = TypeAdapter(dict[str, str])


class Operators:
    """Operators' browsers and their sign-ins.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def create(self, session: OperatorSession) -> None:
        """Stores a browser that signed in."""
        pk, sk = _key(session.token_sha256)
        expires_at = seconds(session.created_at + milliseconds(MAX_OPERATOR_SESSION))
        known = {"checked_at": session.checked_at or None, "subject": session.subject or None}
        stored = {**_sessions.dump_python(session, mode="json"), **known}
        self._table.put(Put({"pk": pk, "sk": sk, "expires_at": expires_at, **stored}))

    def find(self, token_sha256: str, *, now: int) -> OperatorSession | None:
        """Returns the browser's session; None if it is unknown, ended, idled for too long or too old."""
        session = self.find_ended(token_sha256)
        return session if session is not None and session.is_alive(now) else None

    def find_ended(self, token_sha256: str) -> OperatorSession | None:
        """Returns the browser's session also if it idled for too long or is too old: it opens nothing."""
        item = self._table.get(*_key(token_sha256))
        return one(item, _session_from)

    def touch(self, session: OperatorSession, *, now: int) -> None:
        """Records that the browser is in use, unless its session was ended meanwhile."""
        if now - session.seen_at < milliseconds(SEEN_WRITTEN_EVERY):
            return
        with suppress(ConditionFailed):  # signed out meanwhile
            self._table.update(Update(*_key(session.token_sha256), set={"seen_at": now}, when=Attr("pk").exists()))

    def record_check(self, session: OperatorSession, subject: str, *, now: int) -> None:
        """Records that Cognito still knows this operator, unless the session was ended meanwhile."""
        known_until = session.created_at + milliseconds(MAX_OPERATOR_SESSION + ENDED_KNOWN_FOR)
        checked = {"checked_at": now, "subject": subject, "expires_at": seconds(known_until)}
        with suppress(ConditionFailed):
            self._table.update(Update(*_key(session.token_sha256), set=checked, when=Attr("pk").exists()))

    def end(self, token_sha256: str) -> None:
        """Ends the browser's session."""
        self._table.delete(*_key(token_sha256))

    def remember_browser(self, token_sha256: str, email: str, *, now: int) -> None:
        """Stores that this operator signed in with this browser: strangers' attempts do not count for it."""
        until = now + milliseconds(BROWSER_KNOWN_FOR)
        changes = {"operator": _account(email), "expires_at": seconds(until)}
        self._table.update(Update(*_browser_key(token_sha256), set=changes))

    def knows_browser(self, token_sha256: str, email: str, *, now: int) -> bool:
        """Returns whether this operator signed in with this browser lately."""
        item = self._table.get(*_browser_key(token_sha256))
        return (
            (one(item, _expiry_from) or 0) > seconds(now)
            and item is not None
            and item.get("operator") == _account(email)
        )

    def store_step(self, step: SignInStep) -> None:
        """Stores the next step of a sign-in in place of the former one."""
        expires_at = seconds(step.asked_at + milliseconds(STEP_KEPT_FOR))
        changes = {**_steps.dump_python(step, mode="json"), "place": step.place or None, "expires_at": expires_at}
        self._table.update(Update(*_step_key(step.token_sha256), set=changes))

    def find_step(self, token_sha256: str, *, now: int) -> SignInStep | None:
        """Returns the step that a sign-in waits for; None if there is none or it is too old."""
        item = self._table.get(*_step_key(token_sha256))
        step = one(item, _step_from)
        if step is None or step.kind is StepKind.UNKNOWN or now - step.asked_at >= milliseconds(STEP_KEPT_FOR):
            return None
        return step

    def delete_step(self, token_sha256: str) -> None:
        """Deletes the step, because the sign-in ended."""
        self._table.delete(*_step_key(token_sha256))


class Interruptions:
    """The pages and forms that wait for a sign-in.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def keep_path(self, place_sha256: str, path: str, *, now: int) -> None:
        """Stores the path under a new secret name; only our own paths are taken."""
        if not SHAPE_OF_PATH.fullmatch(path):
            return
        until = now + milliseconds(PATH_KEPT_FOR)
        self._table.update(Update(f"OPERATOR#{place_sha256}", "PATH", set={"path": path, "expires_at": seconds(until)}))

    def find_path(self, place_sha256: str, *, now: int) -> str | None:
        """Returns the path that was stored under this name; None if there is none or it is too old."""
        item = self._table.get(f"OPERATOR#{place_sha256}", "PATH")
        path = one(item, _path_from) if (one(item, _expiry_from) or 0) > seconds(now) else None
        return path if path is not None and SHAPE_OF_PATH.fullmatch(path) else None

    def keep_form(self, email: str, path: str, fields: Mapping[str, str], *, now: int) -> bool:
        """Stores a form of this operator, without secrets, in place of a former one; False if it is too long."""
        kept = json.dumps({name: value for name, value in fields.items() if name not in NEVER_KEPT})
        if len(kept.encode()) > MAX_FORM_BYTES:
            return False
        until = now + milliseconds(FORM_KEPT_FOR)
        self._table.update(Update(*_form_key(email, path), set={"fields": kept, "expires_at": seconds(until)}))
        return True

    def find_form(self, email: str, path: str, *, now: int) -> dict[str, str] | None:
        """Returns the fields that this operator filled in and that were not saved; None if there are none."""
        item = self._table.get(*_form_key(email, path))
        return one(item, _fields_from) if (one(item, _expiry_from) or 0) > seconds(now) else None

    def delete_form(self, email: str, path: str) -> None:
        """Deletes the form, because it was saved."""
        self._table.delete(*_form_key(email, path))


@readable
def _session_from(item: Item) -> OperatorSession:
    return _sessions.validate_python(item)


@readable
def _expiry_from(item: Item) -> int:
    return int(item["expires_at"])


@readable
def _path_from(item: Item) -> str:
    return str(item["path"])


@readable
def _fields_from(item: Item) -> dict[str, str]:
    return _fields.validate_json(item["fields"])


@readable
def _step_from(item: Item) -> SignInStep:
    return _steps.validate_python(item)


def _key(token_sha256: str) -> tuple[str, str]:
    return f"OPERATOR#{token_sha256}", "OPERATOR"


def _step_key(token_sha256: str) -> tuple[str, str]:
    return f"OPERATOR#{token_sha256}", "SIGN_IN"


def _browser_key(token_sha256: str) -> tuple[str, str]:
    return f"OPERATOR#{token_sha256}", "BROWSER"


def _form_key(email: str, path: str) -> tuple[str, str]:
    return f"OPERATOR#{_account(email)}", f"FORM#{path}"


def _account(email: str) -> str:
    return sha256(email.strip().lower())
