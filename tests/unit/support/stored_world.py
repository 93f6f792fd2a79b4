"""A small world, written through the stores: every kind of item, attribute and stored value, with fixed names.

`tests/fixtures/written_by_084ff81/items.json` is what this module wrote with the code of 084ff81.
"""

import hashlib
import itertools
from datetime import timedelta
from typing import Any

from chalicelib.model import (
    Assistant,
    Event,
    EventKind,
    GroupAnswers,
    Invite,
    Policies,
    Problem,
    Runner,
    SnapshotVersion,
    Tenant,
    TenantState,
    apply_report,
    snapshot_key,
)
from chalicelib.store.counters import Counters
from chalicelib.store.drains import Drains
from chalicelib.store.fleet.tasks import Tasks
from chalicelib.store.invites import Invites
from chalicelib.store.operators import Operators, OperatorSession, SignInStep, StepKind
from chalicelib.store.placement import Placement
from chalicelib.store.runners import Runners
from chalicelib.store.sessions import Sessions
from chalicelib.store.snapshots import Snapshots
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.support.stored_chats import DAY, HOUR, MINUTE, SECOND, StoredChats, stored
from wire import Code, Phase, ProblemCode, SessionReport

#: 2026-09-21, as epoch milliseconds of the control plane.
START = 1_790_000_000_000

#: Its line answers; every attribute of a tenant is set.
BAKERY = "bakery0001"
#: Its owner types a pairing code at this moment; its runner drains.
FLORIST = "florist001"
#: Its phone ended the link, and the owner was not notified yet.
GARAGE = "garage0001"
#: Two runners gave its session up, and it waits for the next one.
HOTEL = "hotel00001"

HOLDER, DRAINED, ENDING, SILENT, DEAD = (f"runner000{number}" for number in range(1, 6))
OPERATOR = "operator@example.com"
BAKERY_NUMBER, CONTACT_NUMBER = "15550100", "15550111"
CHROMIUM, WA_JS = "156.0.7900.1", "4.2.0"

#: The archive `snapshot.tar.zst` beside the items, which the bakery's newest snapshot names.
SNAPSHOT_SHA256 = "ad7a82d12a72057afd35212c81224089002aff60c09e88ee745f9c84d16b17a7"
SNAPSHOT_BYTES = 515
SNAPSHOT_SEQUENCE = 2


def sha256(text: str) -> str:
    """The hash under which a token of this world is stored."""
    return hashlib.sha256(text.encode()).hexdigest()


