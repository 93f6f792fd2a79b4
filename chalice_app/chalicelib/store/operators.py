"""The browsers in which an operator signed in: opaque, ended by the server, found by the hash of their cookie."""

from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import TypeAdapter

from chalicelib.model import OPERATOR_AT_MOST, OPERATOR_IDLE_FOR, milliseconds
from chalicelib.store.table import Attr, ConditionFailed, Delete, Put, Table, Update
from chalicelib.store.timeline import seconds

#: A browser's last sign of life is written at most this often.
SEEN_WRITTEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """One signed-in browser."""

    token_sha256: str
    email: str
    #: what every form of this browser carries
    csrf: str = field(repr=False)
    created_at: int
    seen_at: int

    def alive(self, now: int) -> bool:
        idle, old = now - self.seen_at, now - self.created_at
        return idle < milliseconds(OPERATOR_IDLE_FOR) and old < milliseconds(OPERATOR_AT_MOST)


_sessions = TypeAdapter(OperatorSession)


class Operators:
    def __init__(self, table: Table) -> None:
        self._table = table

    def create(self, session: OperatorSession) -> None:
        pk, sk = _key(session.token_sha256)
        dies = seconds(session.created_at + milliseconds(OPERATOR_AT_MOST))
        self._table.put(Put({"pk": pk, "sk": sk, "expires_at": dies, **_sessions.dump_python(session, mode="json")}))

    def find(self, token_sha256: str, *, now: int) -> OperatorSession | None:
        """None if it is unknown, was ended, idled too long or is too old."""
        item = self._table.get(*_key(token_sha256))
        session = _sessions.validate_python(item) if item is not None else None
        return session if session is not None and session.alive(now) else None

    def touch(self, session: OperatorSession, *, now: int) -> None:
        """It is in use; an ended one is never brought back."""
        if now - session.seen_at < milliseconds(SEEN_WRITTEN_EVERY):
            return
        try:
            self._table.update(Update(*_key(session.token_sha256), set={"seen_at": now}, when=Attr("pk").exists()))
        except ConditionFailed:
            return  # signed out meanwhile

    def end(self, token_sha256: str) -> None:
        self._table.delete(Delete(*_key(token_sha256)))


def _key(token_sha256: str) -> tuple[str, str]:
    return f"OPERATOR#{token_sha256}", "OPERATOR"
