"""A stage that is deployed as `make deploy` does it, into a played world."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infrastructure.checkout import REPOSITORY
from infrastructure.checks import State
from infrastructure.deploying import prerequisites, readiness
from infrastructure.deploying.aws import bootstrap_token, operators, public_address
from infrastructure.deploying.context import Context
from infrastructure.deploying.decisions import decide
from infrastructure.deploying.deployment import finish, roll_out
from infrastructure.deploying.settings import Settings
from infrastructure.local.operators import Operator
from infrastructure.packaging import lambda_python
from tests.rehearsal import registry
from tests.rehearsal.fargate import Fargate
from tests.rehearsal.function_python import function_python
from tests.rehearsal.release import Release
from tests.rehearsal.world import World, world

Say = Callable[[str], None]

STAGE = "rehearsal"
OPERATOR = "operator@example.com"
MAIL_FROM = "Rehearsal <line@example.com>"
#: Everything here is faster than on AWS.
POLL_EVERY_SECONDS = 0.5


@dataclass
class Deployed:
    """A stage that runs; the story is told on it."""

    world: World
    stack: str
    base_url: str
    operator: Operator
    resources: int
    fargate: Fargate
    #: of every deployment to it
    context: Context

    def deploy(self, release: Release) -> None:
        """Deploys another release; the stage remembers the settings of the first one."""
        _deploy(self.context, Settings(STAGE, yes=True), release)
        finish(self.context, Settings(STAGE, yes=True), release.source.commit)

    @property
    def admin_url(self) -> str:
        """The address where the operator signs in."""
        return f"{self.base_url}/admin"

    @property
    def outbox_url(self) -> str:
        """The address that shows sent mails."""
        return f"http://localhost:{self.world.ports.outbox}"

    @property
    def phone_url(self) -> str:
        """The address that controls the simulated phones."""
        return f"http://localhost:{self.world.ports.phone}"

    def register(self, task: str) -> tuple[int, str]:
        """Registers as a runner of this task with the real bootstrap token; returns the status and the error code."""
        name = bootstrap_token.name(self.stack)
        token = self.world.account.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        return self.call_as_runner(token, "sync", {"sequence": 1, "capacity": 25, "task": task})

    def call_as_runner(self, token: str, path: str, body: Mapping[str, Any]) -> tuple[int, str]:
        """Calls the runners' API; returns the status and the error code, which is empty in API Gateway's own words."""
        answer = httpx.post(
            f"{self.base_url}/runner/{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            proxy=self.world.internet.proxy,
            verify=self.world.trust,
            timeout=readiness.ANSWER_WITHIN_SECONDS,
        )
        return answer.status_code, str(answer.json().get("code", ""))

    def client_as(self, role: str, service: str) -> Any:
        """Returns a client with the permissions of this role of the stack."""
        name = self.context.resources(self.stack)[role][1]
        arn = self.world.account.client("iam").get_role(RoleName=name)["Role"]["Arn"]
        assumed = self.world.account.client("sts").assume_role(RoleArn=arn, RoleSessionName="rehearsal")["Credentials"]
        return self.world.account.client_with(service, assumed)


@contextmanager
def deployed(release: Release, data: Path, say: Say) -> Iterator[Deployed]:
    """Deploys a release and waits until the stage answers with it; ends everything afterwards."""
    with world(data, function_python(lambda_python.find()), say) as played:
        settings = Settings(
            STAGE,
            given={"MailFrom": MAIL_FROM, "OperatorsEmail": OPERATOR},
            yes=True,
        )
        context = Context(
            played.account,
            REPOSITORY,
            report=lambda text: None,
            pause=lambda seconds: time.sleep(min(seconds, POLL_EVERY_SECONDS)),
            check_health=lambda address: _health(played, address),
        )
        _deploy(context, settings, release)
        resources = context.resources(settings.stack)
        say(f"deployed {len(resources)} resources of {release.source.commit}")
        first = operators.invite_first(
            played.account.client("cognito-idp"), resources["UserPool"][1], OPERATOR, mailed=False
        )
        assert first is not None
        with _fargate(played, settings.stack, say) as fargate:
            finish(context, settings, release.source.commit)
            address = public_address.read(played.account.client("ssm"), settings.stack)
            say(f"{address} and a runner are at {release.source.commit}")
            operator = Operator(first.email, first.password)
            yield Deployed(played, settings.stack, address, operator, len(resources), fargate, context)


def _deploy(context: Context, settings: Settings, release: Release) -> None:
    """Does what `make deploy` does, except for the checks of this machine, packaging, and building the image."""
    parameters = settings.over(context.stack(settings.stack).parameters())
    results = [
        *prerequisites.check_credentials(context.account),
        *prerequisites.check_account(context.account, parameters),
    ]
    blocking = [str(result) for result in results if result.state is State.BAD and result.blocks]
    assert not blocking, blocking
    decided = decide(context.account, context.resources(settings.stack), parameters, context.report)
    image = registry.push(context.account.client("ecr"), settings.stack, release)
    parameters = parameters.with_decisions(decided)
    roll_out(context, settings, parameters, release.source.commit, release.package, image)


def _health(played: World, address: str) -> readiness.Health:
    """Asks as `readiness.check_health` does, through the played Internet."""
    try:
        answer = httpx.get(
            f"{address}/health",
            proxy=played.internet.proxy,
            verify=played.trust,
            timeout=readiness.ANSWER_WITHIN_SECONDS,
        )
        return readiness.Health(answer.raise_for_status().json())
    except (httpx.HTTPError, ValueError) as error:
        return readiness.Health({}, str(error))


def _fargate(played: World, stack: str, say: Say) -> Fargate:
    account = played.account
    return Fargate(
        account.client("ecs"),
        account.client("ssm"),
        account.client("ecr"),
        cluster=stack,
        service=f"{stack}-runners",
        directory=played.data / "tasks",
        overrides={**played.runners_network, **played.browser_settings},
        say=say,
    )