class StoredWorld:
    """Writes the world into an empty table.

    Args:
        table: any table that keeps what it is given.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        ids = itertools.count(1)
        self.timeline = Timeline(table, new_id=lambda: f"{next(ids):08x}")
        self.tenants = Tenants(table, self.timeline)
        self.invites = Invites(table, self.timeline)
        self.operators = Operators(table)
        self.counters = Counters(table)
        self.runners = Runners(table)
        self.sessions = Sessions(table, self.runners)
        self.placement = Placement(table, self.runners, self.sessions, release="image:2")
        self.drains = Drains(table, self.runners)
        self.tasks = Tasks(table, self.runners)
        self.snapshots = Snapshots(table, self.sessions)
        self.now = START

    def write(self) -> None:
        """Writes the world in the order of its events."""
        self._people()
        self._runners()
        self._bakery()
        self._florist()
        self._garage()
        self._hotel()
        chats = StoredChats(self._table, self.now)
        chats.write(BAKERY, HOLDER, self.sessions.get(BAKERY).epoch)
        self.now = chats.now
        self._leaving()

    # -- people -----------------------------------------------------------------------------------------------

    def _people(self) -> None:
        for number, (id, name) in enumerate(
            [(BAKERY, "Bakery Crumb"), (FLORIST, "Florist Petal"), (GARAGE, "Garage Spark"), (HOTEL, "Hotel Sunrise")]
        ):
            tenant = Tenant(
                id=id,
                name=name,
                owner_email=f"owner@{name.split()[0].lower()}.example.com",
                language=("de", "en", "fr", "es")[number],
                state=TenantState.ACTIVE,
                revision=1,
                created_at=self.now,
                assistant_version=1,
                key_ciphertext=f"ciphertext-{number}",
                key_last4=f"k{number:03d}",
            )
            invite = Invite(sha256(f"invite-{id}"), id, self.now)
            self.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by=OPERATOR, invite=invite)
        self.now += MINUTE
        policies = Policies(
            groups=GroupAnswers.ALWAYS,
            takeover_minutes=45,
            replies_per_minute=5,
            replies_per_contact_per_day=50,
            tokens_per_month=900_000,
            history_messages=15,
            retention_days=20,
            ignored_phones=("15550122",),
            allowed_phones=(CONTACT_NUMBER, "15550133"),
            give_up_text="Please call us.",
        )
        assistant = Assistant(
            version=0,
            model="gpt-6-luna",
            instructions="Answer questions about bread.",
            max_output_tokens=800,
            reasoning_effort="low",
            verbosity="medium",
            temperature=0.5,
            vector_store_ids=("vs_1", "vs_2"),
            web_search=True,
            legacy_reference="asst_1",
        )
        changes = {"policies": policies, "owner_email": "new-owner@bakery.example.com"}
        self.tenants.edit(BAKERY, changes, expected_revision=1, now=self.now, by=OPERATOR, assistant=assistant)
        problem = Problem(ProblemCode.KEY_REVOKED, self.now, "OpenAI refused the key.")
        self.tenants.set_assistant_problem(BAKERY, problem)
        problem = Problem(ProblemCode.MAIL_BOUNCED, self.now, "The owner's mail server refuses this address (5.1.1).")
        self.tenants.set_mail_problem(BAKERY, problem)
        self.tenants.set_mail_problem(GARAGE, problem)
        self.tenants.clear_mail_problem(GARAGE, now=self.now + SECOND, by=OPERATOR)
        self._invites()
        self._operators()
        self._counted()
        for happened in stored(EventKind):
            self.timeline.record(Event(HOTEL, self.now, happened, f"detail of {happened}", "owner"))

    def _invites(self) -> None:
        invites = self.invites
        invites.open(sha256(f"invite-{BAKERY}"), sha256("browser-1"), now=self.now)
        # 084ff81 recorded no browser that took over: this one's events count apart, so that all others keep their keys
        apart = Invites(self._table, Timeline(self._table))
        apart.bind(sha256(f"invite-{BAKERY}"), sha256("browser-2"), instead_of=sha256("browser-1"), now=self.now)
        invites.prepare(BAKERY, sha256("invite-next"), now=self.now)
        invites.settle(invites.prepare(FLORIST, sha256("invite-florist-2"), now=self.now), now=self.now)
        invites.revoke(GARAGE, now=self.now, by=OPERATOR)

    def _operators(self) -> None:
        session = OperatorSession(sha256("operator-cookie"), OPERATOR, sha256("csrf"), self.now, self.now)
        self.operators.create(session)
        self.operators.touch(session, now=self.now + 2 * MINUTE)
        self.operators.store_step(
            SignInStep(
                sha256("step-cookie"), OPERATOR, StepKind.SET_UP, "user-1", "cognito-session", self.now, "TOTPSECRET"
            )
        )

    def _counted(self) -> None:
        self.counters.count(BAKERY, "tokens", "2026-09", 1_500, expires_at=self.now + 400 * DAY)
        self.counters.count(BAKERY, "mail-event#mail-1#Email Bounced", "heard", 1, expires_at=self.now + 3 * DAY)
        for _ in range(2):
            self.counters.count_in_window(BAKERY, "replies#15550111@c.us", timedelta(days=1), self.now)
        self.counters.count_in_window(BAKERY, "invite-mails", timedelta(hours=1), self.now)
        self.counters.count_in_window("sign-in", "address-192.0.2.1", timedelta(minutes=15), self.now)

    # -- runners and sessions ----------------------------------------------------------------------------------

    def _runners(self) -> None:
        for runner in (HOLDER, DRAINED, ENDING, SILENT, DEAD):
            task = f"arn:aws:ecs:eu-west-1:123456789012:task/answerline/{runner}"
            versions = {"image": "image:1", "commit": "084ff81", "chromium": CHROMIUM, "wa_js": WA_JS}
            self.runners.register(runner, sha256(f"{runner}.secret"), 0, self.now, task=task, **versions)
            self.tasks.claim(task, runner, self.now)
        self._renew(SILENT)
        self.now += HOUR
        for runner in (HOLDER, DRAINED, ENDING, DEAD):
            self._renew(runner)

    def _runner(self, id: str) -> Runner:
        runner = self.runners.get(id)
        assert runner is not None
        return runner

    def _renew(self, runner: str, *, draining: bool = False, probes: dict[str, int] | None = None) -> None:
        known = self._runner(runner)
        self.runners.renew_lease(known, self.now, capacity=4, draining=draining, probes=probes or {}, image="image:2")

    def _claim(self, tenant: str, runner: str) -> None:
        assert self.placement.claim(self.sessions.get(tenant), runner, self.now)
        self.now += SECOND

    def _release(self, tenant: str, *, failed: bool = False) -> None:
        held = self.sessions.get(tenant)
        assert held.runner is not None
        assert self.placement.release(tenant, held.runner, held.epoch, self.now, failed=failed, reason="moved")
        self.now += SECOND

    def _report(self, tenant: str, phase: Phase, **more: Any) -> None:
        before = self.sessions.get(tenant)
        assert before.runner is not None
        report = SessionReport(tenant=tenant, epoch=before.epoch, sequence=before.sequence + 1, phase=phase, **more)
        assert self.sessions.record_report(self._runner(before.runner), before, apply_report(before, report, self.now))
        self.now += SECOND

    def _commit(self, sequence: int, sha: str, size: int) -> None:
        held = self.sessions.get(BAKERY)
        assert held.runner is not None
        key = snapshot_key(BAKERY, held.epoch, sequence, sha)
        snapshot = SnapshotVersion(key, held.epoch, sequence, sha, size, CHROMIUM, WA_JS, self.now)
        assert self.snapshots.commit(BAKERY, held.runner, snapshot, self.now)
        self.now += SECOND

    def _bakery(self) -> None:
        """Linked, logged out, linked again, moved, and archived under two epochs."""
        self._claim(BAKERY, DEAD)
        self._report(BAKERY, Phase.ONLINE, number="15550199")
        self._report(BAKERY, Phase.LOGGED_OUT, detail="the phone ended the link")
        self._report(BAKERY, Phase.SYNCING, number=BAKERY_NUMBER)
        self._commit(1, sha256("first archive"), 1_000)
        self._release(BAKERY)
        self.runners.declare_dead(DEAD, self.now)
        self.runners.unlist(DEAD)
        self._claim(BAKERY, HOLDER)
        self._commit(1, sha256("second archive"), 2_000)
        self._commit(SNAPSHOT_SEQUENCE, SNAPSHOT_SHA256, SNAPSHOT_BYTES)
        self._report(BAKERY, Phase.ONLINE, number=BAKERY_NUMBER, caught_up_to_ms=self.now - 2 * MINUTE)
        self.placement.keep_awake(BAKERY, self.now)
        self.sessions.record_activity(self.sessions.get(BAKERY), self.now, message=True, reply=True)
        self.now += MINUTE
        for runner in (HOLDER, DRAINED, ENDING):
            self._renew(runner, probes={BAKERY: self.now - SECOND})

    def _florist(self) -> None:
        """The owner chose to type a code; both codes still live."""
        self._claim(FLORIST, DRAINED)
        self.placement.pair_with(FLORIST, CONTACT_NUMBER, self.now)
        codes = {"qr": Code(code="2@qr", expires_in_ms=20_000), "pairing": Code(code="ABCD1234", expires_in_ms=90_000)}
        self._report(FLORIST, Phase.PAIRING, **codes)

    def _garage(self) -> None:
        """The phone ended the link, and then the operator paused the line."""
        self._claim(GARAGE, DRAINED)
        self._report(GARAGE, Phase.ONLINE, number="15550144")
        self._report(GARAGE, Phase.LOGGED_OUT, detail="the phone ended the link")
        self._release(GARAGE)
        self.tenants.set_state(GARAGE, TenantState.PAUSED, now=self.now, by=OPERATOR)
        self.placement.apply_state(GARAGE, TenantState.PAUSED, self.now)

    def _hotel(self) -> None:
        """The owner's page is open, and two runners gave the session up."""
        self.placement.keep_awake(HOTEL, self.now)
        for phase, wait in ((Phase.PASSKEY_REQUIRED, MINUTE), (Phase.FAILED, SECOND)):
            self._report(HOTEL, phase, problem=ProblemCode.PASSKEY, detail="the phone wants a passkey")
            self._release(HOTEL, failed=True)
            self.now += wait
            self._renew(HOLDER)
            self.placement.place(HOTEL, self.now)

    def _leaving(self) -> None:
        self.drains.record_protection(HOLDER, self.now + HOUR)
        self.drains.start(DRAINED, self.now)
        self.drains.request_release(DRAINED, self._runner(DRAINED).assigned, self.now + SECOND, moving=[FLORIST])
        self.drains.start(ENDING, self.now)
        self.drains.mark_free(ENDING, self.now + SECOND)
        self.drains.request_end(ENDING)
        self.runners.record_witness(self._runner(SILENT), HOLDER, self.now)
        self.drains.record_surplus(self.now)
        self.drains.record_left_behind({HOTEL: "image:1"}, ())
        self._renew(HOLDER, probes={BAKERY: self.now - SECOND})
        self._renew(ENDING, draining=True)
