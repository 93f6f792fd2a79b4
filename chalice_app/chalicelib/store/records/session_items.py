"""The items of sessions as values of the model.

Attributes that the code calls by another name keep their stored one here: ``awake_until`` is ``watched_until``,
``open_news`` is ``news``, and ``former_notice`` is ``untold``, which only a former release writes.
"""

from typing import Any

from chalicelib.model import ExpiringCode, Problem, Session
from chalicelib.model.notices.kinds import NoticeKind, kind_of
from chalicelib.store.expressions import Item
from chalicelib.store.records.reader import readable, value_of
from chalicelib.store.records.wire_enums import read_enum, read_kind, read_problem
from wire import Phase


@readable
def session_from(item: Item) -> Session:
    """Returns the session that this item holds. Raises Unreadable."""
    return value_of(
        Session,
        tenant=item["pk"].removeprefix("TENANT#"),
        phase=read_enum(Phase, item.get("phase")),
        since=item.get("since", 0),
        epoch=item.get("epoch", 1),
        runner=item.get("runner"),
        sequence=item.get("sequence", 0),
        problem=read_problem(item.get("problem")),
        open_news=_read_news(item),
        former_notice=read_kind(item.get("untold")),
        detail=item.get("detail", ""),
        qr=item.get("qr"),
        pairing=item.get("pairing"),
        number=item.get("number"),
        linked_at=item.get("linked_at"),
        last_number=item.get("last_number"),
        account_since=item.get("account_since"),
        former_until=item.get("former_until"),
        logged_out_at=item.get("logged_out_at"),
        missed_since=item.get("missed_since"),
        answers_missed_since=item.get("answers_missed_since"),
        passkey_since=item.get("passkey_since"),
        caught_up_to=item.get("caught_up_to"),
        awake_until=item.get("watched_until", 0),
        owner_until=item.get("owner_until", 0),
        try_again_at=item.get("try_again_at", 0),
        pair_with=item.get("pair_with"),
        pair_ordered_at=item.get("pair_ordered_at"),
        pairing_problem=item.get("pairing_problem", ""),
        came_up=bool(item.get("came_up")),
        failures=item.get("fails") or 0,
        next_try_at=item.get("next_try_at") or 0,
        down_since=item.get("down_since"),
        unplaced_since=item.get("unplaced_since"),
        last_runner=item.get("last_runner"),
        last_epoch=item.get("last_epoch"),
        former_holders=item.get("former_holders"),
        last_message_at=item.get("last_message_at"),
        last_reply_at=item.get("last_reply_at"),
        snapshots=item.get("snapshots", ()),
    )


def new_session_item(tenant: str, now: int) -> Item:
    """Returns the attributes of a session that is not linked yet; the caller adds the keys."""
    return {
        "tenant": tenant,
        "phase": Phase.IDLE,
        "since": now,
        "epoch": 1,
        "sequence": 0,
        "detail": "",
        "watched_until": 0,
        "came_up": False,
        "fails": 0,
        "next_try_at": 0,
        "snapshots": [],
    }


def reported_in(session: Session) -> dict[Any, Any]:
    """Returns the attributes that a report changes; one that is None is removed."""
    return {
        "phase": session.phase,
        "since": session.since,
        "sequence": session.sequence,
        "problem": _problem_item(session.problem),
        "detail": session.detail or None,
        "qr": _code_item(session.qr),
        "pairing": _code_item(session.pairing),
        "pairing_problem": session.pairing_problem or None,
        "number": session.number,
        "linked_at": session.linked_at,
        "last_number": session.last_number,
        "account_since": session.account_since,
        "former_until": session.former_until,
        "logged_out_at": session.logged_out_at,
        "missed_since": session.missed_since,
        "passkey_since": session.passkey_since,
        "caught_up_to": session.caught_up_to,
        "came_up": session.came_up or None,
        "fails": session.failures or None,
        "next_try_at": session.next_try_at or None,
        "down_since": session.down_since,
    }


def _read_news(item: Item) -> frozenset[NoticeKind]:
    """Returns the open news; a former release stored only the problem and the logout, and has mailed both."""
    if "news" in item:
        return frozenset(kind for kind in map(read_kind, item["news"]) if kind is not None)
    problem = read_problem(item.get("problem"))
    former = {kind_of(problem.code)} if problem is not None else set()
    if item.get("number") is None and item.get("logged_out_at") is not None:
        former.add(NoticeKind.DISCONNECTED)
    return frozenset(former)


def _problem_item(problem: Problem | None) -> Item | None:
    return {"code": problem.code, "since": problem.since, "detail": problem.detail} if problem else None


def _code_item(code: ExpiringCode | None) -> Item | None:
    return {"code": code.code, "expires_at": code.expires_at} if code else None
