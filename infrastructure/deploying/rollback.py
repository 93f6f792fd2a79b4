"""Rollback of a stage to an earlier release, from the artifacts of its deployment."""

import time

from infrastructure.deploying import CannotDeploy, decisions, prerequisites
from infrastructure.deploying.aws import images
from infrastructure.deploying.aws.artifacts import Artifacts, Release
from infrastructure.deploying.context import Context
from infrastructure.deploying.deployment import apply_change, finish, require
from infrastructure.deploying.settings import Settings


def rollback(context: Context, settings: Settings) -> None:
    """Deploys an earlier release again with today's settings; lists the releases without TO. Raises CannotDeploy."""
    account = context.account
    require(context, prerequisites.check_credentials(account), quiet=True)
    artifacts = Artifacts(account, settings.stack)
    if not artifacts.exists():
        raise CannotDeploy(f"Nothing was ever deployed as {settings.stage} from this account and region.")
    stack = context.stack(settings.stack)
    remembered = stack.parameters()
    images.mark_running(account.client("ecr"), stack)
    if not settings.to:
        _list(context, artifacts, remembered.get("Commit", ""))
        return
    release = _find(artifacts, settings.to)
    _require_complete(context, settings, artifacts, release)
    body = artifacts.template(release.template)
    parameters = settings.over({**release.parameters, **remembered})
    decided = {
        "Commit": release.commit,
        "RunnerImage": release.image,
        "Architecture": release.architecture,
        # The stage's own sender, not the release's: a destroyed stage has none, and is deployed again instead.
        "MailIdentity": decisions.mail_identity(account, context.resources(settings.stack), settings.over(remembered)),
    }
    values = parameters.with_decisions(decided).for_template(body["Parameters"])
    apply_change(context, settings, artifacts.url(release.template), values)
    images.mark_released(account.client("ecr"), settings.stack, release.image.partition("@")[2])
    finish(context, settings, release.commit)


def _list(context: Context, artifacts: Artifacts, current: str) -> None:
    releases = artifacts.releases()
    for release in releases:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(release.at / 1000))
        context.report(f"  {release.commit:<22} {at}{'   runs now' if release.commit == current else ''}")
    context.report("roll back with TO=<commit>" if releases else "nothing was released yet")


def _find(artifacts: Artifacts, to: str) -> Release:
    """The release of this commit, or of the only one that begins so."""
    exact = artifacts.release(to)
    if exact is not None:
        return exact
    found = [release for release in artifacts.releases() if release.commit.startswith(to)]
    if len(found) != 1:
        many = f"{len(found)} releases begin with {to}" if found else f"there is no release {to}"
        raise CannotDeploy(f"{many}; `make rollback STAGE=…` without TO lists them.".capitalize())
    return found[0]


def _require_complete(context: Context, settings: Settings, artifacts: Artifacts, release: Release) -> None:
    missing = [key for key in (release.template, release.code) if not artifacts.contains(key)]
    digest = release.image.partition("@")[2]
    if not images.exists(context.account.client("ecr"), settings.stack, digest):
        missing.append(f"the image {digest[:19]}… (the newest {images.IMAGES_KEPT} that ran are kept)")
    if missing:
        raise CannotDeploy(
            f"{release.commit} is not complete any more, {' and '.join(missing)} is gone:"
            " check that commit out and `make deploy` it."
        )
