"""The runners' image: one per commit, built once, pushed with a password that is not shown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infrastructure.checkout import Checkout
from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws import images
from infrastructure.deploying.aws.account import Account
from tests.unit.infrastructure.conftest import STACK

Put = Callable[[str, str], Path]
CLEAN = Checkout("abc123abc123")
TAG = "abc123abc123-arm64"
#: As Docker describes an image; ECR only needs its digest.
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"})


def ensured(account: Account, reported: list[str], checkout: Checkout = CLEAN) -> str:
    return images.ensure_image(account.client("ecr"), STACK, checkout, "arm64", report=reported.append)


def notes(tmp_path: Path) -> list[str]:
    """The calls of the fake builder, a line each."""
    return (tmp_path / "notes").read_text().splitlines()


@pytest.fixture
def podman(programs: Put, tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A builder that notes its calls, and its standard input at login."""
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    script = 'echo "$@" >>"$NOTES"\n[ "$1" = login ] && cat >"$NOTES.password"\nexit 0'
    return programs("podman", script)


def pushes(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds a pushed image to the registry, which the fake builder does not reach."""
    really = images._run

    def run(command: list[str], seconds: float, **more: Any) -> None:
        really(command, seconds, **more)
        if command[1] == "push":
            account.client("ecr").put_image(
                repositoryName=images.repository_name(STACK),
                imageManifest=MANIFEST,
                imageTag=command[-1].rpartition(":")[2],
            )

    monkeypatch.setattr(images, "_run", run)


def test_an_image_is_built_pushed_and_named_by_digest(
    account: Account, podman: Path, tmp_path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes(account, monkeypatch)
    address, _, digest = ensured(account, reported).partition("@")
    assert address.endswith(f"/{STACK}-runner")
    assert digest.startswith("sha256:")
    verbs = [line.split()[0] for line in notes(tmp_path)]
    assert verbs == ["info", "build", "login", "push", "logout"]
    build, push = notes(tmp_path)[1], notes(tmp_path)[3]
    assert f"{address}:{TAG}" in build
    assert f"{address}:{TAG}" in push
    assert "COMMIT=abc123abc123" in build
    assert "linux/arm64" in build
    assert "--no-cache" in build, "a cached layer would ship an old Chromium"


def test_the_password_goes_through_standard_input_and_is_forgotten(
    account: Account, podman: Path, tmp_path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes(account, monkeypatch)
    ensured(account, reported)
    password = (tmp_path / "notes.password").read_text()
    assert password
    login = notes(tmp_path)[2]
    assert "--password-stdin" in login
    assert all(password not in line for line in [*notes(tmp_path), *reported])
    authfile = login.split("--authfile ")[1].split()[0]
    assert not Path(authfile).parent.exists()


def test_an_existing_image_is_not_built_again(
    account: Account, podman: Path, tmp_path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes(account, monkeypatch)
    first = ensured(account, reported)
    (tmp_path / "notes").write_text("")
    assert ensured(account, reported) == first
    assert notes(tmp_path) == []


def test_another_state_of_the_checkout_is_another_image(
    account: Account, podman: Path, tmp_path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes(account, monkeypatch)
    ensured(account, reported)
    ensured(account, reported, Checkout("abc123abc123+1a2b3c4d"))
    built = [line for line in notes(tmp_path) if line.startswith("build")]
    assert len(built) == 2
    assert ":abc123abc123-1a2b3c4d-arm64" in built[1]


def test_a_push_is_verified(account: Account, podman: Path, reported: list[str]) -> None:
    with pytest.raises(CannotDeploy, match="ECR does not have it"):
        ensured(account, reported)


def test_a_build_that_fails_ends_the_deployment_before_anything_is_pushed(
    account: Account, programs: Put, tmp_path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    programs("buildah", 'echo "$@" >>"$NOTES"\n[ "$1" = build ] && exit 3\nexit 0')
    with pytest.raises(CannotDeploy, match=r"`buildah build` ended with 3"):
        ensured(account, reported)
    assert not any(line.startswith(("login", "push")) for line in notes(tmp_path))


def test_a_login_is_forgotten_also_when_the_push_fails(
    account: Account, programs: Put, tmp_path: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    programs("docker", 'echo "$@" >>"$NOTES"\n[ "$1" = push ] && exit 1\nexit 0')
    with pytest.raises(CannotDeploy, match="docker push"):
        ensured(account, reported)
    assert notes(tmp_path)[-1].startswith("logout")


def test_a_builder_that_hangs_is_ended(programs: Put, reported: list[str]) -> None:
    program = programs("podman", "exec sleep 30")
    with pytest.raises(CannotDeploy, match="took longer"):
        images._run([str(program), "build"], 0.2)


def test_without_a_builder_the_error_names_those_to_install(
    account: Account, programs: Put, reported: list[str]
) -> None:
    with pytest.raises(CannotDeploy, match="docker, podman, buildah"):
        ensured(account, reported)


def test_the_repository_has_immutable_tags_scans_and_expires_old_images(account: Account) -> None:
    ecr = account.client("ecr")
    address = images.ensure_repository(ecr, STACK)
    assert images.ensure_repository(ecr, STACK) == address
    (repository,) = ecr.describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    policy = json.loads(ecr.get_lifecycle_policy(repositoryName=repository["repositoryName"])["lifecyclePolicyText"])
    ran, tried = (rule["selection"] for rule in policy["rules"])
    assert (ran["tagPrefixList"], ran["countNumber"]) == (["released-"], images.IMAGES_KEPT)
    assert (tried["tagStatus"], tried["countType"]) == ("any", "imageCountMoreThan"), "age is no reason: it may run"
    assert tried["countNumber"] == images.OTHERS_KEPT


def test_a_released_image_is_marked_once_so_that_unreleased_ones_do_not_displace_it(
    account: Account, podman: Path, reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes(account, monkeypatch)
    ecr = account.client("ecr")
    digest = ensured(account, reported).partition("@")[2]
    for _ in range(2):
        images.mark_released(ecr, STACK, digest)
    (found,) = ecr.describe_images(repositoryName=images.repository_name(STACK))["imageDetails"]
    assert found["imageDigest"] == digest
    assert sorted(found["imageTags"]) == [TAG, f"released-{digest.removeprefix('sha256:')}"]


def test_a_removed_repository_may_be_removed_again(account: Account) -> None:
    ecr = account.client("ecr")
    images.ensure_repository(ecr, STACK)
    images.delete(ecr, STACK)
    images.delete(ecr, STACK)
    assert ecr.describe_repositories()["repositories"] == []
    assert images.digest_of(ecr, STACK, TAG) is None
