"""All promises of a history: it keeps their violations, and judges at the end."""

import logging
from typing import TYPE_CHECKING

from tests.simulation.verdict.answers import AnswerPromises
from tests.simulation.verdict.contents import Contents
from tests.simulation.verdict.deliveries import Deliveries
from tests.simulation.verdict.introductions import Introductions
from tests.simulation.verdict.logins import LoginPromises
from tests.simulation.verdict.placement import PlacementPromises
from tests.simulation.verdict.records import Records

if TYPE_CHECKING:
    from tests.simulation.world import World


class Inspector:
    """The promises, each in its own part."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.records = Records(world)
        self.placement = PlacementPromises(world, self)
        self.logins = LoginPromises(world, self)
        self.deliveries = Deliveries(world, self)
        self.answers = AnswerPromises(world, self)
        self.contents = Contents(world, self)
        self.introductions = Introductions(world, self)
        self._concluded = False

    def report_violation(self, kind: str, what: str) -> None:
        line = f"{kind}: {what} at {self.world.loop.time():.1f}"
        self.world.verdict.violations.append(line)
        self.world.trace(f"VIOLATED {line}")

    def logged(self, record: logging.LogRecord) -> None:
        """Checks what the code logs: an ERROR of a runner is a bug of the runner."""
        if record.levelno >= logging.ERROR and record.name.startswith("runner") and not self._concluded:
            fields = getattr(record, "fields", {})
            self.report_violation("crashed", f"{record.getMessage()} {fields}")

    def not_converged(self) -> None:
        for tenant in self.world.tenants:
            wanted, session = self.world.may_run(tenant), self.world.session(tenant)
            if wanted and not self.world.is_online(tenant):
                self.report_violation(
                    "not converged", f"{tenant} is {session['phase']} held by {session.get('runner')}"
                )
            elif not self.world.should_run(tenant) and session.get("runner") is not None:
                self.report_violation("not converged", f"{tenant} is still held by {session['runner']}")

    def is_all_answered(self) -> bool:
        return not any(
            self.answers.unanswered(tenant) or self.contents.unfinished(tenant) or self.answers.awaits_reason(tenant)
            for tenant in self.world.tenants
        )

    def conclude(self) -> None:
        verdict, self._concluded = self.world.verdict, True
        for error in self.world.loop.errors:
            self.report_violation("crashed", error)
        for tenant in self.world.tenants:
            for account in self.world.accounts_of(tenant):
                verdict.messages += sum(len(sent) for sent in account.sent.values())
                verdict.shown += sum(len(shown) for shown in account.shown.values())
            for stanza, why in self.answers.unanswered(tenant):
                self.report_violation("unanswered", f"{stanza} of {tenant}: {why}")
            self.answers.check_replies(tenant)
            self.contents.conclude(tenant)
            self.introductions.conclude(tenant)
