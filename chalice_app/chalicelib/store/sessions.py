"""A session as it stands in the table."""

from typing import Any

from chalicelib.model import ExpiringCode, Problem, Session, SnapshotVersion
from chalicelib.store.table import Item
from chalicelib.store.wire_enums import read_enum, read_problem
from wire import Phase


def session_from(item: Item) -> Session:
    """All that is known of it."""
    qr, pairing = item.get("qr"), item.get("pairing")
    return Session(
        tenant=item["pk"].removeprefix("TENANT#"),
        phase=read_enum(Phase, item.get("phase")),
        since=item.get("since", 0),
        epoch=item.get("epoch", 1),
        runner=item.get("runner"),
        sequence=item.get("sequence", 0),
        problem=read_problem(item.get("problem")),
        unsent_notice=item.get("untold"),
        detail=item.get("detail", ""),
        qr=ExpiringCode(qr["code"], qr["expires_at"]) if qr else None,
        pairing=ExpiringCode(pairing["code"], pairing["expires_at"]) if pairing else None,
        number=item.get("number"),
        linked_at=item.get("linked_at"),
        logged_out_at=item.get("logged_out_at"),
        caught_up_to=item.get("caught_up_to"),
        awake_until=item.get("watched_until", 0),
        pair_with=item.get("pair_with"),
        came_up=bool(item.get("came_up")),
        fails=item.get("fails") or 0,
        next_try_at=item.get("next_try_at") or 0,
        down_since=item.get("down_since"),
        unplaced_since=item.get("unplaced_since"),
        last_runner=item.get("last_runner"),
        last_epoch=item.get("last_epoch"),
        last_message_at=item.get("last_message_at"),
        last_reply_at=item.get("last_reply_at"),
        snapshots=tuple(SnapshotVersion(**each) for each in item.get("snapshots", ())),
    )


def new_session_item(tenant: str, now: int) -> Item:
    """The attributes of a session that nobody has linked yet; its keys are the caller's."""
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


def seen_in(session: Session) -> dict[Any, Any]:
    """What changes there with a report; what is None is there no more."""
    return {
        "phase": session.phase,
        "since": session.since,
        "sequence": session.sequence,
        "problem": _problem_item(session.problem),
        "detail": session.detail or None,
        "qr": _code_item(session.qr),
        "pairing": _code_item(session.pairing),
        "number": session.number,
        "linked_at": session.linked_at,
        "logged_out_at": session.logged_out_at,
        "caught_up_to": session.caught_up_to,
        "pair_with": session.pair_with,
        "came_up": session.came_up or None,
        "fails": session.fails or None,
        "next_try_at": session.next_try_at or None,
        "down_since": session.down_since,
    }


def _problem_item(problem: Problem | None) -> Item | None:
    return {"code": problem.code, "since": problem.since, "detail": problem.detail} if problem else None


def _code_item(code: ExpiringCode | None) -> Item | None:
    return {"code": code.code, "expires_at": code.expires_at} if code else None
