"""Histories of notices: lines that break and recover for hours while SES, the queue and the senders fail.

The control plane's own code and table, each call a worker that may die between two of its steps; a runner that only
reports; SES and the webhook as models; records that become unreadable; and quiet hours. The verdict asks what was
taken, and what the table says about the lines.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from chalicelib.errors import TransientError
from chalicelib.model import Assistant, Policies, Problem, Tenant, TenantState, apply_report
from chalicelib.model.notices.digest import DigestLine
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import NoticeLine, Subject
from chalicelib.model.scaling import Service
from chalicelib.notifications import notice_jobs
from chalicelib.notifications.webhook import TIMEOUT_SECONDS
from chalicelib.reconcilers import reconcile
from chalicelib.rendering.notice_sentences import notice_sentence
from chalicelib.sessions import reports
from chalicelib.store.table import Attr, ConditionFailed, Update
from tests.simulation.cloud import EPOCH_MS, Cloud, Worker, worker
from tests.simulation.loop import VirtualLoop
from wire import Phase, ProblemCode, SessionReport

RUNNER = "runneraaaa"
#: The people whom the operators' mail goes to, and all channels to them.
OPERATORS = ("first@agency.example", "second@agency.example")
WEBHOOK = "webhook"
CHANNELS = (*OPERATORS, WEBHOOK)
#: What the webhook's text says of a line → what that is.
SENTENCES = {
    notice_sentence(NoticeLine("", kind, subject, 0, "")): (kind, subject)
    for kind in (
        NoticeKind.DISCONNECTED,
        NoticeKind.LINE_DOWN,
        NoticeKind.PASSKEY,
        NoticeKind.CONFLICT,
        NoticeKind.BLOCKED,
        NoticeKind.KEY_REVOKED,
        NoticeKind.OUT_OF_CREDIT,
    )
    for subject in (Subject.NEWS, Subject.ALL_CLEAR)
}
HEARTBEAT_SECONDS = 30.0
#: The minute's loop, and how often it runs once nothing fails any more.
MINUTE_SECONDS, QUIET_MINUTE_SECONDS = 60.0, 240.0
#: Lines and people change every so many seconds on average, until the quiet hours of the verdict.
CHANGES_EVERY_SECONDS = 200.0
TROUBLED_SECONDS = 3 * 3600.0
#: After the last change everything that is held for 6 h is sent.
QUIET_SECONDS = 7 * 3600.0
HELD_SECONDS = 6 * 3600.0
#: A sender that read the table may send so much later; Lambda ends it after 60 s.
LATE_SECONDS = 65.0
#: A batch that one operator got is completed as it was: the others may get it so much later.
COMPLETED_SECONDS = 900.0

#: What a runner reports of a linked line, by a name for the trace.
REPORTS: tuple[tuple[Phase, ProblemCode | None], ...] = (
    (Phase.ONLINE, None),
    (Phase.ONLINE, None),
    (Phase.OFFLINE, None),
    (Phase.STARTING, None),
    (Phase.LOGGED_OUT, None),
    (Phase.CONFLICT, ProblemCode.CONFLICT),
    (Phase.BLOCKED, ProblemCode.BLOCKED),
    (Phase.PASSKEY_REQUIRED, ProblemCode.PASSKEY),
    (Phase.QR, None),
)


@dataclass(frozen=True)
class NoticePlan:
    """The faults of a history of notices, with their rates (0 to 1)."""

    tenants: int = 4
    #: Operators pause and resume lines, and owners have their pages open.
    people: bool = True
    worker_dies: float = 0.1
    worker_freezes: float = 0.0005
    database_busy: float = 0.002
    jobs_lost: float = 0.2
    index_lag_seconds: float = 2.0
    #: SES is down for so many seconds at a time, so often in a history.
    outages: int = 2
    outage_seconds: tuple[float, float] = (600.0, 5400.0)
    #: A call of SES fails otherwise, or takes this long.
    mail_fails: float = 0.1
    mail_takes_seconds: float = 8.0
    #: A record of the last tenant, and later the operators' batch, become unreadable; nobody mends the tenant's.
    unreadable: bool = True
    #: From when to when, in seconds of the history, people hear only of what cannot wait.
    quiet: tuple[float, float] = (3600.0, 5 * 3600.0)


@dataclass
class Mail:
    """A notice that SES took."""

    to: str
    tenant: str
    kind: NoticeKind
    subject: Subject
    at: float
    sender: Worker


@dataclass
class Post:
    """SES: takes mails, is slow, or is down."""

    cloud: Cloud
    chance: random.Random
    plan: NoticePlan
    down: bool = False
    healed: bool = False
    taken: list[Mail] = field(default_factory=list)
    #: Each attempt: to whom, about which tenant and what, and by which sender.
    begun: list[tuple[str, str, NoticeKind, Worker]] = field(default_factory=list)

    def notify_owner(self, tenant: Tenant, kind: NoticeKind, subject: Subject, since: int, link: str) -> str:
        return self._take(tenant.owner_email, [(tenant.id, kind, subject)])

    def number_linked(self, tenant: Tenant, number: str, link: str) -> str:
        return self._take(tenant.owner_email, [(tenant.id, NoticeKind.NUMBER_LINKED, Subject.NEWS)])

    def notify_operators(self, operator: str, lines: Sequence[NoticeLine], overview: str) -> str:
        return self._take(operator, [(line.link.rpartition("/")[2], line.kind, line.subject) for line in lines])

    def send_digest(self, operator: str, lines: Sequence[DigestLine], overview: str) -> str:
        return self._take(operator, [])

    def post_webhook(self, url: str, body: bytes) -> int:
        found = []
        for text in json.loads(body)["text"].splitlines():
            told, _, link = text.partition(": ")[2].rpartition(" ")
            if told in SENTENCES:
                found.append((link.rpartition("/")[2], *SENTENCES[told]))
        try:
            self._take(WEBHOOK, found)
        except TransientError:
            return 503
        return 200

    def _take(self, to: str, notices: list[tuple[str, NoticeKind, Subject]]) -> str:
        self.begun += [(to, tenant, kind, worker()) for tenant, kind, _ in notices]
        self.cloud.step("mail")
        longest = min(self.plan.mail_takes_seconds, TIMEOUT_SECONDS) if to == WEBHOOK else self.plan.mail_takes_seconds
        self.cloud.pause(self.chance.uniform(0.05, longest if not self.healed else 0.2))
        self.cloud.step("mail")
        if not self.healed and (self.down or self.chance.random() < self.plan.mail_fails):
            raise TransientError("The mail service is busy; this will be tried again.")
        now = self.cloud.loop.time()
        self.taken += [Mail(to, *notice, now, worker()) for notice in notices]
        return "mail-id"


class NoticeHistory:
    """The history of one seed."""

    def __init__(self, seed: int, plan: NoticePlan | None = None) -> None:
        self.plan = plan or NoticePlan()
        self.loop = VirtualLoop()
        self.chance = random.Random(f"{seed}/notices")
        self.cloud = Cloud(self.loop, random.Random(f"{seed}/cloud"), lambda *_, **__: None)
        self.post = Post(self.cloud, random.Random(f"{seed}/mail"), self.plan)
        self.violations: list[str] = []
        self.tenants = [f"tenant{number:04d}" for number in range(self.plan.tenants)]
        #: By tenant and kind: when it became true and stopped being so, as the table says.
        self.spans: dict[tuple[str, NoticeKind], list[list[float]]] = defaultdict(list)
        #: By tenant and kind: when other news, or a code that is shown, took its place.
        self.dropped: dict[tuple[str, NoticeKind], list[float]] = defaultdict(list)
        self.paused_at_last: set[str] = set()
        services = self.services = self.cloud.services
        hours = "-".join(f"{datetime.fromtimestamp(EPOCH_MS / 1000 + at, UTC):%H:%M}" for at in self.plan.quiet)
        settings = {"OPERATORS_EMAIL": ",".join(OPERATORS), "QUIET_HOURS": f"{hours} UTC"}
        services._environment = {**services._environment, **settings}
        services.webhook_url = lambda: "https://hooks.example.com/x"  # type: ignore[method-assign]
        services.post_webhook = self.post.post_webhook  # type: ignore[method-assign]
        services.__dict__.update(mailer=self.post, fleet=_Fleet())
        self.cloud.table.watchers.append(self._written)

    def run(self) -> list[str]:
        """Runs the history; returns the violations of its promises."""
        random.seed(repr(self.tenants))
        try:
            self.loop.run_until_complete(self._play())
            self._judge()
        finally:
            self.cloud.end()
            self.loop.abandon()
        return [*self.violations, *self.loop.errors]

    async def _play(self) -> None:
        services = self.services
        services.runners.register(RUNNER, "0" * 64, 25, services.clock(), task="task-a")
        await asyncio.sleep(5.0)  # until the indexes know it
        self._found()
        self.loop.after(0.0, self._reconcile)
        self.loop.after(0.0, self._heartbeat)
        rates, plan = self.cloud.rates, self.plan
        rates.dies, rates.frozen, rates.busy = plan.worker_dies, plan.worker_freezes, plan.database_busy
        rates.checks_lost, rates.index_lag_seconds = plan.jobs_lost, plan.index_lag_seconds
        for _ in range(plan.outages):
            begins = self.chance.uniform(0, TROUBLED_SECONDS)
            self.loop.after(begins, setattr, self.post, "down", True)
            self.loop.after(begins + self.chance.uniform(*plan.outage_seconds), setattr, self.post, "down", False)
        if plan.unreadable:
            item = self.chance.choice((("SESSION", {"since": "x"}), ("TENANT", {"policies": ["x"]})))
            broken = Update(f"TENANT#{self.tenants[-1]}", item[0], set=item[1])
            self.loop.after(self.chance.uniform(600, TROUBLED_SECONDS / 2), self._damage, broken)
            unclaimed = Attr("claim").not_exists()  # else a mail on its way is repeated
            batch = Update("NOTICES", "OPERATORS", set={"batch": "x", "next_at": "x"}, when=unclaimed)
            self.loop.after(self.chance.uniform(TROUBLED_SECONDS / 2, TROUBLED_SECONDS), self._damage, batch)
        self.loop.after(60.0, self._change)
        await asyncio.sleep(TROUBLED_SECONDS)
        self._heal()
        await asyncio.sleep(QUIET_SECONDS)

    def _reconcile(self) -> None:
        self.loop.after(QUIET_MINUTE_SECONDS if self.post.healed else MINUTE_SECONDS, self._reconcile)
        self.cloud.call("reconcile", lambda: reconcile.reconcile(self.services))

    def _damage(self, write: Update) -> None:
        def damage() -> None:
            try:
                self.services.table.update(write)
            except ConditionFailed:
                self.loop.after(20.0, self._damage, write)

        self.cloud.call("damage", damage, mortal=False)

    def _heal(self) -> None:
        rates = self.cloud.rates
        rates.dies = rates.frozen = rates.busy = rates.checks_lost = 0.0
        self.post.healed = True

    # -- lines -----------------------------------------------------------------------------------------------------

    def _found(self) -> None:
        services = self.services
        for tenant in self.tenants:
            created = Tenant(
                id=tenant,
                name=tenant,
                owner_email=f"{tenant}@example.com",
                language="en",
                state=TenantState.ACTIVE,
                revision=1,
                created_at=EPOCH_MS,
                assistant_version=1,
                key_ciphertext="sealed",
                key_last4="abcd",
                policies=Policies(),
            )
            services.tenants.create(created, Assistant(1, "model", "Answer."), by="operator")
            self._report_now(tenant, Phase.ONLINE, None)

    def _report_now(self, tenant: str, phase: Phase, problem: ProblemCode | None) -> None:
        services, now = self.services, self.services.clock()
        session = services.sessions.get(tenant)
        if session.runner is None:
            services.placement.keep_awake(tenant, now, by_owner=False)
            session = services.sessions.get(tenant)
        holder = services.runners.get(RUNNER)
        if holder is None or session.runner != RUNNER:
            return
        number = "491500000001" if phase is Phase.ONLINE else None
        report = SessionReport(
            tenant=tenant,
            epoch=session.epoch,
            sequence=session.sequence + 1,
            phase=phase,
            problem=problem,
            number=number,
        )
        if self.stores_apart:
            assert services.sessions.record_report(holder, session, apply_report(session, report, now))
        else:
            reports.store(services, holder, [report], now)

    #: True only in a mutation.
    stores_apart = False

    def _heartbeat(self) -> None:
        self.loop.after(HEARTBEAT_SECONDS, self._heartbeat)

        def beat() -> None:
            holder = self.services.runners.get(RUNNER)
            if holder is not None:
                probes = dict.fromkeys(self.tenants, self.services.clock())
                self.services.runners.renew_lease(
                    holder, self.services.clock(), capacity=25, draining=False, probes=probes
                )

        self.cloud.call("runner", beat, mortal=False)

    def _change(self) -> None:
        """Lets one line break or recover, a person pause it, or its owner look; then goes on."""
        if self.post.healed:
            for tenant in self.tenants:
                self._call(tenant, lambda tenant=tenant: self._set_state(tenant, TenantState.ACTIVE))
            return
        self.loop.after(self.chance.expovariate(1 / CHANGES_EVERY_SECONDS), self._change)
        tenant, dice = self.chance.choice(self.tenants), self.chance.random()
        if dice < 0.5:
            phase, problem = self.chance.choice(REPORTS)
            self._call(tenant, lambda: self._report_now(tenant, phase, problem))
        elif dice < 0.85:
            self._call(tenant, lambda: self._change_assistant(tenant))
        elif not self.plan.people:
            return
        elif dice < 0.92:
            state = self.chance.choice((TenantState.ACTIVE, TenantState.PAUSED))
            self._call(tenant, lambda: self._set_state(tenant, state))
        else:
            self._call(tenant, lambda: self._look(tenant))

    def _call(self, tenant: str, work: Any) -> None:
        self.cloud.call("door change", work)

    def _change_assistant(self, tenant: str) -> None:
        services, now = self.services, self.services.clock()
        code = self.chance.choice((None, ProblemCode.KEY_REVOKED, ProblemCode.OUT_OF_CREDIT))
        if code is None:
            services.tenants.clear_assistant_problem(tenant, now=now)
        elif services.tenants.set_assistant_problem(tenant, Problem(code, now)):
            notice_jobs.request_of_problem(services, tenant, code)

    def _set_state(self, tenant: str, state: TenantState) -> None:
        self.services.tenants.set_state(tenant, state, now=self.services.clock(), by="operator")

    def _look(self, tenant: str) -> None:
        self.services.sessions.keep_awake(self.services.sessions.get(tenant), self.services.clock())

    # -- the truth -------------------------------------------------------------------------------------------------

    def _written(self, key: tuple[str, str], before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        """Notes what became true of a line and what stopped being so, from the attributes that pages show."""
        if key[1] not in ("SESSION", "TENANT") or after is None:
            return
        tenant, now = key[0].removeprefix("TENANT#"), self.loop.time()
        true: set[NoticeKind] = set()
        if key[1] == "TENANT":
            asked = {NoticeKind.KEY_REVOKED, NoticeKind.OUT_OF_CREDIT}
            if after.get("assistant_problem"):
                true = {NoticeKind(after["assistant_problem"]["code"])}
        else:
            asked = {NoticeKind.DISCONNECTED, NoticeKind.CONFLICT, NoticeKind.BLOCKED, NoticeKind.PASSKEY}
            held = {kind for kind in asked if self._is_true(tenant, kind)}
            problem = after.get("problem")
            if after["phase"] != "online":
                linked = (before or {}).get("number") is not None
                lasting = held & (
                    {NoticeKind.DISCONNECTED} if linked else {NoticeKind.DISCONNECTED, NoticeKind.PASSKEY}
                )
                true = lasting if problem or (after["phase"] == "qr" and not linked) else held
                if after["phase"] == "logged_out" and linked:
                    true = (true | {NoticeKind.DISCONNECTED}) - {NoticeKind.PASSKEY}
            if problem:
                true = true | {NoticeKind(problem["code"])}
        for kind in asked:
            spans = self.spans[tenant, kind]
            is_open = self._is_true(tenant, kind)
            if kind in true and not is_open:
                spans.append([now, float("inf")])
            elif kind not in true and is_open:
                spans[-1][1] = now
                if key[1] == "SESSION" and after["phase"] != "online":
                    self.dropped[tenant, kind].append(now)

    def _is_true(self, tenant: str, kind: NoticeKind) -> bool:
        spans = self.spans[tenant, kind]
        return bool(spans) and spans[-1][1] == float("inf")

    # -- the verdict -----------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        heard: dict[tuple[str, str, NoticeKind], list[Mail]] = defaultdict(list)
        for mail in self.post.taken:
            heard[mail.to, mail.tenant, mail.kind].append(mail)
        for (_, tenant, kind), mails in heard.items():
            if (tenant, kind) in self.spans:
                self._judge_order(tenant, kind, mails)
        self._judge_quiet_hours()
        unread = {self.tenants[-1]} if self.plan.unreadable else set()
        for (tenant, kind), spans in self.spans.items():
            for to in (f"{tenant}@example.com", *CHANNELS) if tenant not in unread else ():
                last = heard[to, tenant, kind][-1] if heard[to, tenant, kind] else None
                if self._is_true(tenant, kind) and (last is None or last.subject is Subject.ALL_CLEAR):
                    self._report("unheard", f"{to} does not know that {tenant} is {kind} since {spans[-1][0]:.0f}")
                elif last is not None and self._awaits_all_clear(tenant, kind, last):
                    self._report("no all-clear", f"{to} does not know that {tenant} is no longer {kind}")

    def _judge_quiet_hours(self) -> None:
        begins, ends = self.plan.quiet
        for mail in self.post.taken:
            waits = mail.subject is not Subject.NEWS and mail.kind is not NoticeKind.NUMBER_LINKED
            if waits and begins + 60 + COMPLETED_SECONDS < mail.at < ends - 60:
                self._report("at night", f"{mail.to} heard {mail.subject} of {mail.tenant} at {mail.at:.0f}")

    def _awaits_all_clear(self, tenant: str, kind: NoticeKind, last: Mail) -> bool:
        over = last.subject is not Subject.ALL_CLEAR and not self._is_true(tenant, kind)
        return over and not self._was_replaced(tenant, kind, last.at)

    def _judge_order(self, tenant: str, kind: NoticeKind, mails: list[Mail]) -> None:
        spans = self.spans[tenant, kind]
        for before, mail in zip([None, *mails[:-1]], mails, strict=True):
            is_news = mail.subject is not Subject.ALL_CLEAR
            late = COMPLETED_SECONDS if mail.to in CHANNELS else LATE_SECONDS
            near = any(begins <= mail.at and mail.at - late <= ends for begins, ends in spans)
            if is_news and not near:
                self._report("untrue", f"{mail.to} heard at {mail.at:.0f} that {tenant} is {kind}")
            if mail.subject is Subject.ALL_CLEAR and before is None and not self._may_have_had_news(mail):
                self._report("untrue", f"{mail.to} got an all-clear of {kind} without its news")
            if before is None or before.subject is not mail.subject or mail.subject is Subject.REMINDER:
                continue
            if mail.subject is Subject.NEWS and self._was_replaced(tenant, kind, before.at):
                continue
            if before.sender in self.cloud.unfinished:
                continue  # it died before it could record the mail
            self._report(
                "twice", f"{mail.to} heard {mail.subject} of {tenant} {kind} at {before.at:.0f}, {mail.at:.0f}"
            )
        news = [mail for mail in mails if mail.subject is Subject.NEWS]
        for first, second in pairwise(news):
            between = [mail for mail in mails if first.at < mail.at < second.at]
            began = self._began(first)
            if second.at - began < HELD_SECONDS - LATE_SECONDS and between:
                self._report("too often", f"{first.to} heard of {tenant} {kind} at {first.at:.0f}, {second.at:.0f}")

    def _may_have_had_news(self, mail: Mail) -> bool:
        """Returns whether a sender died while it sent a channel the news: an all-clear too much is better then."""
        news = (mail.to, mail.tenant, mail.kind)
        died = any(begun[:3] == news and begun[3] in self.cloud.unfinished for begun in self.post.begun)
        # Before a call of the webhook its sender counts the tries, and may die there.
        return (mail.to in CHANNELS and died) or (mail.to == WEBHOOK and bool(self.cloud.unfinished))

    def _began(self, mail: Mail) -> float:
        """Returns when the first of those who are mailed together got this news: it is held from then on."""
        same = [
            each.at
            for each in self.post.taken
            if (each.tenant, each.kind, each.subject) == (mail.tenant, mail.kind, mail.subject) and each.to in CHANNELS
        ]
        return min([mail.at, *(at for at in same if mail.to in CHANNELS and mail.at - TROUBLED_SECONDS < at)])

    def _was_replaced(self, tenant: str, kind: NoticeKind, since: float) -> bool:
        """Returns whether other news of the same line took its place since: then nobody gets an all-clear."""
        if any(at >= since - LATE_SECONDS for at in self.dropped[tenant, kind]):
            return True
        ended = [ends for _, ends in self.spans[tenant, kind] if ends >= since - LATE_SECONDS]
        others = [spans for (other, one), spans in self.spans.items() if other == tenant and one != kind]
        begun = [begins for spans in others for begins, _ in spans]
        return any(abs(end - begin) < 1.0 for end in ended for begin in begun)

    def _report(self, kind: str, what: str) -> None:
        self.violations.append(f"{kind}: {what}")


class _Fleet:
    """An ECS service with one task that never changes."""

    def service(self) -> Service:
        return Service(1, False)

    def set_desired(self, count: int) -> None:
        pass

    def scale_out(self, *_: Any) -> None:
        pass

    def runs(self, task: str) -> bool:
        return True

    def protect(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        return set(tasks)

    renew = protect

    def unprotect(self, task: str) -> bool:
        return True


def play(seed: int, plan: NoticePlan | None = None) -> list[str]:
    """Runs the history of this seed; returns the violations."""
    return NoticeHistory(seed, plan).run()
