"""The runners' API: heartbeat (sync), bell, messages, take, sent, refused, release; `wire.py` has its models."""

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
    Turn,
    TurnState,
    is_order_open,
    milliseconds,
    reason_not_to_send,
)
from chalicelib.replies import inbound
from chalicelib.replies.look import request_check
from chalicelib.replies.refused_turn import end_refused
from chalicelib.replies.unanswered import note_missed_turn, report_turn
from chalicelib.sessions import lifecycle, reports
from chalicelib.store.runners import Bell, Save
from chalicelib.tokens import sha256
from chalicelib.web.runner_auth import authenticate_alive, authenticate_hand_in, is_bootstrap, mount_endpoint
from chalicelib.wiring import Services
from wire import (
    BellAnswer,
    BellRequest,
    Delivery,
    Hold,
    Identity,
    MessagesAnswer,
    MessagesRequest,
    Part,
    RefusedAnswer,
    RefusedRequest,
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

#: The interval in which a held call reads the bell.
BELL_POLLED_EVERY_SECONDS = 0.2
#: The bell of a turn that has ended is silenced for all revisions.
NO_LATER_REVISION = 2**53
#: The fields of a sync that describe the runner, and are stored as they are.
VERSIONS = {"image", "commit", "chromium", "wa_js", "disk"}
#: An idle runner calls again after this.
NEXT_CALL_MS = 3_000


def mount(app: Chalice, services: Services) -> None:
    """Registers the routes."""
    mount_endpoint(app, services, "/runner/sync", SyncRequest, sync)
    mount_endpoint(app, services, "/runner/bell", BellRequest, wait_for_bell)
    mount_endpoint(app, services, "/runner/messages", MessagesRequest, messages)
    mount_endpoint(app, services, "/runner/take", TakeRequest, take)
    mount_endpoint(app, services, "/runner/sent", SentRequest, sent)
    mount_endpoint(app, services, "/runner/refused", RefusedRequest, refused)
    mount_endpoint(app, services, "/runner/release", ReleaseRequest, release)


# -- endpoints -------------------------------------------------------------------------------------------------


def sync(services: Services, token: str, request: SyncRequest) -> SyncAnswer:
    """Handles a heartbeat: renews the lease, stores changed reports, and answers what to hold and to deliver."""
    now = services.clock()
    if is_bootstrap(services, token):
        return _register(services, request, now)
    runner = authenticate_alive(services, token)
    # The lease first: nothing that a report sets off may keep a runner waiting for it.
    renewed = services.runners.renew_lease(
        runner,
        now,
        capacity=request.capacity,
        draining=request.draining,
        probes={each.tenant: now - each.probed_ms_ago for each in request.sessions if each.probed_ms_ago is not None},
        saves={
            each.tenant: Save(now - each.saved_ms_ago, each.save_problem)
            for each in request.sessions
            if each.saved_ms_ago is not None
        },
        disk_full=request.disk_full,
        **request.model_dump(include=VERSIONS),
    )
    changed = reports.store(services, renewed, request.sessions, now)
    if renewed is not runner:
        placed = lifecycle.handle_heartbeat(services, renewed, now)
        runner = _reload(services, renewed) if placed or changed else renewed
    elif changed:
        runner = _reload(services, runner)
    bell = services.runners.bell(runner.id)
    if bell.count != request.bell:
        runner = _reload(services, runner)  # it may have rung after the record was read, and is not to ring again
    return SyncAnswer(
        sequence=request.sequence,
        bell=bell.count,
        hold=tuple(_hold(assignment, services.clock()) for assignment in runner.assigned),
        deliver=_deliveries(runner, bell),
        next_in_ms=NEXT_CALL_MS,
        drain=runner.end_requested,
    )


def wait_for_bell(services: Services, token: str, request: BellRequest) -> BellAnswer:
    """Holds the call until the runner's bell differs from the one that it knows, or its time is over (long poll).

    The runner's record is read before, and after only if there are turns to take.
    """
    runner = authenticate_alive(services, token)
    deadline = services.clock() + request.wait_ms
    while (bell := services.runners.bell(runner.id)).count == request.bell and services.clock() < deadline:
        services.pause(BELL_POLLED_EVERY_SECONDS)
    deliver = _deliveries(_reload(services, runner), bell) if bell.turns else ()
    return BellAnswer(bell=bell.count, deliver=deliver)


def messages(services: Services, token: str, request: MessagesRequest) -> MessagesAnswer:
    """Stores messages and enqueues one check for each chat. Not fenced: a dead runner may still hand messages in."""
    now = services.clock()
    authenticate_hand_in(services, token, request.tenant, request.epoch, now)
    return MessagesAnswer(acknowledged=tuple(inbound.hand_in(services, request.tenant, request.messages)))


def take(services: Services, token: str, request: TakeRequest) -> TakeAnswer:
    """Gives a reply to the runner that holds the session (``ready → sending``); any other one gets ``gone``."""
    now = services.clock()
    runner = authenticate_alive(services, token)
    turn = services.turns.get(request.tenant, request.chat, request.turn)
    if turn is not None and turn.state in (TurnState.READY, TurnState.SENDING):
        session = services.sessions.get(request.tenant)
        reason = reason_not_to_send(turn, session.replies_since, now)
        if reason is not None:
            if services.turns.abandon(turn, reason):
                report_turn(services, services.tenants.get(request.tenant), turn, reason, now)
                note_missed_turn(services, session, turn, reason)
            services.runners.silence(runner.id, turn.id, turn.revision)
            return TakeAnswer(result="gone", chat=request.chat)
        taken = services.turns.take(turn, runner.id, request.epoch, now)
        chat = services.chats.get(request.tenant, request.chat)
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
    services.runners.silence(runner.id, request.turn, revision)
    return TakeAnswer(result="gone", chat=request.chat)


def sent(services: Services, token: str, request: SentRequest) -> SentAnswer:
    """Marks a part as sent: it is on WhatsApp's server. Idempotent, and not fenced."""
    now = services.clock()
    runner = authenticate_hand_in(services, token, request.tenant, request.epoch, now)
    turn = _turn_with_part(services, request)
    after, again = services.turns.record_part_sent(turn, request.part, now)
    if after.state is TurnState.SENT:
        if turn.state is not TurnState.SENT:
            # The contact's latency: since the time that WhatsApp dates the message.
            ids = {"tenant": turn.tenant, "turn": turn.id, "runner": runner.id}
            log.info(LogEvent.REPLY_DELIVERED, extra={**ids, "latency_ms": now - turn.oldest_sent_at})
            services.ended_turns.count(turn.tenant, now, ended=True)
        services.runners.silence(runner.id, turn.id, turn.revision)
        services.sessions.record_activity(services.sessions.get(request.tenant), now, reply=True)
        if again:
            request_check(services, request.tenant, turn.chat, delay_seconds=0)
    return SentAnswer(done=after.state is TurnState.SENT)


def refused(services: Services, token: str, request: RefusedRequest) -> RefusedAnswer:
    """Ends a turn of which WhatsApp refuses a part for good: nobody will read it. Idempotent."""
    now = services.clock()
    runner = authenticate_alive(services, token)
    turn = _turn_with_part(services, request)
    return RefusedAnswer(ended=end_refused(services, turn, runner.id, request.epoch, request.part, now))


def release(services: Services, token: str, request: ReleaseRequest) -> ReleaseAnswer:
    """Frees a session whose browser has ended, and places it again if it should run."""
    now = services.clock()
    runner = authenticate_alive(services, token)
    released = services.placement.release(
        request.tenant, runner.id, request.epoch, now, failed=request.failed, reason=request.reason
    )
    if released:
        lifecycle.place(services, request.tenant, now)
    return ReleaseAnswer(released=released)


# -- helpers -------------------------------------------------------------------------------------------------


def _turn_with_part(services: Services, request: SentRequest | RefusedRequest) -> Turn:
    """Returns the turn of a report about one of its parts; raises NotFound or BadRequest if it is not its part."""
    turn = services.turns.get(request.tenant, request.chat, request.turn)
    if turn is None:
        raise NotFound("There is no such turn.")
    if request.part >= len(turn.parts) or request.message != turn.part_id(request.part):
        raise BadRequest("This message id is not this part's.")
    return turn


def _register(services: Services, request: SyncRequest, now: int) -> SyncAnswer:
    """Registers a new runner, with no capacity yet: its next call proves that it received this answer.

    Otherwise a lost answer would leave sessions with a runner that does not exist, until its lease has expired.
    """
    secret = services.token()
    name = hashlib.sha256(services.token().encode()).hexdigest()[:20]
    _require_free_task(services, request.task, name, now)
    services.runners.register(
        name,
        sha256(secret),
        0,
        now,
        task=request.task,
        **request.model_dump(include=VERSIONS),
    )
    identity = Identity(runner=name, token=f"{name}.{secret}")
    return SyncAnswer(sequence=request.sequence, identity=identity, next_in_ms=0)


def _require_free_task(services: Services, task: str, runner: str, now: int) -> None:
    """Raises TaskRefused unless the call comes from a task of ours that no other runner has registered.

    The token alone is not enough: an attacker who broke into a browser may have read it, and gets no runner with it.
    """
    if not services.fleet.runs(task):
        why = "it is not a running task of this stage's service"
    elif not services.tasks.claim(task, runner, now):
        why = "another runner speaks for it"
    else:
        return
    log.warning(LogEvent.REGISTRATION_REFUSED, extra={"task": task, "reason": why})
    raise TaskRefused(f"No runner is taken in from this task: {why}.")


def _deliveries(runner: Runner, bell: Bell) -> tuple[Delivery, ...]:
    """Returns the turns to take, of sessions that the runner holds. Pure."""
    epochs = {assignment.tenant: assignment.epoch for assignment in runner.assigned}
    return tuple(
        Delivery(
            tenant=each.tenant,
            epoch=epochs[each.tenant],
            chat=each.chat,
            turn=each.turn,
            revision=each.revision,
            sent_at_ms=each.sent_at,
        )
        for each in bell.turns
        if each.tenant in epochs
    )


def _hold(assignment: Assignment, now: int) -> Hold:
    """Returns the order for a session: an unlinked one is released unless a page keeps it awake. Pure."""
    awake = now < assignment.awake_until
    run = assignment.wanted is Wanted.RUN and (assignment.number is not None or awake)
    return Hold(
        tenant=assignment.tenant,
        epoch=assignment.epoch,
        wanted=Wanted.RUN if run else Wanted.RELEASE,
        watched=awake,
        pair_with=assignment.pair_with,
        pair_order=assignment.pair_ordered_at if is_order_open(assignment.pair_ordered_at, now) else 0,
        caught_up_to_ms=assignment.caught_up_to,
        number=assignment.number,
        last_epoch=assignment.last_epoch,
        try_again=assignment.try_again_at,
    )


def _reload(services: Services, runner: Runner) -> Runner:
    """Reads the runner again. Raises Unauthorised if it was declared dead meanwhile."""
    fresh = services.runners.get(runner.id)
    if fresh is None or fresh.state is RunnerState.DEAD:
        raise Unauthorised("This runner was declared dead.")
    return fresh
