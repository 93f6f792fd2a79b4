"""A reply that WhatsApp refuses is sent again under its id, ends with a report, and holds up nothing else."""

from __future__ import annotations

import pytest

from runner.browser.page import PageRefused, PageRestriction
from runner.control_plane.client import Refused, StaleEpoch, TransientError
from runner.messages.refusals import RESEND_AFTER_SECONDS
from runner.messages.replies import RESTRICTED_RETRY_SECONDS, UNKNOWN_REPORT_RETRY_SECONDS
from runner.messages.restriction import PROBE_SECONDS
from tests.unit.support.runner_fakes import TENANT, message_id
from tests.unit.support.runner_line import CHAT, Line, running

#: So long the sends of a message that is always refused take, in tests without jitter.
ALL_SENDS_SECONDS = sum(RESEND_AFTER_SECONDS)
FIRST = message_id(TENANT, "IN1", 0)
RESTRICTED = PageRestriction(1_790_000_000_000, "WEB_COMPANION_ONLY")


@pytest.mark.parametrize("ack", [-1, -2, -7])
async def test_it_is_sent_again_under_its_id_until_it_is_accepted(line: Line, ack: int) -> None:
    line.link()
    line.page.acks = [ack, ack]
    line.ring("one", "two")
    async with running(line):
        await line.advance(ALL_SENDS_SECONDS)
    assert [id for _, id, _, _ in line.page.sent] == [FIRST, message_id(TENANT, "IN1", 1)]
    assert line.page.resent == [(CHAT, FIRST)] * 2
    assert [request.part for request in line.control.sent_parts] == [0, 1]
    assert not line.control.refused_parts


async def test_after_three_more_sends_it_ends_with_a_report(line: Line) -> None:
    line.link()
    line.page.acks = [-1] * 100
    delivery = line.ring("one", "two")
    async with running(line):
        for seconds, resends in ((4, 0), (1, 1), (29, 1), (1, 2), (119, 2), (1, 3), (0, 3)):
            await line.advance(seconds)
            assert len(line.page.resent) == resends
        await line.advance(5)
        (report,) = line.control.refused_parts
        assert (report.turn, report.part, report.message, report.ack) == (delivery.turn, 0, FIRST, -1)
        assert not line.conversation.replies.due and line.conversation.replies.are_idle()
        line.conversation.replies.deliver(delivery)  # an answer on its way
        await line.advance(600)
    assert len(line.page.sent) == 1 and len(line.page.resent) == 3
    assert not line.control.sent_parts


async def test_the_parts_before_it_stay_sent(line: Line) -> None:
    line.link()
    line.page.acks = [1, -1, -1, -1, -2]
    line.ring("one", "two", "three")
    async with running(line):
        await line.advance(ALL_SENDS_SECONDS + 5)
    assert [request.part for request in line.control.sent_parts] == [0]
    assert [(report.part, report.ack) for report in line.control.refused_parts] == [(1, -2)]


async def test_meanwhile_other_chats_are_answered(line: Line) -> None:
    line.link()
    line.page.acks = [-1]
    line.ring("one")
    async with running(line):
        await line.advance(1)
        line.ring("two", answers="IN2", chat="49171@c.us")
        await line.advance(1)
        assert [request.message for request in line.control.sent_parts] == [message_id(TENANT, "IN2", 0)]


async def test_a_reply_that_was_refused_before_a_restart_is_sent_again_and_not_beside(line: Line) -> None:
    line.link()
    line.page.acks = [-1]
    delivery = line.ring("one")
    async with running(line):
        await line.advance(1)
    line.restart()
    line.link()
    line.conversation.replies.deliver(delivery)
    async with running(line):
        await line.advance(1)
    assert len(line.page.sent) == 1 and line.page.resent == [(CHAT, FIRST)]
    assert len(line.control.sent_parts) == 1


async def test_a_refusal_that_comes_after_the_wait_for_the_ack_is_seen(line: Line) -> None:
    line.link()
    line.page.acks = [0]
    line.ring("one")
    async with running(line):
        await line.advance(2)
        line.page.own[CHAT, FIRST] = -1
        await line.advance(RESEND_AFTER_SECONDS[0] + 2)
        assert line.page.resent == [(CHAT, FIRST)]
        assert len(line.control.sent_parts) == 1
        assert not line.conversation.replies.are_stuck()


