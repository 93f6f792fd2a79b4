"""The order of a deployment: look, package, build, propose, ask, apply, wait, say where it is."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from chalicelib.model.public_address import why_unfit
from infrastructure.checkout import checkout
from infrastructure.checks import Finding, State, is_bad
from infrastructure.deploying import CannotDeploy, decisions, prerequisites, readiness
from infrastructure.deploying.aws import bootstrap_token, images, operators, sender, service_role
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.artifacts import Artifacts, Release
from infrastructure.deploying.aws.changes import ChangeSet, refused
from infrastructure.deploying.aws.stack import Stack, StillChanges
from infrastructure.deploying.parameters import Parameters
from infrastructure.deploying.settings import Settings
from infrastructure.packaging import package, template
from infrastructure.packaging.package import Architecture, Package

RUNTIME = "python3.13"
#: What CloudFormation imports a resource by that a destroyed stage left behind.
IDENTIFIERS: Mapping[str, str] = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::KMS::Key": "KeyId",
    "AWS::Cognito::UserPool": "UserPoolId",
}


@dataclass(frozen=True)
class Place:
    """What a deployment works with; a rehearsal gives others."""

    account: Account
    repository: Path
    say: Callable[[str], None] = print
    #: a question with an answer
    ask: Callable[[str], str] = input
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    look: Callable[[str], readiness.Health] = readiness.ask

    def stack(self, name: str) -> Stack:
        """The stack of this name, which tells its progress here."""
        return Stack(self.account.client("cloudformation"), name, say=self.say, clock=self.clock, pause=self.pause)


def deploy(place: Place, settings: Settings) -> None:
    """This checkout becomes the stage. Raises CannotDeploy."""
    findings = prerequisites.account(place.account)
    reached = not is_bad(findings)
    parameters = settings.over(place.stack(settings.stack).parameters() if reached else {})
    architecture = cast("Architecture", parameters.value("Architecture") or package.own_architecture())
    source = checkout(place.repository)
    findings += prerequisites.here(settings, source, architecture)
    _demand(place, [*findings, *(prerequisites.stage(place.account, parameters) if reached else ())])
    decided = decisions.decide(place.account, held(place, settings), parameters, place.say)
    images.keep_what_runs(place.account.client("ecr"), place.stack(settings.stack))
    made = _packaged(place, architecture)
    image = images.ensure_image(place.account.client("ecr"), settings.stack, source, architecture, say=place.say)
    roll_out(place, settings, parameters.with_decisions(decided), source.commit, made, image)
    settle(place, settings, source.commit)


def rollback(place: Place, settings: Settings) -> None:
    """An earlier release becomes the stage again, with today's settings; without TO they are listed."""
    _demand(place, prerequisites.account(place.account), quiet=True)
    artifacts = Artifacts(place.account, settings.stack)
    if not artifacts.there():
        raise CannotDeploy(f"Nothing was ever deployed as {settings.stage} from this account and region.")
    stack = place.stack(settings.stack)
    remembered = stack.parameters()
    images.keep_what_runs(place.account.client("ecr"), stack)
    if not settings.to:
        _list(place, artifacts, remembered.get("Commit", ""))
        return
    release = _chosen(artifacts, settings.to)
    _demand_whole(place, settings, artifacts, release)
    body = artifacts.body(release.template)
    parameters = settings.over({**release.parameters, **remembered})
    decided = {
        "Commit": release.commit,
        "RunnerImage": release.image,
        "Architecture": release.architecture,
        "MailIdentity": decisions.mail_identity(place.account, held(place, settings), parameters),
    }
    values = parameters.with_decisions(decided).for_template(body["Parameters"])
    change(place, settings, artifacts.url(release.template), values)
    images.mark_released(place.account.client("ecr"), settings.stack, release.image.partition("@")[2])
    settle(place, settings, release.commit)


# -- the steps ---------------------------------------------------------------------------------------------------------


