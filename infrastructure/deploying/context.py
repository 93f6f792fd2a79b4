"""Context of a deployment: the account, the checkout, the operator's terminal and the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.deploying import readiness
from infrastructure.deploying.aws import runners
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.stack import Stack


@dataclass(frozen=True)
class Context:
    """The surroundings of a deployment; tests and the rehearsal pass others."""

    account: Account
    repository: Path
    #: prints a line
    report: Callable[[str], None] = print
    #: asks the operator a question and returns the answer
    ask: Callable[[str], str] = input
    #: monotonic seconds
    clock: Callable[[], float] = time.monotonic
    #: sleeps for so many seconds
    pause: Callable[[float], None] = time.sleep
    #: epoch milliseconds
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    #: asks an address for its health
    check_health: Callable[[str], readiness.Health] = readiness.check_health
    #: lists the commits of the runners that are alive: DynamoDB's client, the stack, a pause
    runner_commits: Callable[[Any, str, Callable[[float], None]], list[str]] = runners.commits

    def stack(self, name: str) -> Stack:
        """Returns the stack of this name, which reports its progress here."""
        return Stack(
            self.account.client("cloudformation"), name, report=self.report, clock=self.clock, pause=self.pause
        )

    def resources(self, name: str) -> dict[str, tuple[str, str]]:
        """Returns the resources of this stack by logical id; none before it was created."""
        stack = self.stack(name)
        return stack.resources() if stack.exists() else {}
