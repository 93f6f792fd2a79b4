"""The digest: what is open for a day or longer, and when it is due."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chalicelib.model import Invite, Problem, Session, TenantState, milliseconds
from chalicelib.model.notices.digest import OpenMatter, day_of_digest, digest_of
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.quiet_hours import parse_quiet_hours
from tests.unit.conftest import a_tenant
from wire import Phase, ProblemCode

T = "bakery0001"
NOW = 1_790_000_000_000


def ago(**past: float) -> int:
    return NOW - milliseconds(timedelta(**past))


def a_link(**past: Any) -> Invite:
    return Invite("0" * 64, T, ago(hours=past.pop("hours")), **past)


LINKED = Session(T, number="4917", linked_at=1)
DOWN = frozenset({NoticeKind.LINE_DOWN})
BLOCKED = Problem(ProblemCode.BLOCKED, ago(days=2))


@pytest.mark.parametrize(
    ("session", "invite", "matter"),
    [
        (LINKED, None, None),
        (replace(LINKED, problem=BLOCKED), None, OpenMatter.PROBLEM),
        (replace(LINKED, open_news=DOWN, down_since=ago(days=1)), None, OpenMatter.LINE_DOWN),
        (replace(LINKED, open_news=DOWN, down_since=ago(hours=23)), None, None),
        (replace(LINKED, open_news=DOWN, since=ago(days=2)), None, OpenMatter.LINE_DOWN),
        (replace(LINKED, down_since=ago(days=2)), None, None),
        (replace(LINKED, problem=replace(BLOCKED, since=ago(hours=23))), None, None),
        (Session(T, logged_out_at=ago(days=1)), a_link(hours=900), OpenMatter.DISCONNECTED),
        (Session(T, logged_out_at=ago(hours=23)), a_link(hours=900), None),
        (Session(T, passkey_since=ago(days=1)), a_link(hours=900, opened_at=ago(days=9)), OpenMatter.PASSKEY),
        (Session(T, phase=Phase.QR), a_link(hours=80, opened_at=ago(days=3)), OpenMatter.NOT_LINKED),
        (Session(T, phase=Phase.QR), a_link(hours=80, opened_at=ago(hours=71)), None),
        (Session(T), a_link(hours=24), OpenMatter.INVITE_UNOPENED),
        (Session(T), a_link(hours=23), None),
        (Session(T), a_link(hours=72), OpenMatter.INVITE_EXPIRED),
        (Session(T), a_link(hours=80, revoked_at=ago(hours=1)), OpenMatter.NO_LINK),
        (Session(T), None, OpenMatter.NO_LINK),
    ],
)
def test_what_is_open_of_a_line(session: Session, invite: Invite | None, matter: OpenMatter | None) -> None:
    tenant = a_tenant(T, created_at=ago(days=30))
    found = [line.matter for line in digest_of([(tenant, session, invite)], NOW)]
    assert found == ([] if matter is None else [matter])
    assert digest_of([(replace(tenant, state=TenantState.PAUSED), session, invite)], NOW) == []


def test_the_worst_comes_first_and_of_that_the_longest() -> None:
    lines = [
        (a_tenant("unopened01"), Session("unopened01"), replace(a_link(hours=30), tenant="unopened01")),
        (a_tenant("recently01"), Session("recently01", logged_out_at=ago(days=2)), None),
        (a_tenant("longsince1"), Session("longsince1", logged_out_at=ago(days=9)), None),
        (a_tenant("nokey00001", assistant_problem=replace(BLOCKED, code=ProblemCode.KEY_REVOKED)), LINKED, None),
    ]
    assert [line.tenant for line in digest_of(lines, NOW)] == ["longsince1", "recently01", "nokey00001", "unopened01"]


@pytest.mark.parametrize(
    ("setting", "zone", "at", "day"),
    [
        ("", "UTC", "2026-11-28T06:59", None),
        ("", "UTC", "2026-11-28T07:00", "2026-11-28"),
        ("22:00-08:30 America/Sao_Paulo", "America/Sao_Paulo", "2026-11-28T08:29", None),
        ("22:00-08:30 America/Sao_Paulo", "America/Sao_Paulo", "2026-11-28T08:30", "2026-11-28"),
        ("22:00-08:30 America/Sao_Paulo", "America/Sao_Paulo", "2026-11-28T23:59", "2026-11-28"),
    ],
)
def test_the_digest_of_a_day_is_due_in_its_morning(setting: str, zone: str, at: str, day: str | None) -> None:
    now = round(datetime.fromisoformat(at).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    assert day_of_digest(parse_quiet_hours(setting), now) == day