async def test_a_page_that_cannot_send_again_does_not_keep_the_turn_for_ever(line: Line) -> None:
    line.link()
    line.page.acks = [-1]
    delivery = line.ring("one")

    async def broken(chat: str, message: str) -> None:
        raise PageRefused("TypeError")

    line.page.resend = broken  # type: ignore[method-assign, assignment]
    async with running(line):
        for _ in range(60):
            line.conversation.replies.deliver(delivery)  # as each sync's answer names it
            await line.advance(10)
    assert len(line.control.refused_parts) == 1
    assert len(line.page.sent) == 1


@pytest.mark.parametrize(("error", "reports"), [(StaleEpoch("epoch"), 1), (Refused("not_found"), 1)])
async def test_a_report_that_is_refused_leaves_the_turn_to_the_control_plane(
    line: Line, error: Exception, reports: int
) -> None:
    line.link()
    line.page.acks = [-1] * 4
    line.control.refused_error = error
    line.ring("one")
    async with running(line):
        await line.advance(ALL_SENDS_SECONDS + 100)
    assert len(line.control.refused_parts) == reports
    assert not line.conversation.replies.due


async def test_an_older_control_plane_is_asked_again_and_nothing_is_sent_meanwhile(line: Line) -> None:
    line.link()
    line.page.acks = [-1] * 4
    line.control.refused_error = TransientError("http_403")
    line.ring("one")
    async with running(line):
        await line.advance(ALL_SENDS_SECONDS + 60)
        early = len(line.control.refused_parts)
        assert 2 <= early <= 6
        await line.advance(3 * UNKNOWN_REPORT_RETRY_SECONDS)
        assert 2 <= len(line.control.refused_parts) - early <= 4
        assert len(line.page.resent) == 3
        line.control.refused_error = None  # the upgrade
        await line.advance(UNKNOWN_REPORT_RETRY_SECONDS + 1)
    assert not line.conversation.replies.due
    assert len(line.page.sent) == 1 and len(line.page.resent) == 3


# -- a restricted account ----------------------------------------------------------------------------------------------


async def test_a_restricted_account_writes_only_where_whatsapp_lets_it(line: Line) -> None:
    line.link()
    line.page.forbidden = {CHAT}
    line.conversation.replies.observe_restriction(RESTRICTED)
    line.ring("held")
    line.ring("sent", answers="IN2", chat="49171@c.us")
    async with running(line):
        await line.advance(3600)
        assert [text for _, _, text, _ in line.page.sent] == ["sent"]
        assert {request.turn for request in line.control.taken} == {"turn-0001"}, "what the contact adds still joins"
        assert line.conversation.replies.are_idle(), "the page may be renewed meanwhile"
        assert line.conversation.replies.restriction.restriction(line.clock.now()) == RESTRICTED
        line.page.forbidden = set()
        line.conversation.replies.observe_restriction(None)
        assert not line.conversation.replies.are_idle()
        await line.advance(2)
    assert [text for _, _, text, _ in line.page.sent] == ["sent", "held"]


async def test_where_whatsapp_lets_it_write_again_its_turn_counts_as_due(line: Line) -> None:
    line.link()
    line.page.forbidden = {CHAT}
    line.conversation.replies.observe_restriction(RESTRICTED)
    line.ring("held")
    async with running(line):
        await line.advance(1)
        line.page.forbidden, line.control.down = set(), True  # the contact wrote; nobody can take the turn just now
        await line.advance(RESTRICTED_RETRY_SECONDS)
        assert not line.conversation.replies.are_idle()
        line.control.down = False
        await line.advance(10)
    assert [text for _, _, text, _ in line.page.sent] == ["held"]


async def test_it_is_asked_rarely_whether_it_may_write(line: Line) -> None:
    line.link()
    line.page.forbidden = {CHAT}
    line.conversation.replies.observe_restriction(RESTRICTED)
    line.ring("held")
    async with running(line):
        await line.advance(3600)
    assert 10 <= line.page.calls.count("may_send") <= 14


