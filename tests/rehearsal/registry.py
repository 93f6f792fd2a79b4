"""Plays ECR's images: manifests without layers, which name their commit and the folder of its code."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.deploying.aws import images
from tests.rehearsal.release import Release

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
#: Also the label of the real image; see runner/Dockerfile.
REVISION = "org.opencontainers.image.revision"
#: Ours: the folder from which the runner's process starts.
FOLDER = "answerline.rehearsal.folder"


class CannotPull(Exception):
    """ECR does not have the image that a task's definition names."""


@dataclass(frozen=True)
class Image:
    """The content of an image, as far as a rehearsal has any."""

    commit: str
    repository: Path


def push(ecr: Any, stack: str, release: Release) -> str:
    """Pushes the image of a release and returns it by digest, as `make deploy` finds an image that exists."""
    images.ensure_repository(ecr, stack)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "layers": [],
        "annotations": {REVISION: release.source.commit, FOLDER: str(release.repository)},
    }
    ecr.put_image(
        repositoryName=images.repository_name(stack),
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=MANIFEST_TYPE,
        imageTag=f"{release.source.tag}-{release.package.architecture}",
    )
    return images.ensure_image(ecr, stack, release.source, release.package.architecture, report=lambda text: None)


def pull(ecr: Any, name: str) -> Image:
    """Reads the image whose ``name`` is its repository and digest. Raises CannotPull."""
    address, _, digest = name.partition("@")
    repository = address.partition("/")[2]
    found = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])["images"]
    if not found:
        raise CannotPull(f"{repository} has no image {digest}")
    annotations = json.loads(found[0]["imageManifest"])["annotations"]
    return Image(annotations[REVISION], Path(annotations[FOLDER]))
