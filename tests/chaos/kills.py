"""`python -m tests.chaos.kills`: kills everything on one machine with -9 at random moments, and starts it again.

Operators create tenants and change settings, contacts write, a runner without browsers answers. What was acknowledged
must be there after each start, and each acknowledged message must have one reply in the end. A run is resumed where it
stopped; the last line of kills.txt in its directory is the verdict.
"""

import argparse
import json
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws.kms import DecryptionFailed
from chalicelib.aws.sqs import TurnCheck
from chalicelib.errors import AnswerlineError
from chalicelib.model import Assistant, Tenant, TenantState, TurnState
from chalicelib.replies.turn_taking import take_turn
from chalicelib.wiring import Services
from infrastructure.checkout import REPOSITORY
from infrastructure.local.ecs.service import Service
from infrastructure.local.stack import LocalStack, local_stack
from tests.chaos.lines import UNCAPPED, services_of
from tests.chaos.scripted_runner import Ledger, ScriptedRunner, Written, now_ms

LINES = 4
#: How long everything runs between a start and a kill.
LOAD_SECONDS = (1.0, 6.0)
OPERATOR_ACTS_EVERY_SECONDS = 0.15
CONTACTS_WRITE_EVERY_SECONDS = 0.1
#: Contacts write no more while so many messages wait: a slow machine has load, too, not a backlog.
WAITING_AT_MOST = 12
#: A turn whose process died is overdue after 150 s; then the reconciler's minute, and a model call.
SETTLED_WITHIN_SECONDS = 300.0
#: What a process that died left is overdue by then.
OVERDUE_MS = 200_000
BY = "kills@example.com"


@dataclass
class Promises:
    """What was acknowledged, and what was asked for and may have happened."""

    ledger: Ledger = field(default_factory=Ledger)
    #: by tenant
    keys: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    attempted: dict[str, str] = field(default_factory=dict)
    #: the tasks of runners that a kill ended
    tasks: list[str] = field(default_factory=list)
    kills: int = 0
    lost: list[str] = field(default_factory=list)

    def save(self, file: Path) -> None:
        """Writes all of it, for a run that is resumed."""
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(self)))
        unfinished.replace(file)

    @classmethod
    def load(cls, file: Path) -> "Promises":
        """Reads what :meth:`save` wrote; nothing before the first time."""
        if not file.exists():
            return cls()
        known = json.loads(file.read_text())
        ledger = known.pop("ledger")
        written = [Written(**each) for each in ledger.pop("written")]
        sent = [tuple(each) for each in ledger.pop("sent")]
        return cls(ledger=Ledger(written=written, sent=sent, **ledger), **known)

    def check(self, services: Services) -> None:
        """Compares the tenants, keys and settings with what is stored."""
        stored = [tenant for tenant, _ in services.tenants.list_all()]
        by_id = {tenant.id: tenant for tenant in stored}
        self.lost += [f"{tenant} is listed twice" for tenant in by_id if sum(each.id == tenant for each in stored) > 1]
        for tenant, key in self.keys.items():
            if tenant not in by_id:
                self.lost.append(f"tenant {tenant}")
            elif _opened(services, by_id[tenant]) != key:
                self.lost.append(f"key of {tenant}")
        for tenant, name in self.settings.items():
            if tenant in by_id and by_id[tenant].name not in (name, self.attempted[tenant]):
                self.lost.append(f"settings of {tenant}: {by_id[tenant].name}, not {name}")
        self.settings = {tenant: by_id[tenant].name for tenant in self.settings if tenant in by_id}

    def check_replies(self, services: Services) -> None:
        """Compares messages and replies with what the phones show and the table stores."""
        self.lost += [f"no reply to {each.mark}" for each in self.ledger.unanswered()]
        self.lost += [f"{each.mark} cannot be handed in" for each in self.ledger.written if not each.acknowledged]
        for tenant, chat, turn in self.ledger.sent:
            found = services.turns.get(tenant, chat, turn)
            if found is None or found.state is not TurnState.SENT:
                self.lost.append(f"the sending of turn {turn} of {chat}")

    def doubled(self) -> list[str]:
        """Lists the chats, of one message each, that show more than one reply."""
        return [chat for chat, replies in self.ledger.shown.items() if len(replies) > 1]

    def verdict(self) -> str:
        """Returns the last line."""
        return f"kills: {self.kills} kills, {len(self.lost)} lost, {len(self.doubled())} doubled"


def _opened(services: Services, tenant: Tenant) -> str | None:
    """Returns the tenant's key; None if it does not decrypt, or to no text."""
    try:
        return services.key_encryption.decrypt(tenant.id, tenant.key_ciphertext)
    except (AnswerlineError, DecryptionFailed, UnicodeDecodeError):
        return None


