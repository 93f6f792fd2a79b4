"""What a line of the log is about, and what of an exception may stand in it: ids, types and places."""

import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from botocore.exceptions import ClientError

#: Of exceptions that caused each other, and of each one's inner ones, only the first are told.
CAUSES_AT_MOST: Final = 8

#: None: nothing began that could end, so nothing is remembered.
_known: ContextVar[Mapping[str, str] | None] = ContextVar("_known", default=None)


@contextmanager
def bound_context(**ids: str | None) -> Iterator[None]:
    """Every line logged meanwhile names these (tenant, turn, runner, request) unless it names its own."""
    token = _known.set({**(_known.get() or {}), **{name: id for name, id in ids.items() if id}})
    try:
        yield
    finally:
        _known.reset(token)


def bind(**ids: str | None) -> None:
    """Something more became known of what the lines are about, until the enclosing ``bound_context`` ends."""
    known = _known.get()
    if known is not None:
        _known.set({**known, **{name: id for name, id in ids.items() if id}})


class Named(logging.Filter):
    """For a handler: adds what the line is about."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, id in (_known.get() or {}).items():
            if not hasattr(record, name):
                setattr(record, name, id)
        return True


def trace(error: BaseException) -> list[str]:
    """An exception nobody expected, with what caused it, outermost first.

    Types and places, not others' messages: a message may quote what it did not like, and that may be a secret.
    """
    told: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(told) < CAUSES_AT_MOST:
        told.append(_told(cause))
        if isinstance(cause, BaseExceptionGroup):
            for inner in cause.exceptions[:CAUSES_AT_MOST]:
                told += trace(inner)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return told


def _told(error: BaseException) -> str:
    kind = type(error)
    said = ""
    if isinstance(error, ClientError):
        said = f"{error.operation_name} {error.response.get('Error', {}).get('Code')}"
    elif kind.__module__.startswith("chalicelib."):
        said = str(error)
    notes = " ".join(getattr(error, "__notes__", ()))  # only we write them
    places = "".join(traceback.format_tb(error.__traceback__))
    return f"{kind.__module__}.{kind.__qualname__} {said} {notes}".rstrip() + f"\n{places}"
