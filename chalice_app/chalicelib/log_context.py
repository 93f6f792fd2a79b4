"""The ids that are bound to each line of the log, and the trace of an exception without texts of others."""

import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from botocore.exceptions import ClientError

#: At most so many exceptions of a chain of causes are logged, and so many of a group.
MAX_CAUSES: Final = 8

#: The ids that are bound now; None outside of any ``bound_context``, where nothing could unbind them.
_bound: ContextVar[Mapping[str, str] | None] = ContextVar("_bound", default=None)


@contextmanager
def bound_context(**ids: str | None) -> Iterator[None]:
    """Binds these ids (tenant, turn, runner, request) to each line within; a line's own fields win."""
    token = _bound.set({**(_bound.get() or {}), **{name: id for name, id in ids.items() if id}})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**ids: str | None) -> None:
    """Binds more ids to each line until the enclosing ``bound_context`` ends; outside of one it does nothing."""
    bound = _bound.get()
    if bound is not None:
        _bound.set({**bound, **{name: id for name, id in ids.items() if id}})


class ContextFilter(logging.Filter):
    """Filter of a handler that adds the bound ids to each line."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, id in (_bound.get() or {}).items():
            if not hasattr(record, name):
                setattr(record, name, id)
        return True


def trace(error: BaseException) -> list[str]:
    """Returns an unexpected exception and its causes, outermost first.

    It keeps types and places, and messages only of our own exceptions: another message may quote its input, and that
    may be a secret.
    """
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(lines) < MAX_CAUSES:
        lines.append(_described(cause))
        if isinstance(cause, BaseExceptionGroup):
            for inner in cause.exceptions[:MAX_CAUSES]:
                lines += trace(inner)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return lines


def _described(error: BaseException) -> str:
    kind = type(error)
    message = ""
    if isinstance(error, ClientError):
        message = f"{error.operation_name} {error.response.get('Error', {}).get('Code')}"
    elif kind.__module__.startswith("chalicelib."):
        message = str(error)
    notes = " ".join(getattr(error, "__notes__", ()))  # only our own code writes them
    places = "".join(traceback.format_tb(error.__traceback__))
    return f"{kind.__module__}.{kind.__qualname__} {message} {notes}".rstrip() + f"\n{places}"
