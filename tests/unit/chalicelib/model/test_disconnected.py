"""What outlasts the phases of a session: that it was disconnected, that a passkey is asked for, and what was missed."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Problem, Session, apply_report, milliseconds
from chalicelib.model.line_health import LineHealth, line_of
from chalicelib.model.session import LINKING_REPORTED_WITHIN, MISSED_FOR
from chalicelib.rendering.tones import Tone, shown_state, state_tone
from tests.unit.conftest import a_tenant
from wire import Phase, ProblemCode, SessionReport

NOON = 1_900_000_000_000
EARLY = milliseconds(LINKING_REPORTED_WITHIN)
MINUTE, HOUR = 60_000, 3_600_000
A, B = "491701111111", "491702222222"
Step = tuple[Phase, dict[str, Any]]

ONLINE_A: Step = (Phase.ONLINE, {"number": A})
ONLINE_B: Step = (Phase.ONLINE, {"number": B})
ENDED: Step = (Phase.LOGGED_OUT, {})
DRAWN: Step = (Phase.QR, {})
ASKED: Step = (Phase.PASSKEY_REQUIRED, {"problem": ProblemCode.PASSKEY})


def after(steps: list[tuple[int, Step]]) -> Session:
    """The session after a runner's reports, each so many milliseconds after noon."""
    session = Session("tenantaaaa")
    for sequence, (at, (phase, more)) in enumerate(steps, start=1):
        report = SessionReport(tenant=session.tenant, epoch=1, sequence=sequence, phase=phase, **more)
        session = apply_report(session, report, NOON + at)
    return session


@pytest.mark.parametrize(
    ("steps", "state", "since"),
    [
        ([(0, DRAWN)], "qr", 0),
        ([(0, ONLINE_A)], "online", 0),
        ([(0, ONLINE_A), (MINUTE, ENDED)], "disconnected", MINUTE),
        # the next code does not hide it, neither does a page that nobody looks at, nor a second logout
        ([(0, ONLINE_A), (MINUTE, ENDED), (HOUR, DRAWN)], "disconnected", MINUTE),
        ([(0, ONLINE_A), (MINUTE, ENDED), (HOUR, DRAWN), (2 * HOUR, (Phase.IDLE, {}))], "disconnected", MINUTE),
        ([(0, ONLINE_A), (MINUTE, ENDED), (HOUR, ASKED)], "disconnected", MINUTE),
        ([(0, ONLINE_A), (MINUTE, ENDED), (HOUR, DRAWN), (2 * HOUR, ONLINE_A)], "online", 2 * HOUR),
        ([(0, ONLINE_A), (MINUTE, ENDED), (HOUR, ONLINE_B)], "online", HOUR),
        ([(0, ONLINE_A), (MINUTE, ENDED), (HOUR, ONLINE_A), (2 * HOUR, ENDED)], "disconnected", 2 * HOUR),
        # linked and logged out between two reports
        ([(0, ENDED)], "disconnected", 0),
        ([(0, ENDED), (MINUTE, DRAWN)], "disconnected", 0),
        # a passkey
        ([(0, DRAWN), (MINUTE, ASKED)], "passkey_required", MINUTE),
        ([(0, DRAWN), (MINUTE, ASKED), (HOUR, DRAWN)], "passkey_required", MINUTE),
        ([(0, DRAWN), (MINUTE, ASKED), (HOUR, DRAWN), (2 * HOUR, ASKED)], "passkey_required", MINUTE),
        ([(0, DRAWN), (MINUTE, ASKED), (HOUR, ONLINE_A)], "online", HOUR),
        ([(0, DRAWN), (MINUTE, ASKED), (HOUR, ONLINE_A), (2 * HOUR, ENDED)], "disconnected", 2 * HOUR),
    ],
)
def test_a_state_that_a_person_must_end_lasts_until_an_account_is_linked(
    steps: list[tuple[int, Step]], state: str, since: int
) -> None:
    session = after(steps)
    line = line_of(a_tenant("tenantaaaa"), session, (), None, NOON + 24 * HOUR)
    assert (shown_state(session), line.since - NOON) == (state, since)
    assert (line.health is LineHealth.DISCONNECTED) is (state == "disconnected")
    assert (state_tone(session) is Tone.PROBLEM) is (state in ("disconnected", "passkey_required"))


