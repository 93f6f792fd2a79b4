"""The control plane in virtual time: its real code, each call a worker that may die or be overtaken at any step."""

import random
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import greenlet  # type: ignore[import-untyped]

from chalicelib.assistants import checks as assistant_checks
from chalicelib.aws.sqs import ASSISTANT_CHECK, MAX_DELAY_SECONDS, NoticeJob, TurnCheck
from chalicelib.errors import AnswerlineError, TransientError
from chalicelib.notifications import notices
from chalicelib.reconcilers import reconcile
from chalicelib.replies import turn_taking
from chalicelib.sessions import lifecycle
from chalicelib.store.timeline import Timeline
from chalicelib.web import runner_api, runner_auth, snapshot_api
from chalicelib.wiring import Services
from tests.simulation.bucket_model import Store
from tests.simulation.loop import VirtualLoop
from tests.simulation.memory_table import MemoryTable
from tests.simulation.openai_model import OpenAi
from tests.simulation.plan import NEVER
from wire import (
    BellRequest,
    CommitRequest,
    MessagesAnswer,
    MessagesRequest,
    Refusal,
    RefusedRequest,
    ReleaseRequest,
    RestoreRequest,
    SentRequest,
    SyncRequest,
    TakeRequest,
    UploadRequest,
)

#: The beginning of every history.
EPOCH_MS = 1_790_000_000_000
BOOTSTRAP_TOKEN = "bootstrap-token"
RECONCILE_EVERY = 60.0
#: The mails that notices are sent by; nobody reads them in most histories.
MAILS = ("notify_owner", "number_linked", "notify_operators", "send_digest")
#: A worker that the machine does not run for so long, between two of its steps.
FROZEN_SECONDS = (5.0, 60.0)
#: By the first word of a worker's name, when Lambda ends it (chalice_app/.chalice/config.json); else as an HTTP call.
TIMEOUT_SECONDS = {"think": 120.0, "notify": 60.0, "reconcile": 60.0, "task": 60.0}
HTTP_TIMEOUT_SECONDS = 29.0
VISIBILITY_SECONDS = 150.0
DOORS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "sync": (SyncRequest, runner_api.sync),
    "bell": (BellRequest, runner_api.wait_for_bell),
    "messages": (MessagesRequest, runner_api.messages),
    "take": (TakeRequest, runner_api.take),
    "sent": (SentRequest, runner_api.sent),
    "refused": (RefusedRequest, runner_api.refused),
    "release": (ReleaseRequest, runner_api.release),
    "upload": (UploadRequest, snapshot_api.upload),
    "commit": (CommitRequest, snapshot_api.commit),
    "restore": (RestoreRequest, snapshot_api.restore),
}


class Died(BaseException):
    """The death of a worker between two of its steps."""


class Worker(greenlet.greenlet):  # type: ignore[misc]
    """Sequential code of one Lambda call, suspended at each step."""

    def __init__(self, work: Callable[[], None], skew: float, dies_at: int | None, ends_at: float) -> None:
        super().__init__(work)
        self.skew = skew
        self.began_at = 0.0
        #: When Lambda ends it.
        self.ends_at = ends_at
        #: It stood still for long, and its clock with it.
        self.was_frozen = False
        self.steps = 0
        self.dies_at = dies_at
        #: A pause that polls may be shortened until its bell rings: (the runner of the bell, the latest time).
        self.polls: tuple[str, float] | None = None
        #: The runner that called, and its epoch.
        self.asked: tuple[str, int] | None = None
        #: The number of its latest suspension, the only one that can be ended.
        self.suspended = 0


@dataclass
class FaultRates:
    """The rates of faults at the control plane now, from 0 to 1."""

    down: bool = False
    #: All functions are down: the runners' routes, and also think and reconcile.
    all_down: bool = False
    dies: float = 0.0
    frozen: float = 0.0
    busy: float = 0.0
    openai_fails: float = 0.0
    delivered_twice: float = 0.0
    checks_lost: float = 0.0
    index_lag_seconds: float = 0.05


