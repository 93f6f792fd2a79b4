"""The package and the template, deployed as `make deploy` does, into a world that is played."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from infrastructure.checkout import REPOSITORY, Checkout, checkout
from infrastructure.checks import State
from infrastructure.deploying import prerequisites, readiness
from infrastructure.deploying.aws import bootstrap_token, operators, public_address
from infrastructure.deploying.context import Context
from infrastructure.deploying.decisions import decide
from infrastructure.deploying.deployment import finish, roll_out
from infrastructure.deploying.settings import Settings
from infrastructure.local.operators import Operator
from infrastructure.packaging import lambda_python as packaging_python
from infrastructure.packaging.package import Package, build_with, own_architecture
from tests.rehearsal import registry
from tests.rehearsal.fargate import Fargate
from tests.rehearsal.lambda_python import lambda_python
from tests.rehearsal.world import World, world

Say = Callable[[str], None]

STAGE = "rehearsal"
OPERATOR = "operator@example.com"
MAIL_FROM = "Rehearsal <line@example.com>"
#: Nothing here takes as long as on AWS.
LOOK_EVERY_SECONDS = 0.5


@dataclass
class Deployed:
    """A stage that runs; the story is told on it."""

    world: World
    stack: str
    base_url: str
    operator: Operator
    resources: int
    fargate: Fargate
    #: from where it was deployed, and what
    context: Context
    made: Package
    commit: str

    def deploy(self, source: Checkout) -> None:
        """What `make deploy` does with another commit: what was said before is remembered."""
        settings = Settings(STAGE, yes=True)
        _release(self.context, settings, source, self.made)
        finish(self.context, settings, source.commit)

    @property
    def admin_url(self) -> str:
        """Where the operator signs in."""
        return f"{self.base_url}/admin"

    @property
    def outbox_url(self) -> str:
        """Where sent mails are read."""
        return f"http://localhost:{self.world.ports.outbox}"

    @property
    def phone_url(self) -> str:
        """Where a person plays the phone."""
        return f"http://localhost:{self.world.ports.phone}"

    def register(self, task: str) -> tuple[int, str]:
        """What somebody is told who has the bootstrap token and names this task: the status, and the code if any."""
        name = bootstrap_token.name(self.stack)
        token = self.world.account.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        answer = httpx.post(
            f"{self.base_url}/runner/sync",
            json={"sequence": 1, "capacity": 25, "task": task},
            headers={"Authorization": f"Bearer {token}"},
            proxy=self.world.internet.proxy,
            verify=self.world.trust,
            timeout=readiness.ANSWER_WITHIN_SECONDS,
        )
        return answer.status_code, str(answer.json().get("code", ""))


@contextmanager
def deployed(data: Path, say: Say) -> Iterator[Deployed]:
    """Package, deploy and wait until the stage says of itself that it runs; end everything afterwards."""
    python = packaging_python.find()
    made = build_with(python, data / "package", own_architecture())
    say(f"packaged: {made.zip_bytes / 1e6:.1f} MB for {made.runtime}")
    with world(data, lambda_python(python), say) as played:
        settings = Settings(
            STAGE,
            given={"MailFrom": MAIL_FROM, "OperatorsEmail": OPERATOR, "OperatorsMfa": "OPTIONAL"},
            yes=True,
        )
        context = Context(
            played.account,
            REPOSITORY,
            report=lambda text: None,
            pause=lambda seconds: time.sleep(min(seconds, LOOK_EVERY_SECONDS)),
            check_health=lambda address: _health(played, address),
        )
        source = checkout(REPOSITORY)
        _release(context, settings, source, made)
        stack = context.stack(settings.stack)
        resources = stack.resources()
        say(f"deployed {len(resources)} resources")
        first = operators.invite_first(
            played.account.client("cognito-idp"), resources["UserPool"][1], OPERATOR, mailed=False
        )
        assert first is not None
        with _fargate(played, settings.stack, say) as fargate:
            finish(context, settings, source.commit)
            address = public_address.read(played.account.client("ssm"), settings.stack)
            say(f"{address} and a runner are at {source.commit}")
            operator = Operator(first.email, first.password)
            yield Deployed(
                played, settings.stack, address, operator, len(resources), fargate, context, made, source.commit
            )


def _release(context: Context, settings: Settings, source: Checkout, made: Package) -> None:
    """What `make deploy` does on the way, but for what this machine must have, packaging, and building the image."""
    parameters = settings.over(context.stack(settings.stack).parameters())
    findings = [
        *prerequisites.check_credentials(context.account),
        *prerequisites.check_account(context.account, parameters),
    ]
    wrong = [str(finding) for finding in findings if finding.state is State.BAD and finding.blocks]
    assert not wrong, wrong
    decided = decide(context.account, context.resources(settings.stack), parameters, context.report)
    image = registry.pushed(context.account.client("ecr"), settings.stack, source, made.architecture)
    roll_out(context, settings, parameters.with_decisions(decided), source.commit, made, image)


def _health(played: World, address: str) -> readiness.Health:
    """What `readiness.ask` asks, through the played Internet."""
    try:
        answer = httpx.get(
            f"{address}/health",
            proxy=played.internet.proxy,
            verify=played.trust,
            timeout=readiness.ANSWER_WITHIN_SECONDS,
        )
        return readiness.Health(answer.raise_for_status().json())
    except (httpx.HTTPError, ValueError) as trouble:
        return readiness.Health({}, str(trouble))


def _fargate(played: World, stack: str, say: Say) -> Fargate:
    account = played.account
    return Fargate(
        account.client("ecs"),
        account.client("ssm"),
        account.client("ecr"),
        cluster=stack,
        service=f"{stack}-runners",
        directory=played.data / "tasks",
        bends={**played.network, **played.browser_settings},
        say=say,
    )
