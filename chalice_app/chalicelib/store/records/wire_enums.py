"""Reads the wire's enums from storage: a value that a later release wrote reads as a neutral one.

The wire's own enums have no UNKNOWN, because a call that carries an unknown value is refused. Our own enums have one,
see ``model/stored_enum.py``.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from chalicelib.model import Problem
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.store.records.reader import value_of
from wire import MessageKind, Phase, ProblemCode, Wanted

E = TypeVar("E", bound=StrEnum)

#: An unknown phase is not online and shows no code; an unknown kind has no text to answer; an unknown order of the
#: control plane to a runner changes nothing.
NEUTRAL: Final[Mapping[type[StrEnum], StrEnum]] = {
    Phase: Phase.IDLE,
    MessageKind: MessageKind.OTHER,
    Wanted: Wanted.RUN,
}


def read_enum(kind: type[E], value: str | None) -> E:
    """Returns the member with this value; the neutral one for a value that is missing or unknown."""
    return kind(value) if value in set(kind) else kind(NEUTRAL[kind])


def read_problem(item: Mapping[str, Any] | None) -> Problem | None:
    """Returns the stored problem; None for an unknown code: the next attempt or report finds out what is wrong."""
    if not item or item["code"] not in set(ProblemCode):
        return None
    return value_of(Problem, **item)


def read_kind(value: str | None) -> NoticeKind | None:
    """Returns the stored kind of news; None for an unknown one, which only the later release can send."""
    kind = NoticeKind(value) if value is not None else NoticeKind.UNKNOWN
    return None if kind is NoticeKind.UNKNOWN else kind
