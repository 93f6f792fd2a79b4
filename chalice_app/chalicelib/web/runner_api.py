"""The runners' door: sync, messages, take, sent, release."""

import hashlib
import logging

from chalice.app import Chalice

from chalicelib.errors import BadRequest, NotFound, TaskRefused, Unauthorised
from chalicelib.log_events import LogEvent
from chalicelib.model import (
    QUOTED_AFTER,
    Assignment,
    Runner,
    RunnerState,
    TurnState,
    milliseconds,
    out_of_date,
    seen,
)
from chalicelib.replies import inbound
from chalicelib.sessions import events, lifecycle
from chalicelib.store.runners import Bell
from chalicelib.tokens import secrets_match, sha256
from chalicelib.web.runner_auth import alive, door, known
from chalicelib.wiring import Services
from wire import (
    SYNC_HELD_AT_MOST_MS,
    Delivery,
    Hold,
    Identity,
    MessagesAnswer,
    MessagesRequest,
    Part,
    ReleaseAnswer,
    ReleaseRequest,
    SentAnswer,
    SentRequest,
    SyncAnswer,
    SyncRequest,
    TakeAnswer,
    TakeRequest,
    Wanted,
)

log = logging.getLogger(__name__)

#: How often a held call looks at the bell.
BELL_LOOKED_AT_EVERY_SECONDS = 0.2
#: A turn that ended is rung no more, at whatever revision.
NO_LATER_REVISION = 2**53
#: Whoever comes with a token that may be a newer one than ours is not refused for what we knew longer ago than this.
BOOTSTRAP_TOKEN_AT_MOST_OLD_MS = 10_000
#: An idle runner calls again after this.
NEXT_CALL_MS = 3_000


def mount(app: Chalice, services: Services) -> None:
    """Registers the routes."""
    door(app, services, "/runner/sync", SyncRequest, sync)
    door(app, services, "/runner/messages", MessagesRequest, messages)
    door(app, services, "/runner/take", TakeRequest, take)
    door(app, services, "/runner/sent", SentRequest, sent)
    door(app, services, "/runner/release", ReleaseRequest, release)


# -- what the doors do ---------------------------------------------------------------------------------------


def sync(services: Services, token: str, request: SyncRequest) -> SyncAnswer:
    """Registers or renews, stores what changed, answers what to hold and what to deliver; held until the bell."""
    now = services.clock()
    if _is_bootstrap(services, token):
        return _register(services, request, now)
    runner = alive(services, token)
    by_tenant = {assignment.tenant: assignment for assignment in runner.assigned}
    changed = False
    for report in request.sessions:
        assignment = by_tenant.get(report.tenant)
        if assignment is None or assignment.epoch != report.epoch or report.sequence <= assignment.sequence:
            continue
        before = services.placement.session(report.tenant)
        after = seen(before, report, now)
        if before.epoch == report.epoch and services.placement.reported(runner, before, after):
            events.record_changes(services, before, after, now)
            changed = True
    renewed = services.runners.renew(
        runner,
        now,
        capacity=request.capacity,
        draining=request.draining,
        probes={
            report.tenant: now - report.probed_ms_ago for report in request.sessions if report.probed_ms_ago is not None
        },
        image=request.image,
        commit=request.commit,
        chromium=request.chromium,
        wa_js=request.wa_js,
    )
    if renewed is not runner:
        claimed = lifecycle.handle_heartbeat(services, renewed, now)
        runner = _again(services, renewed) if claimed or changed else renewed
    elif changed:
        runner = _again(services, runner)
    bell = _wait(services, runner.id, request)
    if bell.count != request.bell:
        runner = _again(services, runner)
    now = services.clock()
    epochs = {assignment.tenant: assignment.epoch for assignment in runner.assigned}
    return SyncAnswer(
        sequence=request.sequence,
        bell=bell.count,
        hold=tuple(_hold(assignment, now) for assignment in runner.assigned),
        deliver=tuple(
            Delivery(
                tenant=rung.tenant,
                epoch=epochs[rung.tenant],
                chat=rung.chat,
                turn=rung.turn,
                revision=rung.revision,
            )
            for rung in bell.rung
            if rung.tenant in epochs
        ),
        next_in_ms=NEXT_CALL_MS,
        drain=runner.drain,
    )


def messages(services: Services, token: str, request: MessagesRequest) -> MessagesAnswer:
    """Stores what was handed in and enqueues one look per chat. Not fenced: a dead runner may still hand in."""
    now = services.clock()
    runner = known(services, token)
    if not services.runners.may_still_speak(runner, request.tenant, now):
        raise Unauthorised("This runner never held this tenant.")
    return MessagesAnswer(acknowledged=tuple(inbound.hand_in(services, request.tenant, request.messages)))


def take(services: Services, token: str, request: TakeRequest) -> TakeAnswer:
    """``ready → sending`` for whom the session's epoch names; ``gone`` for everybody else."""
    now = services.clock()
    runner = alive(services, token)
    turn = services.turns.get(request.tenant, request.chat, request.turn)
    if turn is not None and turn.state in (TurnState.READY, TurnState.SENDING):
        reason = out_of_date(turn, services.placement.session(request.tenant).answers_since, now)
        if reason is not None:
            services.turns.abandon(turn, reason)
            services.runners.hush(runner.id, turn.id, turn.revision)
            return TakeAnswer(result="gone", chat=request.chat)
        taken = services.turns.take(turn, runner.id, request.epoch, now)
        chat = services.chats.chat(request.tenant, request.chat)
        if taken is not None and chat is not None:
            late = now - turn.oldest_sent_at > milliseconds(QUOTED_AFTER)
            return TakeAnswer(
                result="taken",
                chat=chat.whatsapp_id,
                revision=taken.revision,
                parts=tuple(Part(id=taken.part_id(part), text=text) for part, text in enumerate(taken.parts)),
                cursor=taken.cursor,
                quote=taken.last_message if late else None,
            )
        return TakeAnswer(result="gone", chat=request.chat)
    thinking = turn is not None and turn.state in (TurnState.THINKING, TurnState.WAITING)
    revision = turn.revision - 1 if turn is not None and thinking else NO_LATER_REVISION
    services.runners.hush(runner.id, request.turn, revision)
    return TakeAnswer(result="gone", chat=request.chat)


