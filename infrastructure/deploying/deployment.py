"""Deployment of a checkout, in order: check, decide, package, build, propose, confirm, apply, wait, report."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

from chalicelib.model.public_address import unfit_reason
from infrastructure.checkout import checkout
from infrastructure.checks import CheckResult, State, any_bad
from infrastructure.deploying import CannotDeploy, decisions, prerequisites, readiness
from infrastructure.deploying.aws import (
    bootstrap_token,
    images,
    operators,
    operators_webhook,
    public_address,
    sender,
    service_role,
)
from infrastructure.deploying.aws.artifacts import Artifacts, Release
from infrastructure.deploying.aws.changes import ChangeSet
from infrastructure.deploying.aws.stack import Stack, StillChanges
from infrastructure.deploying.context import Context
from infrastructure.deploying.parameters import Parameters
from infrastructure.deploying.settings import Settings
from infrastructure.deploying.stateful_resources import IDENTIFIERS, data_loss
from infrastructure.packaging import package, template
from infrastructure.packaging.package import Architecture, Package

RUNTIME = "python3.13"


def deploy(context: Context, settings: Settings) -> None:
    """Deploys this checkout to the stage. Raises CannotDeploy."""
    account = context.account
    results = prerequisites.check_credentials(account)
    reachable = not any_bad(results)
    parameters = settings.over(context.stack(settings.stack).parameters() if reachable else {})
    architecture = cast("Architecture", parameters.value("Architecture") or package.own_architecture())
    source = checkout(context.repository)
    results += prerequisites.check_machine(settings, source, architecture)
    require(context, [*results, *(prerequisites.check_account(account, parameters) if reachable else ())])
    decided = decisions.decide(account, context.resources(settings.stack), parameters, context.report)
    images.mark_running(account.client("ecr"), context.stack(settings.stack))
    made = _package(context, architecture)
    image = images.ensure_image(account.client("ecr"), settings.stack, source, architecture, report=context.report)
    roll_out(context, settings, parameters.with_decisions(decided), source.commit, made, image)
    finish(context, settings, source.commit)


# -- the steps ---------------------------------------------------------------------------------------------------------


def require(context: Context, results: list[CheckResult], *, quiet: bool = False) -> None:
    """Prints the results, or with ``quiet`` only those that block. Raises CannotDeploy if any blocks."""
    blocking = [result for result in results if result.state is State.BAD and result.blocks]
    for result in blocking if quiet else results:
        context.report(str(result))
    if blocking:
        raise CannotDeploy("Nothing was built or changed: fix what is marked bad above, then try again.")


def roll_out(
    context: Context, settings: Settings, parameters: Parameters, commit: str, made: Package, image: str
) -> None:
    """Applies a package and an image to the stack, and stores them as a release for rollbacks."""
    # Building an image takes long enough for another operator's change, which must not be undone.
    latest = replace(parameters, remembered=context.stack(settings.stack).parameters())
    artifacts = Artifacts(context.account, settings.stack)
    artifacts.ensure_bucket()
    body = template.load(made.template)
    template_key, code_key = artifacts.upload(body, made.zip)
    own = {"Stage": settings.stage, "Commit": commit, "RunnerImage": image, "Architecture": made.architecture}
    values = latest.with_decisions(own).for_template(body["Parameters"])
    if bootstrap_token.ensure(context.account.client("ssm"), settings.stack):
        context.report("the runners' bootstrap token was created")
    if settings.webhook is not None:
        operators_webhook.store(context.account.client("ssm"), settings.stack, settings.webhook)
        context.report("the operators' webhook was " + ("stored" if settings.webhook else "forgotten"))
    service_role.ensure(context.account.client("iam"))
    import_kept_data(context, settings, artifacts, body, values)
    create_data_stores(context, settings, artifacts, body, values)
    release = Release(commit, context.now(), template_key, code_key, image, made.architecture, values)
    try:
        apply_change(context, settings, artifacts.url(template_key), values)
    except StillChanges:
        artifacts.save_release(release)  # it will most likely run, and this process may not see it
        raise
    artifacts.save_release(release)
    images.mark_released(context.account.client("ecr"), settings.stack, image.partition("@")[2])


def apply_change(context: Context, settings: Settings, template_url: str, values: Mapping[str, str]) -> bool:
    """Proposes a change, shows it, asks for agreement and applies it; False if nothing changes. Raises CannotDeploy."""
    stack = context.stack(settings.stack)
    proposed = stack.propose(
        template_url, values, name=f"deploy-{context.now()}", tags={"answerline:stage": settings.stage}
    )
    if proposed is None:
        context.report(f"{settings.stack} is up to date: nothing changes")
        return False
    context.report(f"\n{settings.stack}: {proposed.kind.lower()}\n{proposed}\n")
    if reasons := data_loss(proposed.changes, settings.may_replace):
        stack.discard(proposed)
        raise CannotDeploy("Nothing was changed.\n" + "\n".join(reasons))
    _confirm(context, settings, stack, proposed)
    stack.apply(proposed)
    return True


def import_kept_data(
    context: Context, settings: Settings, artifacts: Artifacts, body: Mapping[str, Any], values: Mapping[str, str]
) -> None:
    """Imports the data that the destroyed stage of this name left behind into the new stack."""
    kept = artifacts.kept()
    stack = context.stack(settings.stack)
    if not kept or stack.exists():
        return
    resources = {name: body["Resources"][name] for name in kept if name in body["Resources"]}
    url = artifacts.url(artifacts.upload_template(_with_only(body, resources)))
    to_import = [
        {"ResourceType": resources[name]["Type"], "LogicalResourceId": name, "ResourceIdentifier": kept[name]}
        for name in resources
    ]
    proposed = stack.propose(url, values, name=f"take-back-{context.now()}", to_import=to_import)
    if proposed is not None:
        context.report(f"\n{settings.stack} was destroyed before and its data kept: it is imported first\n{proposed}\n")
        _confirm(context, settings, stack, proposed)
        stack.apply(proposed)
    artifacts.delete_kept()


def create_data_stores(
    context: Context, settings: Settings, artifacts: Artifacts, body: Mapping[str, Any], values: Mapping[str, str]
) -> None:
    """Creates the resources that hold data first and alone, so that a later failure rolls back to them.

    A rollback of the whole new stack would leave them outside of it, because they are retained, and the next
    deployment would find their names taken.
    """
    if context.stack(settings.stack).exists():
        return
    stores = {name: resource for name, resource in body["Resources"].items() if resource["Type"] in IDENTIFIERS}
    context.report(f"\n{settings.stack} is new: its data stores are created first, then the rest; each change is shown")
    apply_change(context, settings, artifacts.url(artifacts.upload_template(_with_only(body, stores))), values)


def finish(context: Context, settings: Settings, commit: str) -> None:
    """Invites the first operator, waits until the version is ready, and prints the addresses. Raises CannotDeploy."""
    stack = context.stack(settings.stack)
    parameters = stack.parameters()
    address = public_address.read(context.account.client("ssm"), settings.stack)
    if reason := unfit_reason(address):
        raise CannotDeploy(
            f"The stage's public address is {address or 'empty'}: {reason}. Deploy again with BASE_URL=…."
        )
    email = parameters.get("OperatorsEmail", "").partition(",")[0]
    user_pool = stack.resources()["UserPool"][1]
    first = operators.invite_first(
        context.account.client("cognito-idp"), user_pool, email, mailed=not settings.print_password
    )

    def list_runners() -> list[str]:
        return context.runner_commits(context.account.client("dynamodb"), settings.stack, context.pause)

    context.report(f"\nwaiting for {address} and its runners to be at {commit} …")
    health, ready = readiness.wait_until_ready(
        address,
        commit,
        runners=list_runners if int(parameters.get("RunnersAtLeast") or 1) > 0 else None,
        check=context.check_health,
        clock=context.clock,
        pause=context.pause,
    )
    context.report(
        f"\n  admin    {address}/admin\n  address  {address}\n  health   {_describe(health, list_runners())}"
    )
    if first is not None:
        how = f"first password {first.password}" if first.password else "Cognito has mailed the first password"
        context.report(f"  first operator  {first.email}: {how}")
    _report_dns_records(context, parameters)
    if not ready:
        raise CannotDeploy(
            f"It is deployed, but does not answer with {commit} yet: `make doctor STAGE={settings.stage}`."
        )


# -- details -----------------------------------------------------------------------------------------------------------


def _package(context: Context, architecture: Architecture) -> Package:
    context.report("packaging …")
    made = package.build(context.repository / "build" / "deploy", architecture=architecture)
    if made.runtime != RUNTIME:
        raise CannotDeploy(f"The package is for {made.runtime}, and must be for {RUNTIME}: install Python 3.13.")
    context.report(f"the package has {made.zip_bytes / 1e6:.1f} MB")
    return made


def _with_only(body: Mapping[str, Any], resources: Mapping[str, Any]) -> dict[str, Any]:
    """The template with these resources alone, none of which needs another one."""
    left_out = ("Transform", "Globals", "Outputs", "Resources")
    return {**{name: value for name, value in body.items() if name not in left_out}, "Resources": dict(resources)}


def _confirm(context: Context, settings: Settings, stack: Stack, proposed: ChangeSet) -> None:
    if settings.yes:
        return
    try:
        answer = context.ask("Apply this? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        stack.discard(proposed)
        raise CannotDeploy(f"{_state_after_no(context, settings)} (YES=1 agrees without a question.)")


def _state_after_no(context: Context, settings: Settings) -> str:
    """The stage's state after the operator's no: a new stage may have its data stores."""
    resources = context.resources(settings.stack)
    if not resources or any(kind not in IDENTIFIERS for kind, _ in resources.values()):
        return "Nothing was changed."
    return (
        f"The rest was not created: {settings.stack} has its data stores ({', '.join(sorted(resources))}), and nothing"
        f" runs. `make deploy STAGE={settings.stage}` goes on, `make destroy STAGE={settings.stage}` ends it."
    )


def _describe(health: readiness.Health, commits: Collection[str]) -> str:
    if health.error:
        return f"no good answer: {health.error}"
    return f"commit {health.commit}, runners at {', '.join(commits) or 'none'}"


def _report_dns_records(context: Context, parameters: Mapping[str, str]) -> None:
    found = sender.find(context.account.client("sesv2"), parameters.get("MailFrom", ""))
    if not found.verified and (records := sender.dns_records(found)):
        context.report("  mail     is sent once the domain has these records:\n    " + "\n    ".join(records))