@pytest.mark.parametrize(
    ("stored", "waits"),
    [
        (Session("t", Phase.IDLE), False),
        (Session("t", Phase.PASSKEY_REQUIRED), True),
        (Session("t", Phase.IDLE, problem=Problem(ProblemCode.PASSKEY, 1)), True),  # released under an earlier release
        (Session("t", Phase.QR, passkey_since=1), True),
        (Session("t", Phase.ONLINE, passkey_since=1, number=A), False),
    ],
)
def test_who_waits_for_a_passkey_also_by_what_an_earlier_release_stored(stored: Session, waits: bool) -> None:
    assert stored.waits_for_passkey is waits


LONG = milliseconds(MISSED_FOR)


@pytest.mark.parametrize(
    ("ended_at", "caught_up_to", "linked_at", "number", "missed_from", "read_from"),
    [
        # since the time up to which all was handed in, and not before the kept week
        (HOUR, 58 * MINUTE, 2 * HOUR, A, 58 * MINUTE, 58 * MINUTE),
        (HOUR, None, 2 * HOUR, A, -EARLY, -EARLY),
        (HOUR, 58 * MINUTE, HOUR + LONG, A, HOUR, HOUR),
        (HOUR, 58 * MINUTE, 3 * LONG, A, 2 * LONG, 2 * LONG),
        # another account: nothing of the former one is read
        (HOUR, 58 * MINUTE, 2 * HOUR, B, None, 2 * HOUR - EARLY),
    ],
)
def test_what_the_same_number_missed_is_read_after_it_is_linked_again(
    ended_at: int, caught_up_to: int | None, linked_at: int, number: str, missed_from: int | None, read_from: int
) -> None:
    steps: list[tuple[int, Step]] = [(0, ONLINE_A)]
    if caught_up_to is not None:
        steps.append((caught_up_to + 1, (Phase.ONLINE, {"number": A, "caught_up_to_ms": NOON + caught_up_to})))
    steps += [(ended_at, ENDED), (ended_at + 1, DRAWN), (linked_at, (Phase.ONLINE, {"number": number}))]
    session = after(steps)
    assert session.missed_since == (None if missed_from is None else NOON + missed_from)
    assert session.caught_up_to == NOON + read_from
    scan = NOON + linked_at - EARLY
    assert session.answers_since == scan
    for sent_at, missed in ((read_from - 1, False), (read_from, number == A), (linked_at - EARLY, False)):
        assert session.missed(NOON + sent_at) is missed


def test_a_session_that_an_earlier_release_logged_out_is_read_from_then_on() -> None:
    stored = Session("t", Phase.LOGGED_OUT, last_number=A, account_since=NOON - 9 * HOUR, logged_out_at=NOON)
    stored = replace(stored, caught_up_to=NOON - MINUTE)
    report = SessionReport(tenant="tenantaaaa", epoch=1, sequence=1, phase=Phase.ONLINE, number=A)
    assert apply_report(stored, report, NOON + HOUR).missed_since == NOON - MINUTE


@pytest.mark.parametrize(
    ("asked_from", "replies_from"),
    [(None, HOUR - EARLY), (10 * MINUTE, 10 * MINUTE), (HOUR, HOUR - EARLY), (-HOUR, -EARLY)],
)
def test_what_was_missed_is_replied_to_only_once_a_person_asks_and_never_for_another_account(
    asked_from: int | None, replies_from: int
) -> None:
    session = after([(0, ONLINE_A), (10 * MINUTE, ENDED), (HOUR, ONLINE_A)])
    asked = None if asked_from is None else NOON + asked_from
    assert replace(session, answers_missed_since=asked).replies_since == NOON + replies_from
    ended = apply_report(
        replace(session, answers_missed_since=asked),
        SessionReport(tenant="tenantaaaa", epoch=1, sequence=9, phase=Phase.LOGGED_OUT),
        NOON + 2 * HOUR,
    )
    assert (ended.replies_since, ended.answers_missed_since) == (None, None)