class Cloud:
    """Services on a table in memory, a queue and a schedule."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, trace: Callable[..., None]) -> None:
        self.loop = loop
        self.rates = FaultRates()
        self.faults = 0
        self.store = Store()
        #: Runners that called with their identity, so that they know it.
        self.heard: set[str] = set()
        #: Called for each hand-in that its runner may know of; the answer acknowledges the first messages.
        self.on_hand_in: Callable[[MessagesRequest, MessagesAnswer], None] = lambda request, answer: None
        self._chance = chance
        self._trace = trace
        self._hub = greenlet.getcurrent()
        self._working: dict[Worker, None] = {}
        #: Workers that died or raised before their work was done.
        self.unfinished: set[Worker] = set()
        self._bells: dict[str, dict[Worker, None]] = {}
        self.table = MemoryTable(self.step, loop.time, lambda: chance.expovariate(1 / self.rates.index_lag_seconds))
        self.table.watchers.append(self._heard_bell)
        self.openai = OpenAi(self, chance)
        environment = {"STAGE": "simulation", "RUNNER_CAPACITY": "4"}
        self.services = Services(environment, clock=self.clock, token=self._token, pause=self.pause)
        self.services.runner_token = lambda **_: BOOTSTRAP_TOKEN  # type: ignore[method-assign]
        self.services.base_url = lambda: "https://answerline.example"  # type: ignore[method-assign]
        self.services.__dict__.update(
            mailer=SimpleNamespace(**{name: lambda *told: "" for name in MAILS}),
            table=self.table,
            timeline=Timeline(self.table, new_id=lambda: f"{chance.getrandbits(32):08x}"),
            blobs=self.store,
            jobs=SimpleNamespace(enqueue_check=self._enqueue),
            notice_jobs=SimpleNamespace(enqueue=self._enqueue_notices),
            key_encryption=SimpleNamespace(decrypt=lambda tenant, ciphertext: "key"),
            llm=self.openai,
        )

    def found_fleet(self, fleet: Any, machines: int) -> None:
        """Sets the fleet that starts machines, and their constant number."""
        of_all = {"COMMIT": fleet.commit, "RUNNERS_AT_LEAST": str(machines)}
        self.services._environment = {**self.services._environment, **of_all}
        self.services.__dict__["fleet"] = fleet

    # -- calls --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.loop.after(self._chance.uniform(0, RECONCILE_EVERY), self._reconcile)

    def request(self, path: str, token: str, body: bytes, answered: Callable[[int, bytes], None]) -> None:
        """Sends a request of a runner; ``answered`` may never be called."""
        asked, door = DOORS[path]

        def work() -> tuple[int, bytes]:
            try:
                request = runner_auth._parse_body(asked, body)
                worker().asked = token.partition(".")[0], getattr(request, "epoch", 0)
                self.heard.add(token.partition(".")[0])
                if isinstance(request, BellRequest):
                    worker().polls = (token.partition(".")[0], self.loop.time() + request.wait_ms / 1000)
                answer = door(self.services, token, request).model_dump_json(exclude_none=True).encode()
                if isinstance(request, MessagesRequest):
                    self.on_hand_in(request, MessagesAnswer.model_validate_json(answer))
                return 200, answer
            except AnswerlineError as error:
                return error.status, Refusal(code=error.code, message=error.message).model_dump_json().encode()

        def done(result: tuple[int, bytes] | None) -> None:
            if result is not None:
                answered(*result)
            elif self._chance.random() < 0.5:
                answered(502, b'{"message": "Internal server error"}')

        self.call(f"door {path}", work, done)

    def call(
        self,
        name: str,
        work: Callable[[], Any],
        done: Callable[[Any], None] = lambda result: None,
        *,
        mortal: bool = True,
    ) -> None:
        """Runs sequential code as a worker; ``done(None)`` when it died or raised."""
        dies_at = None
        if mortal and self._chance.random() < self.rates.dies:
            dies_at = 1 + int(self._chance.expovariate(1 / 8))

        def run() -> None:
            result = None
            try:
                result = work()
            except Died:
                self.faults += 1
                self._trace("worker died", name=name, step=one.steps)
            except AnswerlineError as error:
                self._trace("worker gave up", name=name, error=repr(error))
            except ExceptionGroup as several:
                self._trace("worker gave up", name=name, error=repr(several))
                _, unexpected = several.split(AnswerlineError)
                if unexpected is not None:
                    self.loop.errors.append(f"{name}: {unexpected!r}: {unexpected.exceptions!r}")
            except Exception as error:
                self.loop.errors.append(f"{name}: {error!r} in {traceback.format_exc(limit=-3)}")
            self._working.pop(one, None)
            if result is None:
                self.unfinished.add(one)
            self.loop.after(0, done, result)

        timeout = TIMEOUT_SECONDS.get(name.partition(" ")[0], HTTP_TIMEOUT_SECONDS) if mortal else NEVER
        one = Worker(run, self._chance.uniform(-0.002, 0.002), dies_at, self.loop.time() + timeout)
        one.began_at = self.loop.time()
        self._working[one] = None
        self.loop.after(self._chance.uniform(0.001, 0.02), self._go_on, one, 0)

    def task_stopped(self, task: str) -> None:
        """Reports the end of a task as ECS does; retries if the function died."""
        if self.rates.all_down:
            self.loop.after(20.0, self.task_stopped, task)
            return

        self.call("task stopped", lambda: lifecycle.handle_stopped_task(self.services, task))

    def end(self) -> None:
        """Ends all workers."""
        for one in list(self._working):
            if not one.dead:
                with suppress(Died):  # it had not even begun
                    one.throw(Died())

    # -- steps ---------------------------------------------------------------------------------------------------

    def _go_on(self, one: Worker, suspension: int) -> None:
        if not one.dead and one.suspended == suspension:
            one.switch()

    def clock(self) -> int:
        one = greenlet.getcurrent()
        skew = one.skew if isinstance(one, Worker) else 0.0
        return EPOCH_MS + int((self.loop.time() + skew) * 1000)

    def _token(self) -> str:
        return f"{self._chance.getrandbits(256):064x}"

    def step(self, operation: str) -> None:
        """Lets time pass before each operation of the table, where the worker may freeze for long, or die."""
        one = greenlet.getcurrent()
        if not isinstance(one, Worker):
            return
        one.steps += 1
        self._suspend(one, self._chance.uniform(0.001, 0.008))
        if self.rates.frozen and one.ends_at < NEVER and self._chance.random() < self.rates.frozen:
            self.faults += 1
            seconds = self._chance.uniform(*FROZEN_SECONDS)
            self._trace("worker freezes", operation=operation, seconds=round(seconds, 1))
            one.was_frozen = True
            self._suspend(one, seconds)
        if (one.dies_at is not None and one.steps >= one.dies_at) or self.loop.time() >= one.ends_at:
            raise Died
        if self.rates.busy and self._chance.random() < self.rates.busy:
            self.faults += 1
            raise TransientError("The database is busy; this will be tried again.")

    def pause(self, seconds: float) -> None:
        one = greenlet.getcurrent()
        if not isinstance(one, Worker):
            return
        if one.polls is not None:
            # Polling a bell that has not rung changes nothing: sleep until it rings, or the time is over.
            runner, latest = one.polls
            self._bells.setdefault(runner, {})[one] = None
            self._suspend(one, max(seconds, latest - self.loop.time()))
            self._bells.get(runner, {}).pop(one, None)
        else:
            self._suspend(one, seconds)

    def _suspend(self, one: Worker, seconds: float) -> None:
        one.suspended += 1
        self.loop.after(seconds, self._go_on, one, one.suspended)
        self._hub.switch()

    def _heard_bell(self, key: tuple[str, str], before: Any, after: Any) -> None:
        if key[1] == "BELL" and (sleepers := self._bells.pop(key[0].removeprefix("RUNNER#"), None)):
            for one in sleepers:
                self.loop.after(self._chance.uniform(0.0, 0.2), self._go_on, one, one.suspended)

    # -- schedule and queue ---------------------------------------------------------------------------------------

    def _reconcile(self) -> None:
        self.loop.after(RECONCILE_EVERY, self._reconcile)
        if not self.rates.all_down:
            self.call("reconcile", lambda: reconcile.reconcile(self.services))

    def _enqueue(self, tenant: str, chat: str, *, delay_seconds: float, attempt: int = 0, request: str = "") -> None:
        self.step("enqueue")
        body = TurnCheck(tenant=tenant, chat=chat, attempt=attempt, request=request).model_dump_json()
        delay = min(MAX_DELAY_SECONDS, max(0, round(delay_seconds)))
        if self.rates.checks_lost and self._chance.random() < self.rates.checks_lost:
            self.faults += 1
            self._trace("check lost", tenant=tenant, chat=chat)
            return
        times = 2 if self._chance.random() < self.rates.delivered_twice else 1
        self.faults += times - 1
        for _ in range(times):
            self.loop.after(delay + self._chance.uniform(0.01, 0.1), self._deliver_check, body)

    def _enqueue_notices(self, job: NoticeJob, *, delay_seconds: int) -> None:
        """Delivers a job of notices; a lost one is made up for by that of the next minute."""
        self.step("enqueue")
        if self.rates.checks_lost and self._chance.random() < self.rates.checks_lost:
            self.faults += 1
            return
        self.loop.after(delay_seconds + self._chance.uniform(0.01, 0.1), self._deliver_notices, job)

    def _deliver_notices(self, job: NoticeJob) -> None:
        if not self.rates.all_down:

            def handle() -> bool:
                notices.handle(self.services, job)
                return True

            self.call("notify", handle)

    def _deliver_check(self, body: str) -> None:
        """Delivers a check as SQS does: at least once; an unfinished one becomes visible again."""
        if self.rates.all_down:
            self.loop.after(self._chance.uniform(1.0, 20.0), self._deliver_check, body)
            return

        def done(outcome: Any) -> None:
            if outcome is None:
                self.loop.after(VISIBILITY_SECONDS, self._deliver_check, body)

        check = TurnCheck.model_validate_json(body)
        perform = assistant_checks.perform if check.chat == ASSISTANT_CHECK else turn_taking.take_turn
        self.call("think", lambda: perform(self.services, check), done)


def worker() -> Worker:
    """Returns the worker that is running."""
    one = greenlet.getcurrent()
    assert isinstance(one, Worker)
    return one