def roll_out(place: Place, settings: Settings, parameters: Parameters, commit: str, made: Package, image: str) -> None:
    """A package and an image become what the stack is made of, and a release that can be gone back to."""
    # Building an image takes long enough for another operator's change, which must not be undone.
    latest = replace(parameters, remembered=place.stack(settings.stack).parameters())
    artifacts = Artifacts(place.account, settings.stack)
    artifacts.ensure_bucket()
    body = template.load(made.template)
    template_key, code_key = artifacts.upload(body, made.zip)
    own = {"Stage": settings.stage, "Commit": commit, "RunnerImage": image, "Architecture": made.architecture}
    values = latest.with_decisions(own).for_template(body["Parameters"])
    if bootstrap_token.ensure(place.account.client("ssm"), settings.stack):
        place.say("the runners' bootstrap token was made")
    service_role.ensure(place.account.client("iam"))
    take_back(place, settings, artifacts, body, values)
    make_stores(place, settings, artifacts, body, values)
    release = Release(commit, place.now(), template_key, code_key, image, made.architecture, values)
    try:
        change(place, settings, artifacts.url(template_key), values)
    except StillChanges:
        artifacts.remember(release)  # it will run, most likely, and nobody may be there to note it
        raise
    artifacts.remember(release)
    images.mark_released(place.account.client("ecr"), settings.stack, image.partition("@")[2])


def change(place: Place, settings: Settings, template_url: str, values: Mapping[str, str]) -> bool:
    """Proposed, shown, agreed to and applied; False if nothing would change. Raises CannotDeploy."""
    stack = place.stack(settings.stack)
    proposed = stack.propose(
        template_url, values, name=f"deploy-{place.now()}", tags={"answerline:stage": settings.stage}
    )
    if proposed is None:
        place.say(f"{settings.stack} is like this already: nothing changes")
        return False
    place.say(f"\n{settings.stack}: {proposed.kind.lower()}\n{proposed}\n")
    if sentences := refused(proposed.changes, settings.may_replace):
        stack.discard(proposed)
        raise CannotDeploy("Nothing was changed.\n" + "\n".join(sentences))
    _agree(place, settings, stack, proposed)
    stack.apply(proposed)
    return True


def take_back(
    place: Place, settings: Settings, artifacts: Artifacts, body: Mapping[str, Any], values: Mapping[str, str]
) -> None:
    """The data of a stage that was destroyed belongs to the new one again."""
    kept = artifacts.kept()
    stack = place.stack(settings.stack)
    if not kept or stack.exists():
        return
    resources = {name: body["Resources"][name] for name in kept if name in body["Resources"]}
    url = artifacts.url(artifacts.upload_template(_only(body, resources)))
    to_import = [
        {"ResourceType": resources[name]["Type"], "LogicalResourceId": name, "ResourceIdentifier": kept[name]}
        for name in resources
    ]
    proposed = stack.propose(url, values, name=f"take-back-{place.now()}", to_import=to_import)
    if proposed is not None:
        place.say(f"\n{settings.stack} was destroyed before, and its data kept: it is taken back first\n{proposed}\n")
        _agree(place, settings, stack, proposed)
        stack.apply(proposed)
    artifacts.forget_kept()


def make_stores(
    place: Place, settings: Settings, artifacts: Artifacts, body: Mapping[str, Any], values: Mapping[str, str]
) -> None:
    """A new stage begins with what holds its data, alone: whatever fails after that can be rolled back to it.

    A rollback would leave stores that it just made, because they are retained, and the next deployment would find
    their names taken.
    """
    if place.stack(settings.stack).exists():
        return
    stores = {name: resource for name, resource in body["Resources"].items() if resource["Type"] in IDENTIFIERS}
    place.say(f"\n{settings.stack} is new: first what holds its data is made, then the rest, each shown before")
    change(place, settings, artifacts.url(artifacts.upload_template(_only(body, stores))), values)


def held(place: Place, settings: Settings) -> dict[str, tuple[str, str]]:
    """What the stack consists of; nothing before it was made."""
    stack = place.stack(settings.stack)
    return stack.resources() if stack.exists() else {}


def settle(place: Place, settings: Settings, commit: str) -> None:
    """Waits until the version is there, makes the first operator, says where everything is. Raises CannotDeploy."""
    stack = place.stack(settings.stack)
    parameters = stack.parameters()
    address = base_url(place.account, settings.stack)
    if reason := why_unfit(address):
        raise CannotDeploy(
            f"The stage's public address is {address or 'empty'}: {reason}. Deploy again with BASE_URL=…."
        )
    email = parameters.get("OperatorsEmail", "")
    first = operators.invite_first(
        place.account.client("cognito-idp"), stack.resources()["UserPool"][1], email, mailed=not settings.print_password
    )
    place.say(f"\nwaiting for {address} and its runners to be at {commit} …")
    runners = int(parameters.get("RunnersAtLeast") or 1) > 0
    health, there = readiness.wait(
        address, commit, runners=runners, look=place.look, clock=place.clock, pause=place.pause
    )
    place.say(f"\n  admin    {address}/admin\n  address  {address}\n  health   {_told(health)}")
    if first is not None:
        how = f"first password {first.password}" if first.password else "Cognito has mailed the first password"
        place.say(f"  first operator  {first.email}: {how}")
    _tell_of_mail(place, parameters)
    if not there:
        raise CannotDeploy(f"It was deployed, but is not seen at {commit} yet: `make doctor STAGE={settings.stage}`.")


