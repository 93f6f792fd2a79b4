"""The package and the template, deployed as `make deploy` does, into a world that is played."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from infrastructure import packaging_python, template
from infrastructure.deploying import arrival, checks, decisions, operators, secret, workplace
from infrastructure.deploying.artifacts import Artifacts
from infrastructure.deploying.deployment import Place, base_url, change, held, make_stores, settle
from infrastructure.deploying.settings import Settings
from infrastructure.findings import State
from infrastructure.local.environment import REPOSITORY
from infrastructure.local.operators import Operator
from infrastructure.package import Package, build_with, own_architecture
from tests.rehearsal.fargate import Fargate
from tests.rehearsal.lambda_python import lambda_python
from tests.rehearsal.world import World, world

Say = Callable[[str], None]

STAGE = "rehearsal"
OPERATOR = "operator@example.com"
MAIL_FROM = "Rehearsal <line@example.com>"
#: Named by the task's definition and told by the runner; no image has this digest.
IMAGE = f"registry.example.com/answerline-{STAGE}-runner@sha256:{'0' * 64}"
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
        name = secret.name(self.stack)
        token = self.world.account.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        answer = httpx.post(
            f"{self.base_url}/runner/sync",
            json={"sequence": 1, "capacity": 25, "task": task},
            headers={"Authorization": f"Bearer {token}"},
            proxy=self.world.internet.proxy,
            verify=self.world.trust,
            timeout=arrival.ANSWER_WITHIN_SECONDS,
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
        place = Place(
            played.account,
            REPOSITORY,
            say=lambda text: None,
            pause=lambda seconds: time.sleep(min(seconds, LOOK_EVERY_SECONDS)),
            look=lambda address: _health(played, address),
        )
        commit = _deploy(place, settings, made)
        stack = place.stack(settings.stack)
        resources = stack.resources()
        say(f"deployed {len(resources)} resources")
        first = operators.invite_first(
            played.account.client("cognito-idp"), resources["UserPool"][1], OPERATOR, mailed=False
        )
        assert first is not None
        with _fargate(played, settings.stack, commit, say) as fargate:
            settle(place, settings, commit)
            address = base_url(played.account, settings.stack)
            say(f"{address} and a runner are at {commit}")
            operator = Operator(first.email, first.password)
            yield Deployed(played, settings.stack, address, operator, len(resources), fargate)


def _deploy(place: Place, settings: Settings, made: Package) -> str:
    """What `deploying.deployment.deploy` does, in its order, but for the image; the commit that was deployed."""
    architecture = own_architecture()
    findings = [*checks.account(place.account), *checks.stage(place.account, settings, {})]
    wrong = [str(finding) for finding in findings if finding.state is State.BAD and finding.stops]
    assert not wrong, wrong
    commit = workplace.checkout(REPOSITORY).commit
    artifacts = Artifacts(place.account, settings.stack)
    artifacts.ensure_bucket()
    body = template.load(made.template)
    template_key, _ = artifacts.upload(body, made.zip)
    decided = {
        "Stage": settings.stage,
        "Commit": commit,
        "RunnerImage": IMAGE,
        "Architecture": architecture,
        **decisions.decide(place.account, held(place, settings), settings, {}, place.say),
    }
    secret.ensure(place.account.client("ssm"), settings.stack)
    parameters = settings.parameters(body["Parameters"], {}, decided)
    make_stores(place, settings, artifacts, body, parameters)
    change(place, settings, artifacts.url(template_key), parameters)
    return commit


def _health(played: World, address: str) -> arrival.Health:
    """What `arrival.ask` asks, through the played Internet."""
    try:
        answer = httpx.get(
            f"{address}/health", proxy=played.internet.proxy, verify=played.trust, timeout=arrival.ANSWER_WITHIN_SECONDS
        )
        return arrival.Health(answer.raise_for_status().json())
    except (httpx.HTTPError, ValueError) as trouble:
        return arrival.Health({}, str(trouble))


def _fargate(played: World, stack: str, commit: str, say: Say) -> Fargate:
    account = played.account
    return Fargate(
        account.client("ecs"),
        account.client("ssm"),
        cluster=stack,
        service=f"{stack}-runners",
        directory=played.data / "tasks",
        # An image says its commit itself.
        bends={**played.network, **played.browser_settings, "COMMIT": commit},
        say=say,
    )
