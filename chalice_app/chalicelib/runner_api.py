"""The runners' door: sync, messages, take, sent, release."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chalice.app import Chalice, Response
from pydantic import ValidationError

from chalicelib import conversations, reconcile
from chalicelib.errors import BadRequest, NotFound, TooLarge, Unauthorised
from chalicelib.model import QUOTED_AFTER, Assignment, Runner, RunnerState, TurnState, milliseconds, seen
from chalicelib.pages import guarded_json, json_response
from chalicelib.store.runners import Bell
from chalicelib.wiring import Services
from wire import (
    SYNC_HELD_AT_MOST_MS,
    TEXT_AT_MOST_BYTES,
    WIRE_VERSION,
    Delivery,
    Hold,
    Identity,
    MessageKind,
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
    Wire,
)

#: Lambda takes 6 MB at most; a full batch of the longest texts fits.
BODY_AT_MOST_BYTES = 5_500_000
#: How often a held call looks at the bell.
BELL_LOOKED_AT_EVERY_SECONDS = 0.2
#: An idle runner calls again after this.
NEXT_CALL_MS = 3_000

Asked = TypeVar("Asked", bound=Wire)


def mount(app: Chalice, services: Services) -> None:
    """Registers the routes."""

    def door(path: str, asked: type[Asked], answer: Callable[[Services, str, Asked], Wire]) -> None:
        def view() -> Response:
            token, request = _asked(app, asked)
            return json_response(answer(services, token, request).model_dump_json(exclude_none=True))

        view.__name__ = path.strip("/").replace("/", "_")
        app.route(path, methods=["POST"], content_types=["application/json"])(guarded_json(app, view))

    door("/runner/sync", SyncRequest, sync)
    door("/runner/messages", MessagesRequest, messages)
    door("/runner/take", TakeRequest, take)
    door("/runner/sent", SentRequest, sent)
    door("/runner/release", ReleaseRequest, release)


# -- what the doors do ---------------------------------------------------------------------------------------


def sync(services: Services, token: str, request: SyncRequest) -> SyncAnswer:
    """Registers or renews, stores what changed, answers what to hold and what to deliver; held until the bell."""
    now = services.clock()
    identity = None
    if hmac.compare_digest(token.encode(), services.runner_token().encode()):
        identity, runner = _register(services, request, now)
    else:
        runner = _alive(services, token)
    by_tenant = {assignment.tenant: assignment for assignment in runner.assigned}
    changed = False
    for report in request.sessions:
        assignment = by_tenant.get(report.tenant)
        if assignment is None or assignment.epoch != report.epoch or report.sequence <= assignment.sequence:
            continue
        before = services.placement.session(report.tenant)
        after = seen(before, report, now)
        if before.epoch == report.epoch and services.placement.reported(runner, before, after):
            reconcile.tell(services, before, after, now)
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
    if renewed is not runner or identity is not None:
        claimed = reconcile.help_out(services, renewed, now)
        runner = _again(services, renewed) if claimed or changed else renewed
    elif changed:
        runner = _again(services, runner)
    bell = _wait(services, runner.id, request) if identity is None else services.runners.bell(runner.id)
    if bell.count != request.bell:
        runner = _again(services, runner)
    now = services.clock()
    epochs = {assignment.tenant: assignment.epoch for assignment in runner.assigned}
    return SyncAnswer(
        sequence=request.sequence,
        identity=identity,
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
    runner = _known(services, token)
    if not services.runners.may_still_speak(runner, request.tenant, now):
        raise Unauthorised("This runner never held this tenant.")
    return MessagesAnswer(acknowledged=tuple(conversations.hand_in(services, request.tenant, request.messages)))


def take(services: Services, token: str, request: TakeRequest) -> TakeAnswer:
    """``ready → sending`` for whom the session's epoch names; ``gone`` for everybody else."""
    now = services.clock()
    runner = _alive(services, token)
    turn = services.turns.get(request.tenant, request.chat, request.turn)
    if turn is not None and turn.state in (TurnState.READY, TurnState.SENDING):
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
    services.runners.hush(runner.id, request.turn)
    return TakeAnswer(result="gone", chat=request.chat)


