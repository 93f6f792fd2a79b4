"""Steps of a conversation with a tenant whose line is online: hand in, check, deliver."""

from typing import Any, cast

from chalicelib.aws.sqs import TurnCheck
from chalicelib.model import Policies, Turn, apply_report
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.notifications import notices
from chalicelib.replies import inbound
from chalicelib.replies.turn_taking import take_turn
from chalicelib.wiring import Services
from tests.unit.conftest import Clock, FakeJobs, FakeLlmClient, FakeMailer, FakeNoticeJobs
from wire import Acknowledgement, Message, MessageKind, Phase, SessionReport

T = "tenantaaaa"
CHAT = "4711@lid"
PHONE = "491700000001@c.us"
#: Without limits, and without an introduction, which tests/unit/chalicelib/replies/test_introduction.py is about.
UNCAPPED = Policies(replies_per_minute=0, replies_per_contact_per_day=0, introduction_off_reason="other tests")


def with_policies(services: Services, policies: Policies) -> None:
    tenant = services.tenants.get(T)
    services.tenants.edit(
        T, {"policies": policies}, expected_revision=tenant.revision, now=0, by="operator@example.com"
    )


def message(clock: Clock, id: str, text: str = "Hello", **more: Any) -> Message:
    fields = {
        "id": id,
        "chat": CHAT,
        "from_me": False,
        "sent_at_ms": clock() // 1000 * 1000,
        "kind": MessageKind.TEXT,
        "text": text,
        **more,
    }
    return Message.model_validate(fields)


def hand_in(services: Services, *messages: Message) -> list[Acknowledgement]:
    return list(inbound.hand_in(services, T, messages))


def check(services: Services, chat: str = CHAT) -> ReplyOutcome:
    return take_turn(services, TurnCheck(tenant=T, chat=chat))


def jobs(services: Services) -> FakeJobs:
    return cast(FakeJobs, services.jobs)


def llm(services: Services) -> FakeLlmClient:
    return cast(FakeLlmClient, services.llm)


def mailed(services: Services) -> list[tuple[str, str]]:
    return [(kind, to) for kind, to, _ in cast(FakeMailer, services.mailer).sent]


def notify(services: Services) -> list[tuple[str, str]]:
    """Performs the jobs of notices that were enqueued; returns the mails that they sent."""
    before = len(mailed(services))
    enqueued = cast(FakeNoticeJobs, services.notice_jobs)
    waiting, enqueued.sent = enqueued.sent, []
    for job, _ in waiting:
        notices.handle(services, job)
    return mailed(services)[before:]


def open_turn(services: Services, chat_id: str = CHAT) -> Turn:
    chat = services.chats.get(T, chat_id)
    assert chat is not None and chat.open_turn is not None
    turn = services.turns.get(T, chat_id, chat.open_turn)
    assert turn is not None
    return turn


def deliver(services: Services, clock: Clock, chat: str = CHAT) -> Turn:
    """Delivers the open turn as a runner does: takes it, sends every part, reports each as sent."""
    turn = open_turn(services, chat)
    session = services.sessions.get(T)
    assert session.runner is not None
    taken = services.turns.take(turn, session.runner, session.epoch, clock())
    assert taken is not None
    for part in range(len(taken.parts)):
        taken, again = services.turns.record_part_sent(taken, part, clock())
        if again:
            services.jobs.enqueue_check(T, chat, delay_seconds=0)
    return taken


def relinked(
    services: Services, clock: Clock, number: str, *, within_seconds: float = 0, until: Phase = Phase.ONLINE
) -> None:
    """Ends the login at the phone, and links a (perhaps other) phone; ``until`` may leave it unlinked."""
    runner = services.runners.get("runneraaaa")
    assert runner is not None
    for phase, linked in ((Phase.LOGGED_OUT, None), (Phase.ONLINE, number)):
        clock.pass_seconds(within_seconds if linked else 0)
        before = services.sessions.get(T)
        sequence = before.sequence + 1
        report = SessionReport(tenant=T, epoch=before.epoch, sequence=sequence, phase=phase, number=linked)
        assert services.sessions.record_report(runner, before, apply_report(before, report, clock()))
        if phase is until:
            break
