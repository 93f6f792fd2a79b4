"""Stand-ins for what a runner talks to: a control plane in memory, a page, and a clock that never waits."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from runner.browser.page import NOTHING_REMEMBERED, PageObservation, PageRefused, PageSilent, SendResult, Tail
from runner.control_plane.client import ControlPlaneClient, Refused, StaleEpoch, TransientError, Unauthorised
from wire import (
    Acknowledgement,
    BellAnswer,
    BellRequest,
    CommitAnswer,
    CommitRequest,
    Delivery,
    Hold,
    Identity,
    Message,
    MessageKind,
    MessagesAnswer,
    MessagesRequest,
    Outcome,
    Part,
    Phase,
    RefusedAnswer,
    RefusedRequest,
    ReleaseAnswer,
    ReleaseRequest,
    RestoreAnswer,
    RestoreRequest,
    SentAnswer,
    SentRequest,
    SessionReport,
    SnapshotVersion,
    SyncAnswer,
    SyncRequest,
    TakeAnswer,
    TakeRequest,
    UploadAnswer,
    UploadRequest,
    Wanted,
    Wire,
)

TENANT = "tenant00001"
BOOTSTRAP = "bootstrap-token"
#: Where the links of the fake store lead.
STORE = "https://store.test/"


def message_id(tenant: str, first: str, part: int = 0) -> str:
    """The id of a reply, as `reply_id` in `model/conversation.py` has it."""
    digest = hashlib.sha256(f"r1|{tenant}|{first}|{part}|0".encode()).hexdigest()
    return "3EB0" + digest[:18].upper()


class FakeClock:
    """A clock that the test moves; each step wakes the tasks that are due."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.time = now
        self._sleepers: set[tuple[float, asyncio.Future[None]]] = set()

    def now(self) -> float:
        return self.time

    def wall_ms(self) -> int:
        return int(1_700_000_000_000 + self.time * 1000)

    async def sleep(self, seconds: float) -> None:
        await self._until(self.time + seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        ways = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._until(self.time + seconds))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
        return event.is_set()

    async def advance(self, seconds: float = 0.0, step: float = 1.0) -> None:
        """Lets every task act, then moves the time, a step at a time."""
        await settle()
        end = self.time + seconds
        while self.time < end:
            self.time = min(end, self.time + step)
            for at, future in list(self._sleepers):
                if at <= self.time and not future.done():
                    future.set_result(None)
            await settle()

    async def _until(self, end: float) -> None:
        if end <= self.time:
            await asyncio.sleep(0)
            return
        sleeper = (end, asyncio.get_running_loop().create_future())
        self._sleepers.add(sleeper)
        try:
            await sleeper[1]
        finally:
            self._sleepers.discard(sleeper)


async def settle(turns: int = 40) -> None:
    """Let every task that can run do so; ends as soon as none can."""
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        await asyncio.sleep(0)
        if not loop._ready:  # type: ignore[attr-defined]
            return


@dataclass
class Turn:
    """A reply of the fake control plane."""

    tenant: str
    chat: str
    parts: list[Part]
    quote: str | None = None
    cursor: int = 0
    #: Discarded: WhatsApp refused a part.
    ended: bool = False

    @property
    def done(self) -> bool:
        return self.ended or self.cursor >= len(self.parts)


