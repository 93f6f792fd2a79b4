"""ECR: the repository of the runners' image, with one image per commit."""

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

#: The number of released images, which a rollback can run again.
IMAGES_KEPT: Final = 10
#: The number of others, by count and not by age: the newest may run although it could not be marked as released.
OTHERS_KEPT: Final = 10
#: The prefix of the tag that marks an image as released.
RELEASED: Final = "released-"
BUILD_SECONDS: Final = 3600
PUSH_SECONDS: Final = 1800
LOGIN_SECONDS: Final = 60


def repository_name(stack: str) -> str:
    """The repository of a stack's runners."""
    return f"{stack}-runner"


def ensure_repository(ecr: Any, stack: str) -> str:
    """Creates the repository if it is missing and returns its address.

    A tag names one image for ever, each image is scanned, and old images expire.
    """
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
    ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json.dumps(_lifecycle_policy()))
    return str(repository["repositoryUri"])


def digest_of(ecr: Any, stack: str, tag: str) -> str | None:
    """Returns the digest of the image with this tag; None if there is none."""
    return _find_digest(ecr, stack, {"imageTag": tag})


def exists(ecr: Any, stack: str, digest: str) -> bool:
    """Returns whether the repository still has the image with this digest."""
    return _find_digest(ecr, stack, {"imageDigest": digest}) is not None


def ensure_image(
    ecr: Any,
    stack: str,
    checkout: Checkout,
    architecture: Architecture,
    *,
    report: Callable[[str], None],
) -> str:
    """Returns the image of this commit by digest; builds and pushes it if it is missing. Raises CannotDeploy."""
    address = ensure_repository(ecr, stack)
    tag = f"{checkout.tag}-{architecture}"
    digest = digest_of(ecr, stack, tag)
    if digest is not None:
        report(f"the runners' image of {checkout.commit} is there already")
        return f"{address}@{digest}"
    try:
        builder = image.first_that_works()
    except image.CannotBuild as error:
        raise CannotDeploy(str(error)) from None
    name = f"{address}:{tag}"
    report(f"building the runners' image with {builder} …")
    # Fresh: a cached layer would ship the Chromium of the day it was built.
    command = image.build_command(builder, name, commit=checkout.commit, architecture=architecture, fresh=True)
    _run(command, BUILD_SECONDS)
    report(f"pushing {name} …")
    _push(ecr, builder, address, name)
    digest = digest_of(ecr, stack, tag)
    if digest is None:
        raise CannotDeploy(f"{builder} reports that it pushed {name}, but ECR does not have it: deploy again.")
    return f"{address}@{digest}"


def mark_released(ecr: Any, stack: str, digest: str) -> None:
    """Tags an image as released: ten of those are kept, however many others were pushed since."""
    if is_released(ecr, stack, digest):
        return
    name = repository_name(stack)
    (found,) = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])["images"]
    kind = {"imageManifestMediaType": found["imageManifestMediaType"]} if "imageManifestMediaType" in found else {}
    ecr.put_image(
        repositoryName=name,
        imageManifest=found["imageManifest"],
        imageTag=_released_tag(digest),
        imageDigest=digest,
        **kind,
    )


def mark_running(ecr: Any, stack: Stack) -> None:
    """Marks the image of a stack that does not change now: its own deployment may have been interrupted before."""
    digest = stack.parameters().get("RunnerImage", "").partition("@")[2]
    if digest and stack.settled() and exists(ecr, stack.name, digest):
        mark_released(ecr, stack.name, digest)


def is_released(ecr: Any, stack: str, digest: str) -> bool:
    """Returns whether this image is marked as released."""
    return digest_of(ecr, stack, _released_tag(digest)) is not None


def delete(ecr: Any, stack: str) -> None:
    """Deletes the repository with all images, if it exists."""
    try:
        ecr.delete_repository(repositoryName=repository_name(stack), force=True)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "RepositoryNotFoundException":
            raise


def _find_digest(ecr: Any, stack: str, image_id: dict[str, str]) -> str | None:
    try:
        found = ecr.describe_images(repositoryName=repository_name(stack), imageIds=[image_id])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return None
        raise
    return next((str(each["imageDigest"]) for each in found["imageDetails"]), None)


def _released_tag(digest: str) -> str:
    return RELEASED + digest.removeprefix("sha256:")


def _lifecycle_policy() -> dict[str, Any]:
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
            {  # never touches an image that the first rule selects
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
    """Pushes the image; the password goes through standard input and is forgotten afterwards."""
    granted = ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = b64decode(granted["authorizationToken"]).decode().partition(":")
    registry = address.partition("/")[0]
    with tempfile.TemporaryDirectory(prefix="answerline-login-") as directory:
        # docker keeps the address of its daemon beside its passwords, so it gets no other place for them.
        isolated = [] if builder == "docker" else ["--authfile", str(Path(directory) / "login.json")]
        login = [builder, "login", *isolated, "--username", user, "--password-stdin", registry]
        _run(login, LOGIN_SECONDS, given=password)
        try:
            _run([builder, "push", *isolated, name], PUSH_SECONDS)
        finally:
            subprocess.run(
                [builder, "logout", *isolated, registry], capture_output=True, timeout=LOGIN_SECONDS, check=False
            )


def _run(command: list[str], seconds: float, *, given: str | None = None) -> None:
    """Runs a command whose output is shown. Raises CannotDeploy if it fails or takes too long."""
    shown = " ".join(command[:2])
    # Provenance would make the tag name an index of images instead of the image.
    environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    try:
        done = subprocess.run(command, input=given, text=True, timeout=seconds, env=environment, check=False)
    except subprocess.TimeoutExpired:
        raise CannotDeploy(f"`{shown}` took longer than {seconds / 60:.0f} minutes; try again.") from None
    if done.returncode:
        raise CannotDeploy(f"`{shown}` ended with {done.returncode}; the lines above say why.")
