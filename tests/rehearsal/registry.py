"""Plays what is pushed to ECR and pulled from it: images that are nothing but a manifest with their commit."""

import json
from typing import Any

from infrastructure.checkout import Checkout
from infrastructure.deploying.aws import images
from infrastructure.packaging.package import Architecture

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
#: Also the label of the real image; see runner/Dockerfile.
REVISION = "org.opencontainers.image.revision"


class CannotPull(Exception):
    """ECR does not hold the image that a task's definition names."""


def pushed(ecr: Any, stack: str, checkout: Checkout, architecture: Architecture) -> str:
    """The image of this commit as `make deploy` finds one that it need not build: by digest."""
    images.ensure_repository(ecr, stack)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "layers": [],
        "annotations": {REVISION: checkout.commit},
    }
    ecr.put_image(
        repositoryName=images.repository_name(stack),
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=MANIFEST_TYPE,
        imageTag=f"{checkout.tag}-{architecture}",
    )
    return images.ensure_image(ecr, stack, checkout, architecture, report=lambda text: None)


def commit_of(ecr: Any, image: str) -> str:
    """What the image says of itself; ``image`` names its repository and digest. Raises CannotPull."""
    address, _, digest = image.partition("@")
    name = address.partition("/")[2]
    found = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])["images"]
    if not found:
        raise CannotPull(f"{name} holds no image {digest}")
    return str(json.loads(found[0]["imageManifest"])["annotations"][REVISION])