def sent(services: Services, token: str, request: SentRequest) -> SentAnswer:
    """A part is on WhatsApp's server. Monotone, and not fenced."""
    now = services.clock()
    runner = _known(services, token)
    if not services.runners.may_still_speak(runner, request.tenant, now):
        raise Unauthorised("This runner never held this tenant.")
    turn = services.turns.get(request.tenant, request.chat, request.turn)
    if turn is None:
        raise NotFound("There is no such turn.")
    if request.part >= len(turn.parts) or request.message != turn.part_id(request.part):
        raise BadRequest("This message id is not this part's.")
    after, again = services.turns.sent(turn, request.part, now)
    if after.state is TurnState.SENT:
        services.runners.hush(runner.id, turn.id)
        services.placement.heard(services.placement.session(request.tenant), now, reply=True)
        if again:
            services.jobs.think(request.tenant, turn.chat, delay_seconds=0)
    return SentAnswer(done=after.state is TurnState.SENT)


def release(services: Services, token: str, request: ReleaseRequest) -> ReleaseAnswer:
    """The browser of this session is gone: it may be placed again at once, if it should run."""
    now = services.clock()
    runner = _alive(services, token)
    released = services.placement.release(request.tenant, runner.id, request.epoch, now)
    if released:
        reconcile.settle(services, request.tenant, now)
    return ReleaseAnswer(released=released)


# -- how -----------------------------------------------------------------------------------------------------


def _register(services: Services, request: SyncRequest, now: int) -> tuple[Identity, Runner]:
    secret = services.token()
    name = hashlib.sha256(services.token().encode()).hexdigest()[:20]
    runner = services.runners.register(
        name,
        _sha256(secret),
        request.capacity,
        now,
        task=request.task,
        image=request.image,
        commit=request.commit,
        chromium=request.chromium,
        wa_js=request.wa_js,
    )
    return Identity(runner=name, token=f"{name}.{secret}"), runner


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
    watched = now < assignment.watched_until
    run = assignment.wanted == Wanted.RUN and (assignment.number is not None or watched)
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


def _known(services: Services, token: str) -> Runner:
    """The runner of this token, dead or alive."""
    name, _, secret = token.partition(".")
    runner = services.runners.get(name) if name.isalnum() and secret else None
    if runner is None or not hmac.compare_digest(runner.token_sha256, _sha256(secret)):
        raise Unauthorised("This token is unknown; register again.")
    return runner


def _alive(services: Services, token: str) -> Runner:
    runner = _known(services, token)
    if runner.state is RunnerState.DEAD:
        raise Unauthorised("This runner was declared dead; register again.")
    return runner


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _asked(app: Chalice, asked: type[Asked]) -> tuple[str, Asked]:
    """Who knocks and what is asked."""
    request = app.current_request
    assert request is not None, "only called while a request is served"
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorised("This call needs a bearer token.")
    return token.strip(), _read(asked, request.raw_body)


def _read(asked: type[Asked], raw: bytes | str) -> Asked:
    if len(raw) > BODY_AT_MOST_BYTES:
        raise TooLarge(f"At most {BODY_AT_MOST_BYTES} bytes fit into one call; hand in fewer messages.")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.") from None
    if not isinstance(data, dict):
        raise BadRequest("The body is not a JSON object.")
    version = data.get("wire", WIRE_VERSION)
    if not isinstance(version, int) or not WIRE_VERSION - 1 <= version <= WIRE_VERSION:
        raise BadRequest(f"This control plane speaks wire version {WIRE_VERSION}; update the older side.")
    if asked is MessagesRequest:
        data = {**data, "messages": list(_readable(data.get("messages")))}
    try:
        return asked.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{where}: {first['msg']}") from None


def _readable(entries: Any) -> Iterator[Any]:
    """Mends what a page may produce, so that one odd message does not hold up its chat."""
    if not isinstance(entries, list):
        raise BadRequest("messages: a list is expected")
    known = {kind.value for kind in MessageKind}
    for entry in entries:
        if not isinstance(entry, dict):
            raise BadRequest("messages: each is an object")
        text = entry.get("text", "")
        text = text if isinstance(text, str) else ""
        cut = text.encode("utf-8", "replace").replace(b"\0", b"")[: TEXT_AT_MOST_BYTES + 1]
        truncated = bool(entry.get("truncated")) or len(cut) > TEXT_AT_MOST_BYTES
        yield {
            **entry,
            "text": cut[:TEXT_AT_MOST_BYTES].decode("utf-8", "ignore"),
            "truncated": truncated,
            "kind": entry.get("kind") if entry.get("kind") in known else MessageKind.OTHER.value,
        }