async def test_an_account_that_is_not_restricted_is_not_asked(line: Line) -> None:
    line.link()
    line.ring("one")
    async with running(line):
        await line.advance(1)
    assert "may_send" not in line.page.calls


async def test_an_account_whose_replies_are_refused_everywhere_sends_only_probes(line: Line) -> None:
    line.link()
    line.page.acks = [-1] * 1000
    replies = line.conversation.replies
    for number in range(10):
        line.ring("hello", answers=f"IN{number}", chat=f"4917{number}@c.us")
    async with running(line):
        await line.advance(2)
        assert len(line.page.sent) == 3, "then it is clear that the account is meant"
        assert replies.restriction.restriction(line.clock.now()) == PageRestriction()
        assert replies.are_idle()
        await line.advance(4 * PROBE_SECONDS)
        assert len(line.page.sent) + len(line.page.resent) <= 3 + 4
        line.page.acks = []  # the restriction is over
        await line.advance(PROBE_SECONDS + 300)
    assert replies.restriction.restriction(line.clock.now()) is None
    assert len(line.control.sent_parts) + len(line.control.refused_parts) == 10
    assert len(line.control.sent_parts) >= 8


# -- the pace ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def paced(line: Line) -> Line:
    line.replies_per_minute = 20
    line.conversation, line.handover = line.make()
    line.link()
    return line


async def test_a_backlog_is_answered_at_the_lines_pace_and_from_the_newest_on(paced: Line) -> None:
    for number in range(50):
        paced.ring(f"{number}", answers=f"IN{number}", chat=f"4917{number}@c.us", sent_at_ms=1_000 + number % 25)
    async with running(paced):
        await paced.advance(0.5)
        assert [text for _, _, text, _ in paced.page.sent] == ["49", "24", "48", "23", "47"]
        await paced.advance(60)
        assert 23 <= len(paced.page.sent) <= 26
        paced.ring("now", answers="IN99", chat="491799@c.us", sent_at_ms=9_000)
        await paced.advance(4)
        assert "now" in [text for _, _, text, _ in paced.page.sent][-2:]
        await paced.advance(90)
    assert len(paced.page.sent) == 51


async def test_the_parts_of_a_reply_are_one_reply(paced: Line) -> None:
    for number in range(3):
        paced.ring("one", "two", "three", answers=f"IN{number}", chat=f"4917{number}@c.us")
    async with running(paced):
        await paced.advance(0.5)
    assert [text for _, _, text, _ in paced.page.sent] == ["one", "two", "three"] * 3


async def test_a_reply_that_has_begun_goes_on_before_new_ones_and_takes_no_other_token(paced: Line) -> None:
    paced.page.acks = [0]
    paced.ring("one", "two")
    async with running(paced):
        await paced.advance(0.5)
        for number in range(2, 10):
            paced.ring("new", answers=f"IN{number}", chat=f"4917{number}@c.us", sent_at_ms=number)
        await paced.advance(0.5)
        assert len(paced.page.sent) == 5, "the burst is spent"
        paced.page.own[CHAT, FIRST] = 1
        await paced.advance(1.5)
        assert "two" in [text for _, _, text, _ in paced.page.sent][:7]
        sent = len(paced.page.sent)
        paced.page.acks = [-1, 1]
        await paced.advance(3)
        assert len(paced.page.sent) == sent + 1


async def test_what_is_only_found_in_the_chat_takes_no_token(paced: Line) -> None:
    for number in range(20):
        paced.page.own[f"4917{number}@c.us", message_id(TENANT, f"IN{number}", 0)] = 1
        paced.ring("sent before", answers=f"IN{number}", chat=f"4917{number}@c.us")
    async with running(paced):
        await paced.advance(0.5)
        assert len(paced.control.sent_parts) == 20


async def test_of_two_that_are_ready_the_one_that_has_begun_goes_on(paced: Line) -> None:
    paced.page.acks = [0]
    paced.ring("one", "two")
    async with running(paced):
        await paced.advance(0.5)
    paced.page.own[CHAT, FIRST] = 1
    await paced.advance(2)
    paced.ring("new", answers="IN2", chat="49171@c.us", sent_at_ms=9)
    async with running(paced):
        await paced.advance(0.5)
    assert [text for _, _, text, _ in paced.page.sent] == ["one", "two", "new"]