def base_url(account: Account, stack: str) -> str:
    """The address that links of this stage carry; empty if it has none."""
    ssm = account.client("ssm")
    try:
        value = ssm.get_parameter(Name=f"/{stack}/public-base-url")["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return ""
    return str(value).rstrip("/")


# -- how ---------------------------------------------------------------------------------------------------------------


def _demand(place: Place, findings: list[Finding], *, quiet: bool = False) -> None:
    """Shows them; raises CannotDeploy if a deployment must not begin like this."""
    stopping = [finding for finding in findings if finding.state is State.BAD and finding.stops]
    for finding in stopping if quiet else findings:
        place.say(str(finding))
    if stopping:
        raise CannotDeploy("Nothing was built or changed: mend what is marked bad above, then try again.")


def _packaged(place: Place, architecture: Architecture) -> Package:
    place.say("packaging …")
    made = package.build(place.repository / "build" / "deploy", architecture=architecture)
    if made.runtime != RUNTIME:
        raise CannotDeploy(f"The package is for {made.runtime}, and must be for {RUNTIME}: install Python 3.13.")
    place.say(f"the package has {made.zip_bytes / 1e6:.1f} MB")
    return made


def _only(body: Mapping[str, Any], resources: Mapping[str, Any]) -> dict[str, Any]:
    """The template with just these resources, none of which needs another one."""
    left_out = ("Transform", "Globals", "Outputs", "Resources")
    return {**{name: value for name, value in body.items() if name not in left_out}, "Resources": dict(resources)}


def _agree(place: Place, settings: Settings, stack: Stack, proposed: ChangeSet) -> None:
    if settings.yes:
        return
    try:
        answer = place.ask("Apply this? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        stack.discard(proposed)
        raise CannotDeploy(f"{_as_it_stands(place, settings)} (YES=1 agrees without being asked.)")


def _as_it_stands(place: Place, settings: Settings) -> str:
    """What is there after a no: of a new stage, its stores may be."""
    resources = held(place, settings)
    if not resources or any(kind not in IDENTIFIERS for kind, _ in resources.values()):
        return "Nothing was changed."
    return (
        f"The rest was not made: {settings.stack} has what holds its data ({', '.join(sorted(resources))}), and nothing"
        f" runs. `make deploy STAGE={settings.stage}` goes on, `make destroy STAGE={settings.stage}` ends it."
    )


def _list(place: Place, artifacts: Artifacts, current: str) -> None:
    found = artifacts.releases()
    for release in found:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(release.at / 1000))
        place.say(f"  {release.commit:<22} {at}{'   runs now' if release.commit == current else ''}")
    place.say("go back with TO=<commit>" if found else "nothing was released yet")


def _chosen(artifacts: Artifacts, to: str) -> Release:
    """By its commit, or the beginning of it."""
    exact = artifacts.release(to)
    if exact is not None:
        return exact
    found = [release for release in artifacts.releases() if release.commit.startswith(to)]
    if len(found) != 1:
        many = f"{len(found)} releases begin with {to}" if found else f"there is no release {to}"
        raise CannotDeploy(f"{many}; `make rollback STAGE=…` without TO lists them.".capitalize())
    return found[0]


def _demand_whole(place: Place, settings: Settings, artifacts: Artifacts, release: Release) -> None:
    gone = [key for key in (release.template, release.code) if not artifacts.holds(key)]
    digest = release.image.partition("@")[2]
    if not images.there(place.account.client("ecr"), settings.stack, digest):
        gone.append(f"the image {digest[:19]}… (the newest {images.IMAGES_KEPT} that ran are kept)")
    if gone:
        raise CannotDeploy(
            f"{release.commit} is not whole any more, {' and '.join(gone)} is gone:"
            " check that commit out and `make deploy` it."
        )


def _told(health: readiness.Health) -> str:
    if health.trouble:
        return f"no good answer: {health.trouble}"
    return f"commit {health.commit}, runners at {', '.join(health.runners) or 'none'}"


def _tell_of_mail(place: Place, parameters: Mapping[str, str]) -> None:
    found = sender.find(place.account.client("sesv2"), parameters.get("MailFrom", ""))
    if not found.verified and (lines := sender.records(found)):
        place.say("  mail     leaves once the domain has these records:\n    " + "\n    ".join(lines))