@dataclass
class FakeControl:
    """The control plane's runner API, small but obeying the same rules.

    A session without a reported link has only history: none of its messages is kept.
    """

    holds: dict[str, Hold] = field(default_factory=dict)
    turns: dict[str, Turn] = field(default_factory=dict)
    #: What to do with a message; by default a contact's text is queued.
    outcome: Callable[[Message], Outcome] | None = None
    #: Called with each queued message; returns the texts of the reply.
    answer: Callable[[Message], list[str]] | None = None
    down: bool = False
    #: As a control plane of an earlier release.
    has_no_bell: bool = False
    answers_bell_at_once: bool = False
    syncs: list[SyncRequest] = field(default_factory=list)
    bells: list[BellRequest] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    handed_in: list[MessagesRequest] = field(default_factory=list)
    messages_seen: dict[tuple[str, str, bool], Message] = field(default_factory=dict)
    taken: list[TakeRequest] = field(default_factory=list)
    sent_parts: list[SentRequest] = field(default_factory=list)
    refused_parts: list[RefusedRequest] = field(default_factory=list)
    #: The error with which it answers the report of a refused reply, if any.
    refused_error: Exception | None = None
    releases: list[ReleaseRequest] = field(default_factory=list)
    reports: dict[str, SessionReport] = field(default_factory=dict)
    registered: int = 0
    dead: set[str] = field(default_factory=set)
    bell: int = 0
    #: Newest first, by tenant; and the content of the store.
    snapshots: dict[str, list[SnapshotVersion]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    store_down: bool = False
    restores: list[RestoreRequest] = field(default_factory=list)
    _rung: asyncio.Event = field(default_factory=asyncio.Event)
    _reported: asyncio.Event = field(default_factory=asyncio.Event)

    def hold(self, tenant: str = TENANT, epoch: int = 1, **fields: Any) -> Hold:
        self.holds[tenant] = Hold(tenant=tenant, epoch=epoch, **{"wanted": Wanted.RUN, **fields})
        self.ring()
        return self.holds[tenant]

    def ring(self) -> None:
        self.bell += 1
        self._rung.set()

    def kill(self, token: str) -> None:
        self.dead.add(token)

    async def until(self, condition: Callable[[], bool], within: float = 20.0) -> None:
        async with asyncio.timeout(within):
            while not condition():
                self._reported.clear()
                await self._reported.wait()

    async def until_report(
        self, condition: Callable[[SessionReport], bool], tenant: str = TENANT, within: float = 20.0
    ) -> SessionReport:
        await self.until(lambda: tenant in self.reports and condition(self.reports[tenant]), within)
        return self.reports[tenant]

    def _authenticate(self, token: str) -> None:
        self.tokens.append(token)
        if self.down:
            raise TransientError("down")

    async def sync(self, request: SyncRequest, token: str) -> SyncAnswer:
        self._authenticate(token)
        if token in self.dead:
            raise Unauthorised("dead")
        self.syncs.append(request)
        for report in request.sessions:
            known = self.reports.get(report.tenant)
            if known is None or (report.epoch, report.sequence) >= (known.epoch, known.sequence):
                self.reports[report.tenant] = report
                self._record_link(report)
        self._reported.set()
        identity = None
        if token == BOOTSTRAP:
            self.registered += 1
            identity = Identity(runner=f"runner{self.registered:04}", token=f"runner{self.registered:04}.secret")
        return SyncAnswer(
            identity=identity, bell=self.bell, hold=tuple(self.holds.values()), deliver=self._deliveries()
        )

    async def wait_for_bell(self, request: BellRequest, token: str) -> BellAnswer:
        self.bells.append(request)
        self._authenticate(token)
        if self.has_no_bell:
            raise TransientError("http_403")
        if token in self.dead:
            raise Unauthorised("dead")
        if request.bell == self.bell and not self.answers_bell_at_once:
            self._rung.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(request.wait_ms / 1000):
                    await self._rung.wait()
        return BellAnswer(bell=self.bell, deliver=self._deliveries())

    def _deliveries(self) -> tuple[Delivery, ...]:
        return tuple(
            Delivery(tenant=turn.tenant, epoch=self.holds[turn.tenant].epoch, chat=turn.chat, turn=name, revision=1)
            for name, turn in self.turns.items()
            if not turn.done and turn.tenant in self.holds
        )

    def _record_link(self, report: SessionReport) -> None:
        hold = self.holds.get(report.tenant)
        if hold is None or hold.epoch != report.epoch:
            return
        number = None if report.phase is Phase.LOGGED_OUT else report.number or hold.number
        self.holds[report.tenant] = hold.model_copy(update={"number": number})

    async def messages(self, request: MessagesRequest, token: str) -> MessagesAnswer:
        self._authenticate(token)
        self.handed_in.append(request)
        acknowledged = tuple(self._acknowledge(request.tenant, message) for message in request.messages)
        self._reported.set()
        return MessagesAnswer(acknowledged=acknowledged)

    def _acknowledge(self, tenant: str, message: Message) -> Acknowledgement:
        key = (message.chat, message.id, message.from_me)
        hold = self.holds.get(tenant)
        own_ids = {part.id for turn in self.turns.values() for part in turn.parts}
        if hold is not None and hold.number is None and message.id not in own_ids:
            return Acknowledgement(id=message.id, chat=message.chat, outcome=Outcome.SKIPPED, reason="history")
        first = key not in self.messages_seen
        self.messages_seen[key] = message
        if message.from_me:
            outcome = Outcome.DELIVERY if message.id in own_ids else Outcome.TAKEOVER
        elif not first:
            outcome = Outcome.DUPLICATE
        elif self.outcome is not None:
            outcome = self.outcome(message)
        else:
            outcome = Outcome.QUEUED if message.kind is MessageKind.TEXT else Outcome.SKIPPED
        if outcome is Outcome.QUEUED and self.answer is not None:
            self.reply(tenant, message, self.answer(message))
        return Acknowledgement(id=message.id, chat=message.chat, outcome=outcome)

    def reply(self, tenant: str, message: Message, texts: Sequence[str], quote: str | None = None) -> str:
        name = f"turn-{len(self.turns):04}"
        parts = [Part(id=message_id(tenant, message.id, index), text=text) for index, text in enumerate(texts)]
        self.turns[name] = Turn(tenant, message.chat, parts, quote)
        self.ring()
        return name

    async def take(self, request: TakeRequest, token: str) -> TakeAnswer:
        self._authenticate(token)
        if token in self.dead:
            raise Unauthorised("dead")
        if self.holds[request.tenant].epoch != request.epoch:
            raise StaleEpoch("epoch")
        self.taken.append(request)
        turn = self.turns.get(request.turn)
        if turn is None or turn.done:
            return TakeAnswer(result="gone", chat=request.chat)
        return TakeAnswer(
            result="taken",
            chat=turn.chat,
            revision=1,
            parts=tuple(turn.parts),
            cursor=turn.cursor,
            quote=turn.quote,
        )

    async def sent(self, request: SentRequest, token: str) -> SentAnswer:
        self._authenticate(token)
        self.sent_parts.append(request)
        turn = self.turns[request.turn]
        turn.cursor = max(turn.cursor, request.part + 1)
        self._reported.set()
        return SentAnswer(done=turn.cursor >= len(turn.parts))

    async def refused(self, request: RefusedRequest, token: str) -> RefusedAnswer:
        self._fence(request.tenant, request.epoch, token)
        self.refused_parts.append(request)
        if self.refused_error is not None:
            raise self.refused_error
        turn = self.turns[request.turn]
        turn.ended = True
        self._reported.set()
        return RefusedAnswer(ended=True)

    async def release(self, request: ReleaseRequest, token: str) -> ReleaseAnswer:
        self._authenticate(token)
        self.releases.append(request)
        hold = self.holds.get(request.tenant)
        if hold is None or hold.epoch != request.epoch:
            raise StaleEpoch("epoch")
        del self.holds[request.tenant]
        self._reported.set()
        return ReleaseAnswer(released=True)

    # -- snapshots, and the store they are in ---------------------------------------------------------------------

    async def upload(self, request: UploadRequest, token: str) -> UploadAnswer:
        self._fence(request.tenant, request.epoch, token)
        order = f"{request.epoch:016d}-{request.sequence:06d}"
        key = f"profiles/{request.tenant}/{order}-{request.sha256}.tar.zst"
        return UploadAnswer(key=key, url=f"{STORE}{key}", headers={"Content-Length": str(request.size_bytes)})

    async def commit(self, request: CommitRequest, token: str) -> CommitAnswer:
        self._fence(request.tenant, request.epoch, token)
        [key] = [key for key in self.stored if request.sha256 in key]
        version = SnapshotVersion(key=key, url=f"{STORE}{key}", **request.model_dump(exclude={"wire", "tenant"}))
        kept = self.snapshots.setdefault(request.tenant, [])
        if kept and (kept[0].epoch, kept[0].sequence) >= (version.epoch, version.sequence):
            return CommitAnswer(committed=version.key in {each.key for each in kept})
        kept.insert(0, version)
        self._reported.set()
        return CommitAnswer(committed=True)

    async def restore(self, request: RestoreRequest, token: str) -> RestoreAnswer:
        self._fence(request.tenant, request.epoch, token)
        self.restores.append(request)
        kept = self.snapshots.get(request.tenant, [])
        return RestoreAnswer(generations=tuple(one for one in kept if one.key not in request.failed))

    async def put(self, url: str, headers: Mapping[str, str], path: Path) -> None:
        if self.store_down:
            raise TransientError("store_503")
        assert headers["Content-Length"] == str(path.stat().st_size)
        self.stored[url.removeprefix(STORE)] = path.read_bytes()

    async def fetch(self, url: str, path: Path, max_bytes: int) -> None:
        if self.store_down:
            raise TransientError("store_503")
        content = self.stored.get(url.removeprefix(STORE))
        if content is None:
            raise Refused("store_404")
        path.write_bytes(content[:max_bytes])

    def _fence(self, tenant: str, epoch: int, token: str) -> None:
        self._authenticate(token)
        hold = self.holds.get(tenant)
        if hold is None or hold.epoch != epoch:
            raise StaleEpoch("epoch")


class FakeClient(ControlPlaneClient):
    """The runner's own client, whose calls arrive at a fake control plane instead of the network."""

    def __init__(self, control: FakeControl, token: str = "runner0001.secret") -> None:
        super().__init__(cast(Any, None), cast(Any, None), "", token)
        self._control = control

    def bound_to(self, token: str) -> FakeClient:
        return FakeClient(self._control, token)

    async def put(self, url: str, headers: Mapping[str, str], path: Path) -> None:
        await self._control.put(url, headers, path)

    async def fetch(self, url: str, path: Path, max_bytes: int) -> None:
        await self._control.fetch(url, path, max_bytes)

    async def _post(self, path: str, request: Wire, answer: type[Any], timeout_seconds: float = 0.0) -> Any:
        name = "wait_for_bell" if path == "bell" else path.rpartition("/")[2]
        return await getattr(self._control, name)(request, self._token)


@dataclass
class FakePage:
    """A WhatsApp Web page in memory; ``answers`` and ``error`` steer it."""

    observation: PageObservation = field(default_factory=PageObservation)
    messages: list[dict[str, Any]] = field(default_factory=list)
    own: dict[tuple[str, str], int] = field(default_factory=dict)
    sent: list[tuple[str, str, str, str | None]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    typing: list[tuple[str, bool]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    #: What a document was told when it was new: keys and their seconds; None before.
    remembered: dict[str, int] | None = None
    proof: bool = True
    offline: bool = False
    error: Exception | None = None
    memory: int = 0
    #: It answers no look, as while it boots.
    is_busy: bool = False
    #: Chats that the page cannot read.
    unreadable: set[str] = field(default_factory=set)
    #: The acks of the server for the next sends, also of the same message again; afterwards 1.
    acks: list[int] = field(default_factory=list)
    resent: list[tuple[str, str]] = field(default_factory=list)
    #: The chats in which a restricted account may not write.
    forbidden: set[str] = field(default_factory=set)

    def receive(self, message: str, text: str = "hello", *, at_s: int, chat: str = "49170@c.us", **fields: Any) -> None:
        self.messages.append(
            {
                "key": f"{chat}|{message}|{fields.get('kind', 'text')}",
                "id": message,
                "chat": chat,
                "from_me": False,
                "sent_at_s": at_s,
                "kind": "text",
                "text": text,
                "name": "Ann",
                **fields,
            }
        )

    def _call(self, what: str) -> None:
        self.calls.append(what)
        if self.error is not None:
            raise self.error

    async def load(self) -> None:
        self._call("load")

    async def observe(self) -> PageObservation:
        self._call("observe")
        if self.is_busy:
            raise PageSilent("observe: no answer")
        return self.observation

    async def prove(self) -> bool:
        self._call("prove")
        return self.proof

    async def refresh_qr(self) -> None:
        self._call("refresh_qr")

    async def pair(self, digits: str) -> None:
        self._call(f"pair {digits}")

    async def take_over(self) -> None:
        self._call("take_over")

    async def set_offline(self, offline: bool) -> None:
        self._call(f"set_offline {offline}")
        self.offline = offline

    async def confirm_dialog(self) -> bool:
        self._call("confirm_dialog")
        return True

    async def memory_bytes(self) -> int:
        self._call("memory_bytes")
        return self.memory

    async def tail(self, since_s: Mapping[str, int], since_default_s: int, limit: int) -> Tail:
        self._call("tail")
        if self.remembered is None:
            raise PageRefused(NOTHING_REMEMBERED)
        found = [
            message
            for message in self.messages
            if message["chat"] not in self.unreadable
            and message["key"] not in self.done
            and message["key"] not in self.remembered
            and (message.get("changed") or message["sent_at_s"] >= since_s.get(message["chat"], since_default_s))
        ]
        found.sort(key=lambda message: int(message["sent_at_s"]))
        chats = {message["chat"] for message in self.messages}
        failed = chats & self.unreadable
        return Tail(found[:limit], len(failed), not failed or failed != chats)

    async def acknowledge(self, keys: Sequence[str]) -> None:
        self._call("acknowledge")
        self.done.update(keys)

    async def remember(self, handed_in: Mapping[str, int]) -> None:
        self._call("remember")
        self.remembered = dict(handed_in)

    def forget(self) -> None:
        """Becomes a new document, which knows nothing of what was read from the one before."""
        self.done.clear()
        self.remembered = None

    async def find(self, chat: str, message: str) -> int | None:
        self._call("find")
        return self.own.get((chat, message))

    async def send(self, chat: str, message: str, text: str, quote: str | None) -> SendResult:
        self._call("send")
        if (chat, message) in self.own:
            raise PageRefused("the same id twice")
        self.sent.append((chat, message, text, quote))
        ack = self.acks.pop(0) if self.acks else 1
        self.own[(chat, message)] = ack
        return SendResult(ack)

    async def resend(self, chat: str, message: str) -> SendResult:
        self._call("resend")
        if self.own[chat, message] >= 0:
            raise PageRefused("only what failed")
        self.resent.append((chat, message))
        ack = self.acks.pop(0) if self.acks else 1
        self.own[chat, message] = ack
        return SendResult(ack)

    async def may_send(self, chat: str) -> bool:
        self._call("may_send")
        return chat not in self.forbidden

    async def mark_seen(self, chat: str) -> None:
        self._call("mark_seen")
        self.seen.append(chat)

    async def show_typing(self, chat: str, typing: bool) -> None:
        self._call("show_typing")
        self.typing.append((chat, typing))