class Load:
    """Operators, contacts and the runner of one start."""

    def __init__(self, stack: LocalStack, promises: Promises, rng: random.Random) -> None:
        self._promises = promises
        self._rng = rng
        self._stopped = threading.Event()
        self.services = services_of(stack)
        service = Service(stack.client("ecs"), stack.client("sqs"), stack.created)
        for task in promises.tasks:
            service.report_stopped(task, "was killed")
        promises.tasks = [f"runner-1-{rng.getrandbits(48):012x}"]
        service.report_started(promises.tasks[0])
        bootstrap = stack.client("ssm").get_parameter(Name=stack.created.runner_token_parameter, WithDecryption=True)
        self._runner = ScriptedRunner(
            stack.base_url, bootstrap["Parameter"]["Value"], service.task_arn(promises.tasks[0]), promises.ledger
        )
        self._threads = [
            self._repeat("operator", OPERATOR_ACTS_EVERY_SECONDS, self._act),
            self._repeat("contacts", CONTACTS_WRITE_EVERY_SECONDS, self._write),
        ]

    def start(self, *, writes: bool = True) -> None:
        """Starts the runner, and those who write unless ``writes`` is False."""
        for number in range(LINES):
            tenant = f"killedline{number:02d}"
            if tenant not in self._promises.keys:
                self._create(tenant)
            self.services.placement.keep_awake(tenant, self.services.clock())
        self._runner.start()
        if writes:
            for thread in self._threads:
                thread.start()

    def stop(self) -> None:
        """Ends all of them."""
        self._stopped.set()
        self._runner.stop()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(60)

    def _repeat(self, name: str, every_seconds: float, act: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            while not self._stopped.wait(every_seconds):
                try:
                    act()
                except (BotoCoreError, ClientError, AnswerlineError):
                    continue  # killed meanwhile: it was not acknowledged

        return threading.Thread(target=run, name=name, daemon=True)

    def _act(self) -> None:
        if self._rng.random() < 0.5:
            self._create(f"killed{self._rng.getrandbits(40):010x}")
            return
        tenant = self._rng.choice(sorted(self._promises.keys))
        name = f"Name {self._rng.getrandbits(32)}"
        self._promises.attempted[tenant] = name
        revision = self.services.tenants.get(tenant).revision
        now = self.services.clock()
        self.services.tenants.edit(tenant, {"name": name}, expected_revision=revision, now=now, by=BY)
        self._promises.settings[tenant] = name

    def _create(self, tenant: str) -> None:
        services, key = self.services, f"sk-kills-{tenant}"
        now = services.clock()
        made = Tenant(
            id=tenant,
            name=tenant,
            owner_email="owner@example.com",
            language="en",
            state=TenantState.ACTIVE,
            revision=1,
            created_at=now,
            assistant_version=1,
            key_ciphertext=services.key_encryption.encrypt(tenant, key),
            key_last4=key[-4:],
            policies=UNCAPPED,
        )
        services.tenants.create(made, Assistant(1, "gpt-6-luna", "Be brief."), by=BY)
        self._promises.keys[tenant] = key

    def _write(self) -> None:
        if len(self._promises.ledger.written) - len(self._promises.ledger.shown) >= WAITING_AT_MOST:
            return
        number = len(self._promises.ledger.written)
        tenant = f"killedline{self._rng.randrange(LINES):02d}"
        chat = f"{self._rng.getrandbits(50)}@lid"
        self._promises.ledger.written.append(Written(tenant, chat, f"3A{number:018X}", f"K{number:06d}", now_ms()))


@contextmanager
def started(data: Path, promises: Promises, rng: random.Random) -> Iterator[tuple[LocalStack, Load]]:
    """Starts the stack and checks at once what it must hold; kills everything at the end."""
    stack = local_stack(data, simulators=("openai",), report=lambda _line: None)
    stack.start()
    load = Load(stack, promises, rng)
    try:
        promises.check(load.services)
        yield stack, load
    finally:
        stack.kill()
        load.stop()


def kill_once(data: Path, promises: Promises, rng: random.Random, seconds: tuple[float, float] = LOAD_SECONDS) -> None:
    """Starts everything, lets it work for a random time, and kills it."""
    with started(data, promises, rng) as (_, load):
        load.start()
        time.sleep(rng.uniform(*seconds))
    promises.kills += 1


def settle(data: Path, promises: Promises, rng: random.Random, *, hurry: bool = False) -> None:
    """Starts everything once more without new work, and checks the replies once all are there, or time is over.

    Args:
        hurry: does what the reconciler does for what is overdue, without waiting until it is.
    """
    with started(data, promises, rng) as (_, load):
        load.start(writes=False)
        deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
        while time.monotonic() < deadline and not promises.ledger.is_settled():
            time.sleep(0.5)
            if hurry:
                check_all(load.services)
        promises.check_replies(load.services)


def check_all(services: Services) -> None:
    """Checks each chat that the reconciler will find, at the time at which it will."""
    later = Services(services._environment, clock=lambda: services.clock() + OVERDUE_MS)
    due = later.clock() + OVERDUE_MS
    noted = [(each.tenant, each.chat) for each in services.due_checks.due(due_before=due, now=services.clock())]
    thinking = [turn for turn in services.turns.open_turns(due_before=due) if turn.state is TurnState.THINKING]
    for tenant, chat in {*noted, *((turn.tenant, turn.chat) for turn in thinking)}:
        take_turn(later, TurnCheck(tenant=tenant, chat=chat))


def main() -> int:
    """Returns 0 if nothing was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=REPOSITORY / "build" / "kills")
    arguments = parser.parse_args()
    directory: Path = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    journal, data, report = directory / "promises.json", directory / "data", directory / "kills.txt"
    promises = Promises.load(journal)
    while promises.kills < arguments.kills:
        kill_once(data, promises, random.Random(f"{arguments.seed}/{promises.kills}"))
        promises.save(journal)
        with report.open("a") as file:
            print(promises.verdict(), *promises.lost[-3:], sep="\n  ", file=file)
        print(f"\r{promises.verdict()}", end="", flush=True)
    settle(data, promises, random.Random(f"{arguments.seed}/end"))
    lost = promises.lost + [f"doubled: {chat}" for chat in promises.doubled()]
    with report.open("a") as file:
        print(*lost, promises.verdict(), sep="\n", file=file)
    print(
        f"\r{promises.verdict()}: {len(promises.keys)} tenants, {len(promises.ledger.written)} messages, "
        f"{len(promises.ledger.sent)} replies; {report}"
    )
    journal.unlink()
    shutil.rmtree(data)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
