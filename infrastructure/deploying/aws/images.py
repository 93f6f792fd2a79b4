"""ECR: the repository of the runners' image, and one image per commit."""

import json
import os
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from infrastructure.checkout import Checkout
from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws.stack import Stack
from infrastructure.packaging import image
from infrastructure.packaging.package import Architecture

#: So many commits that ran can be rolled back to.
IMAGES_KEPT: Final = 10
#: Of the others so many stay, by number and not by age: the newest may run although nobody was there to mark it.
OTHERS_KEPT: Final = 10
RELEASED: Final = "released-"
BUILD_SECONDS: Final = 3600
PUSH_SECONDS: Final = 1800
LOGIN_SECONDS: Final = 60


def repository_name(stack: str) -> str:
    """The repository of a stack's runners."""
    return f"{stack}-runner"


def ensure_repository(ecr: Any, stack: str) -> str:
    """The repository's address, made if missing: a tag names one image, each is scanned, ten that ran are kept."""
    name = repository_name(stack)
    try:
        repository = ecr.create_repository(
            repositoryName=name,
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
            encryptionConfiguration={"encryptionType": "AES256"},
            tags=[{"Key": "answerline:stack", "Value": stack}],
        )["repository"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "RepositoryAlreadyExistsException":
            raise
        repository = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json.dumps(_kept()))
    return str(repository["repositoryUri"])


def pushed(ecr: Any, stack: str, tag: str) -> str | None:
    """The digest of the image with this tag."""
    return _digest(ecr, stack, {"imageTag": tag})


def there(ecr: Any, stack: str, digest: str) -> bool:
    """Whether the image with this digest was not forgotten yet."""
    return _digest(ecr, stack, {"imageDigest": digest}) is not None


def ensure_image(
    ecr: Any,
    stack: str,
    checkout: Checkout,
    architecture: Architecture,
    *,
    say: Callable[[str], None],
) -> str:
    """The image of this commit by digest, built and pushed if the repository lacks it. Raises CannotDeploy."""
    address = ensure_repository(ecr, stack)
    tag = f"{checkout.tag}-{architecture}"
    digest = pushed(ecr, stack, tag)
    if digest is not None:
        say(f"the runners' image of {checkout.commit} is there already")
        return f"{address}@{digest}"
    try:
        builder = image.first_that_works()
    except image.CannotBuild as error:
        raise CannotDeploy(str(error)) from None
    name = f"{address}:{tag}"
    say(f"building the runners' image with {builder} …")
    # Fresh: a cached layer would ship the Chromium of the day it was made.
    command = image.build_command(builder, name, commit=checkout.commit, architecture=architecture, fresh=True)
    _run(command, BUILD_SECONDS)
    say(f"pushing {name} …")
    _push(ecr, builder, address, name)
    digest = pushed(ecr, stack, tag)
    if digest is None:
        raise CannotDeploy(f"{builder} says that it pushed {name}, but ECR does not know it: deploy again.")
    return f"{address}@{digest}"


def mark_released(ecr: Any, stack: str, digest: str) -> None:
    """This image runs: of such ones ten are kept, however many were pushed in vain since."""
    if marked_released(ecr, stack, digest):
        return
    name = repository_name(stack)
    (found,) = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])["images"]
    kind = {"imageManifestMediaType": found["imageManifestMediaType"]} if "imageManifestMediaType" in found else {}
    ecr.put_image(
        repositoryName=name,
        imageManifest=found["imageManifest"],
        imageTag=_released(digest),
        imageDigest=digest,
        **kind,
    )


def keep_what_runs(ecr: Any, stack: Stack) -> None:
    """Marks the image of a stack that is at rest: nobody may have been there any more to do so when it came up."""
    digest = stack.parameters().get("RunnerImage", "").partition("@")[2]
    if digest and stack.settled() and there(ecr, stack.name, digest):
        mark_released(ecr, stack.name, digest)


def marked_released(ecr: Any, stack: str, digest: str) -> bool:
    """Whether this image is kept as one that ran."""
    return pushed(ecr, stack, _released(digest)) is not None


def remove(ecr: Any, stack: str) -> None:
    """The repository with all images; none is fine."""
    try:
        ecr.delete_repository(repositoryName=repository_name(stack), force=True)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "RepositoryNotFoundException":
            raise


def _digest(ecr: Any, stack: str, image_id: dict[str, str]) -> str | None:
    try:
        found = ecr.describe_images(repositoryName=repository_name(stack), imageIds=[image_id])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return None
        raise
    return next((str(each["imageDigest"]) for each in found["imageDetails"]), None)


def _released(digest: str) -> str:
    return RELEASED + digest.removeprefix("sha256:")


def _kept() -> dict[str, Any]:
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": f"keep {IMAGES_KEPT} that ran",
                "selection": {
                    "tagStatus": "tagged",
                    "tagPrefixList": [RELEASED],
                    "countType": "imageCountMoreThan",
                    "countNumber": IMAGES_KEPT,
                },
                "action": {"type": "expire"},
            },
            {  # what the rule before selects, this one never touches
                "rulePriority": 2,
                "description": f"of all others keep the newest {OTHERS_KEPT}",
                "selection": {
                    "tagStatus": "any",
                    "countType": "imageCountMoreThan",
                    "countNumber": OTHERS_KEPT,
                },
                "action": {"type": "expire"},
            },
        ]
    }


def _push(ecr: Any, builder: str, address: str, name: str) -> None:
    """The password goes through standard input, and is forgotten afterwards."""
    granted = ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = b64decode(granted["authorizationToken"]).decode().partition(":")
    registry = address.partition("/")[0]
    with tempfile.TemporaryDirectory(prefix="answerline-login-") as directory:
        # docker keeps where its daemon is beside its passwords, so it is not given another place for them.
        apart = [] if builder == "docker" else ["--authfile", str(Path(directory) / "login.json")]
        login = [builder, "login", *apart, "--username", user, "--password-stdin", registry]
        _run(login, LOGIN_SECONDS, given=password)
        try:
            _run([builder, "push", *apart, name], PUSH_SECONDS)
        finally:
            subprocess.run(
                [builder, "logout", *apart, registry], capture_output=True, timeout=LOGIN_SECONDS, check=False
            )


def _run(command: list[str], seconds: float, *, given: str | None = None) -> None:
    """What it prints is shown. Raises CannotDeploy when it fails or takes too long."""
    doing = " ".join(command[:2])
    # Provenance would make the tag name an index of images instead of the image.
    environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    try:
        done = subprocess.run(command, input=given, text=True, timeout=seconds, env=environment, check=False)
    except subprocess.TimeoutExpired:
        raise CannotDeploy(f"`{doing}` took longer than {seconds / 60:.0f} minutes; try again.") from None
    if done.returncode:
        raise CannotDeploy(f"`{doing}` ended with {done.returncode}; the lines above say why.")
