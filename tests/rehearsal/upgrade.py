"""`make rehearse-upgrade`: a second release takes over while people write, and then the first one again."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from chalicelib.model import Runner
from chalicelib.store.runners import Runners
from chalicelib.store.table import Table
from infrastructure.checkout import Checkout
from infrastructure.deploying.rollback import rollback
from infrastructure.deploying.settings import Settings
from tests.rehearsal import release
from tests.rehearsal.conversations import Conversations, Line, Outcome
from tests.rehearsal.fargate import Ended
from tests.rehearsal.rehearsal import MESSAGES_EACH, complaints, problems, until
from tests.rehearsal.release import Release
from tests.rehearsal.stage import STAGE, Deployed, Say, deployed
from tests.story.story import CLIENTS, NUMBERS, browser, run_story

#: `reconcile` runs every minute, and protects the task of each runner that has registered.
PROTECTED_WITHIN_SECONDS = 240.0
#: An old runner keeps its sessions for ten minutes (model/scaling.py), then loses two a minute.
TAKEN_OVER_WITHIN_SECONDS = 1500.0
#: The time for two more answers on each line after it was taken over.
ANSWERING_WITHIN_SECONDS = 300.0
#: The time for the last answers, once the contacts have stopped writing.
ANSWERED_WITHIN_SECONDS = 300.0
#: The second release of a checkout that takes over from itself.
ANOTHER_COMMIT = "0123456789ab"
LINES = tuple(
    Line(number, client.name, f"[Assistant {client.key[-4:]}]") for number, client in zip(NUMBERS, CLIENTS, strict=True)
)


@dataclass(frozen=True)
class Replaced:
    """The end of a runner that was replaced; its record is read afterwards."""

    what: str
    record: Runner
    ended: list[Ended]

    @property
    def complaints(self) -> list[str]:
        """Lists what is wrong with it; empty is good."""
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
    """The result of the upgrade and the rollback."""

    outcome: Outcome
    #: QR codes that a browser showed although its line was linked
    codes: int
    problems: list[str] = field(default_factory=list)

    @property
    def ended_well(self) -> bool:
        return self.outcome.ended_well and not self.codes and not self.problems

    @property
    def line(self) -> str:
        """The last line of the output."""
        counts = (
            f"{self.outcome.answered} answered, {self.outcome.mixed} mixed, {self.outcome.duplicated} duplicated,"
            f" {self.codes} new codes"
        )
        if self.ended_well:
            return f"rehearsal: upgraded and rolled back, {counts}"
        return f"rehearsal: FAILED ({self.outcome.asked} asked, {counts}; {len(self.problems)} problems)"


def rehearse_upgrade(data: Path, say: Say, former: str = "") -> Verdict:
    """Rehearses the upgrade and the rollback; raises if the story before them does not end well.

    Args:
        data: a directory for everything that the rehearsal writes.
        say: prints a line.
        former: the commit that is upgraded from; empty: this checkout takes over from itself.
    """
    first, second = _releases(data, say, former)
    with deployed(first, data, say) as stage, browser(*stage.world.browser_flags) as people:
        told = run_story(stage, people, None, say, MESSAGES_EACH, understanding=False, introducing=not former)
        assert told.is_good, told.summary
        runners, problems_seen = _runners(stage), list[str]()
        writing = Conversations(stage.phone_url, LINES)
        writing.start()
        changes = (
            ("upgrade", second, lambda: stage.deploy(second)),
            ("rollback", first, lambda: rollback(stage.context, Settings(STAGE, yes=True, to=first.source.commit))),
        )
        try:
            for what, to, change in changes:
                problems_seen += _take_over(stage, runners, writing, say, what, to.source.commit, change).complaints
        except Exception as error:
            problems_seen += [f"{type(error).__name__}: {error}"]
            problems_seen += complaints(stage, '"level":"WARNING"', "Task timed out")
        outcome = writing.end(ANSWERED_WITHIN_SECONDS)
        say(f"the longest wait for a reply was {writing.longest_wait_seconds:.0f} s")
        if writing.error is not None:
            problems_seen.append(f"people stopped writing: {writing.error!r}")
        return Verdict(outcome, len(writing.codes), [*problems_seen, *problems(stage)])


def _releases(data: Path, say: Say, former: str) -> tuple[Release, Release]:
    """The release that runs first, and the one that takes over."""
    this = release.of_this_checkout(data / "package")
    say(f"packaged {this.source.commit}: {this.package.zip_bytes / 1e6:.1f} MB for {this.package.runtime}")
    if not former:
        return this, replace(this, source=Checkout(ANOTHER_COMMIT))
    first = release.of_commit(former, data / "former")
    say(f"packaged {first.source.commit}, with its own code: {first.package.zip_bytes / 1e6:.1f} MB")
    return first, this


def _take_over(
    stage: Deployed,
    runners: Runners,
    writing: Conversations,
    say: Say,
    what: str,
    commit: str,
    change: Callable[[], None],
) -> Replaced:
    """Makes the change, and waits until only a runner of its commit is left and has every line."""
    until(
        lambda: [each.protected_until > 0 for each in _alive(runners)] == [True],
        PROTECTED_WITHIN_SECONDS,
        "there is one runner, and ECS protects it",
    )
    (before,) = _alive(runners)
    ended = len(stage.fargate.ended)
    started = time.monotonic()
    change()
    say(f"{what}: {commit} is deployed, and has a runner")
    seen = ""

    def is_taken_over() -> bool:
        nonlocal seen
        if writing.error is not None:
            raise writing.error
        alive = _alive(runners)
        if (now := _describe(alive)) != seen:
            seen = now
            say(f"  {time.monotonic() - started:4.0f} s: {seen}")
        whole = [each for each in alive if each.commit == commit and len(each.assigned) == len(LINES)]
        return len(alive) == len(whole) == 1 and _count(stage) == (1, 1) and [*stage.fargate.pids] == [whole[0].task]

    until(is_taken_over, TAKEN_OVER_WITHIN_SECONDS, f"{what}: one runner, of {commit}, has both lines")
    answered = writing.answered.copy()
    until(
        lambda: all(writing.answered[line.number] >= answered[line.number] + 2 for line in LINES),
        ANSWERING_WITHIN_SECONDS,
        f"{what}: both lines answer",
    )
    say(f"{what}: taken over after {time.monotonic() - started:.0f} s")
    return Replaced(what, _get(runners, before), stage.fargate.ended[ended:])


def _runners(stage: Deployed) -> Runners:
    """The runners' records, read as the application reads them."""
    table = stage.context.stack(stage.stack).resources()["Table"][1]
    return Runners(Table(stage.world.account.client("dynamodb"), table))


def _alive(runners: Runners) -> list[Runner]:
    """The runners with a lease: a runner whose registration timed out has registered again under another id."""
    now = time.time_ns() // 1_000_000
    return sorted((each for each in runners.alive() if now < each.lease_until), key=lambda each: each.registered_at)


def _get(runners: Runners, runner: Runner) -> Runner:
    found = runners.get(runner.id)
    assert found is not None
    return found


def _count(stage: Deployed) -> tuple[int, int]:
    """The desired number of runners, and the number of running tasks."""
    ecs = stage.world.account.client("ecs")
    (service,) = ecs.describe_services(cluster=stage.stack, services=[f"{stage.stack}-runners"])["services"]
    return service["desiredCount"], service["runningCount"]


def _describe(alive: Iterable[Runner]) -> str:
    return ", ".join(f"{each.commit} {each.state} with {len(each.assigned)} lines" for each in alive)
