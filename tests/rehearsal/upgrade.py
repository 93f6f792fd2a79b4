"""`make rehearse-upgrade`: another release takes over while people write, and then the first one again."""

import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chalicelib.model import Runner
from chalicelib.store.runners import Runners
from chalicelib.store.table import Table
from infrastructure.checkout import checkout
from infrastructure.deploying.rollback import rollback
from infrastructure.deploying.settings import Settings
from tests.rehearsal.conversations import Conversations, Line, Outcome
from tests.rehearsal.fargate import Ended
from tests.rehearsal.rehearsal import MESSAGES_EACH, complaints, troubles, until
from tests.rehearsal.stage import STAGE, Deployed, Say, deployed
from tests.story.story import CLIENTS, NUMBERS, browser, tell

#: `reconcile` comes every minute, and protects whoever registered before.
PROTECTED_WITHIN_SECONDS = 240.0
#: An old runner is left alone for ten minutes (model/fleet.py), then loses two sessions a minute.
TAKEN_OVER_WITHIN_SECONDS = 1500.0
#: So much longer the taken-over lines are listened to.
HEARD_WITHIN_SECONDS = 300.0
ANSWERED_WITHIN_SECONDS = 300.0
GIT_SECONDS = 30
LINES = tuple(
    Line(number, client.name, f"[Assistant {client.key[-4:]}]") for number, client in zip(NUMBERS, CLIENTS, strict=True)
)


@dataclass(frozen=True)
class Departure:
    """How the former runner went; its record is read after its end."""

    what: str
    record: Runner
    ended: list[Ended]

    @property
    def complaints(self) -> list[str]:
        """What is wrong with it; empty is good."""
        found = []
        drain = self.record.draining
        if drain is None or drain.free_since is None:
            found.append(f"{self.what}: the old runner was not drained until it was free")
        if [(each.by_ecs, each.sessions) for each in self.ended if each.task == self.record.task] != [(True, 0)]:
            found.append(f"{self.what}: the old runner was not ended once, by ECS, without a session: {self.ended}")
        if others := [each for each in self.ended if each.task != self.record.task]:
            found.append(f"{self.what}: another runner ended too: {others}")
        return found


@dataclass
class Verdict:
    """How the upgrade and the way back went."""

    outcome: Outcome
    #: that a browser showed although its line was linked
    codes: int
    troubles: list[str] = field(default_factory=list)

    @property
    def ended_well(self) -> bool:
        return self.outcome.ended_well and not self.codes and not self.troubles

    @property
    def line(self) -> str:
        """The last one."""
        counts = (
            f"{self.outcome.answered} answered, {self.outcome.mixed} mixed, {self.outcome.duplicated} duplicated,"
            f" {self.codes} new codes"
        )
        if self.ended_well:
            return f"rehearsal: upgraded and rolled back, {counts}"
        return f"rehearsal: FAILED ({self.outcome.asked} asked, {counts}; {len(self.troubles)} troubles)"


def rehearse_upgrade(data: Path, say: Say) -> Verdict:
    """All of it; raises where a person would be let down."""
    with deployed(data, say) as stage, browser(*stage.world.browser_flags) as people:
        told = tell(stage, people, None, say, MESSAGES_EACH)
        assert told.ended_well, told.line
        first, runners, wrong = stage.commit, _runners(stage), list[str]()
        writing = Conversations(stage.phone_url, LINES)
        writing.start()
        changes = (("upgrade", lambda: _upgrade(stage, data / "next")), ("rollback", lambda: _roll_back(stage, first)))
        try:
            for what, change in changes:
                wrong += _taken_over(stage, runners, writing, say, what, change).complaints
        except Exception as trouble:
            wrong += [f"{type(trouble).__name__}: {trouble}", *complaints(stage, '"level":"WARNING"', "Task timed out")]
        outcome = writing.end(ANSWERED_WITHIN_SECONDS)
        say(f"the longest wait for a reply was {writing.longest_wait_seconds:.0f} s")
        if writing.trouble is not None:
            wrong.append(f"people stopped writing: {writing.trouble!r}")
        return Verdict(outcome, len(writing.codes), [*wrong, *troubles(stage)])


def _taken_over(
    stage: Deployed, runners: Runners, writing: Conversations, say: Say, what: str, change: Callable[[], str]
) -> Departure:
    """The change is made, and waited for until only a runner of its commit is left, with every line."""
    until(
        lambda: [each.protected_until > 0 for each in _alive(runners)] == [True],
        PROTECTED_WITHIN_SECONDS,
        "there is one runner, and ECS protects it",
    )
    (before,) = _alive(runners)
    ended = len(stage.fargate.ended)
    started = time.monotonic()
    commit = change()
    say(f"{what}: {commit} is deployed, and has a runner")
    seen = ""

    def is_taken_over() -> bool:
        nonlocal seen
        if writing.trouble is not None:
            raise writing.trouble
        alive = _alive(runners)
        if (now := _told(alive)) != seen:
            seen = now
            say(f"  {time.monotonic() - started:4.0f} s: {seen}")
        whole = [each for each in alive if each.commit == commit and len(each.assigned) == len(LINES)]
        return len(alive) == len(whole) == 1 and _count(stage) == (1, 1) and [*stage.fargate.pids] == [whole[0].task]

    until(is_taken_over, TAKEN_OVER_WITHIN_SECONDS, f"{what}: one runner, of {commit}, has both lines")
    heard = writing.answered.copy()
    until(
        lambda: all(writing.answered[line.number] >= heard[line.number] + 2 for line in LINES),
        HEARD_WITHIN_SECONDS,
        f"{what}: both lines answer",
    )
    say(f"{what}: taken over after {time.monotonic() - started:.0f} s")
    return Departure(what, _get(runners, before), stage.fargate.ended[ended:])


def _upgrade(stage: Deployed, repository: Path) -> str:
    """Another commit, so another image; what runs in it is this checkout again."""
    repository.mkdir()
    person = ("-c", "user.name=Rehearsal", "-c", "user.email=rehearsal@example.com", "-c", "commit.gpgsign=false")
    for command in (("init", "--quiet"), (*person, "commit", "--quiet", "--allow-empty", "--message", "The next one")):
        subprocess.run(["git", *command], cwd=repository, check=True, timeout=GIT_SECONDS)
    source = checkout(repository)
    stage.deploy(source)
    return source.commit


def _roll_back(stage: Deployed, commit: str) -> str:
    rollback(stage.context, Settings(STAGE, yes=True, to=commit))
    return commit


def _runners(stage: Deployed) -> Runners:
    """The runners' own records, read as the application reads them."""
    table = stage.context.stack(stage.stack).resources()["Table"][1]
    return Runners(Table(stage.world.account.client("dynamodb"), table))


def _alive(runners: Runners) -> list[Runner]:
    """Without one whose registration was not answered in time: its process came again under another name."""
    now = time.time_ns() // 1_000_000
    return sorted((each for each in runners.alive() if now < each.lease_until), key=lambda each: each.registered_at)


def _get(runners: Runners, runner: Runner) -> Runner:
    found = runners.get(runner.id)
    assert found is not None
    return found


def _count(stage: Deployed) -> tuple[int, int]:
    """How many runners there should be, and how many tasks there are."""
    ecs = stage.world.account.client("ecs")
    (service,) = ecs.describe_services(cluster=stage.stack, services=[f"{stage.stack}-runners"])["services"]
    return service["desiredCount"], service["runningCount"]


def _told(alive: Iterable[Runner]) -> str:
    return ", ".join(f"{each.commit} {each.state} with {len(each.assigned)} lines" for each in alive)