def sent(services: Services, token: str, request: SentRequest) -> SentAnswer:
    """A part is on WhatsApp's server. Monotone, and not fenced."""
    now = services.clock()
    runner = known(services, token)
    if not services.runners.may_still_speak(runner, request.tenant, now):
        raise Unauthorised("This runner never held this tenant.")
    turn = services.turns.get(request.tenant, request.chat, request.turn)
    if turn is None:
        raise NotFound("There is no such turn.")
    if request.part >= len(turn.parts) or request.message != turn.part_id(request.part):
        raise BadRequest("This message id is not this part's.")
    after, again = services.turns.sent(turn, request.part, now)
    if after.state is TurnState.SENT:
        if turn.state is not TurnState.SENT:
            # As the contact saw it: from the moment WhatsApp dates the message to.
            told = {"tenant": turn.tenant, "turn": turn.id, "runner": runner.id}
            log.info(LogEvent.REPLY_DELIVERED, extra={**told, "latency_ms": now - turn.oldest_sent_at})
        services.runners.hush(runner.id, turn.id, turn.revision)
        services.placement.heard(services.placement.session(request.tenant), now, reply=True)
        if again:
            services.jobs.enqueue_check(request.tenant, turn.chat, delay_seconds=0)
    return SentAnswer(done=after.state is TurnState.SENT)


def release(services: Services, token: str, request: ReleaseRequest) -> ReleaseAnswer:
    """The browser of this session is gone: it may be placed again, if it should run."""
    now = services.clock()
    runner = alive(services, token)
    released = services.placement.release(
        request.tenant, runner.id, request.epoch, now, failed=request.failed, reason=request.reason
    )
    if released:
        lifecycle.place(services, request.tenant, now)
    return ReleaseAnswer(released=released)


# -- how -----------------------------------------------------------------------------------------------------


def _is_bootstrap(services: Services, token: str) -> bool:
    """Whether it is the stage's token. One that was made anew is known to everybody as soon as somebody has it."""
    if secrets_match(token, services.runner_token()):
        return True
    if "." in token:
        return False  # a runner's own, and nobody need be asked
    return secrets_match(token, services.runner_token(at_most_old_ms=BOOTSTRAP_TOKEN_AT_MOST_OLD_MS))


def _register(services: Services, request: SyncRequest, now: int) -> SyncAnswer:
    """A new runner without room: sessions are for whom this answer reached, which its next call, made at once, shows.

    Otherwise a lost answer would leave a runner that nobody is, with sessions, until its lease has run out.
    """
    secret = services.token()
    name = hashlib.sha256(services.token().encode()).hexdigest()[:20]
    _admit(services, request.task, name, now)
    services.runners.register(
        name,
        sha256(secret),
        0,
        now,
        task=request.task,
        image=request.image,
        commit=request.commit,
        chromium=request.chromium,
        wa_js=request.wa_js,
    )
    identity = Identity(runner=name, token=f"{name}.{secret}")
    return SyncAnswer(sequence=request.sequence, identity=identity, next_in_ms=0)


def _admit(services: Services, task: str, runner: str, now: int) -> None:
    """Raises TaskRefused unless it comes from a task of ours that no other runner speaks for.

    The token alone opens nothing: whoever broke into a browser may have read it, and gets no second runner by it.
    """
    if not services.fleet.runs(task):
        why = "it is not a running task of this stage's service"
    elif not services.tasks.take(task, runner, now):
        why = "another runner speaks for it"
    else:
        return
    log.warning(LogEvent.REGISTRATION_REFUSED, extra={"task": task, "reason": why})
    raise TaskRefused(f"No runner is taken in from this task: {why}.")


def _wait(services: Services, runner: str, request: SyncRequest) -> Bell:
    """The bell, once it differs from what the runner knows, or when the time is over."""
    until = services.clock() + min(request.wait_ms, SYNC_HELD_AT_MOST_MS)
    while True:
        bell = services.runners.bell(runner)
        if bell.count != request.bell or services.clock() >= until:
            return bell
        services.pause(BELL_LOOKED_AT_EVERY_SECONDS)


def _hold(assignment: Assignment, now: int) -> Hold:
    """Pure: an unlinked session that nobody watches any more is to be released."""
    watched = now < assignment.awake_until
    run = assignment.wanted is Wanted.RUN and (assignment.number is not None or watched)
    return Hold(
        tenant=assignment.tenant,
        epoch=assignment.epoch,
        wanted=Wanted.RUN if run else Wanted.RELEASE,
        watched=watched,
        pair_with=assignment.pair_with,
        caught_up_to_ms=assignment.caught_up_to,
        number=assignment.number,
        last_epoch=assignment.last_epoch,
    )


def _again(services: Services, runner: Runner) -> Runner:
    fresh = services.runners.get(runner.id)
    if fresh is None or fresh.state is RunnerState.DEAD:
        raise Unauthorised("This runner was declared dead.")
    return fresh
