"""The deploy bucket: private, with objects by hash, and the stored releases."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.artifacts import Artifacts, Release, with_code
from tests.unit.infrastructure.conftest import STACK

BODY: dict[str, Any] = {
    "Resources": {
        "Think": {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "./deployment.zip", "Timeout": 3}},
        "Queue": {"Type": "AWS::SQS::Queue"},
    }
}
RELEASE = Release("abc", 1, "templates/t.json", "code/c.zip", "uri@sha256:1", "arm64", {"Stage": "unit"})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "deployment.zip"
    path.write_bytes(b"zip")
    return path


def test_the_bucket_is_private_versioned_encrypted_and_https_only(account: Account) -> None:
    artifacts = Artifacts(account, STACK)
    assert not artifacts.exists()
    artifacts.ensure_bucket()
    artifacts.ensure_bucket()  # again is fine
    assert artifacts.exists()
    s3, bucket = account.client("s3"), artifacts.bucket
    assert bucket == f"{STACK}-deploy-{account.identity.account}"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_a_template_points_at_the_uploaded_zip_and_both_are_named_by_their_content(
    account: Account, artifacts: Artifacts, archive: Path
) -> None:
    template_key, code_key = artifacts.upload(BODY, archive)
    functions = artifacts.template(template_key)["Resources"]
    assert functions["Think"]["Properties"] == {"CodeUri": f"s3://{artifacts.bucket}/{code_key}", "Timeout": 3}
    assert functions["Queue"] == {"Type": "AWS::SQS::Queue"}
    assert artifacts.upload(BODY, archive) == (template_key, code_key)
    versions = account.client("s3").list_object_versions(Bucket=artifacts.bucket)["Versions"]
    assert len(versions) == 2  # an existing object is not uploaded again
    archive.write_bytes(b"another zip")
    assert not {template_key, code_key} & set(artifacts.upload(BODY, archive))
    assert BODY["Resources"]["Think"]["Properties"]["CodeUri"] == "./deployment.zip"


def test_cloudformation_finds_the_template(artifacts: Artifacts, archive: Path) -> None:
    key, _ = artifacts.upload(BODY, archive)
    assert artifacts.url(key).endswith(f"/{artifacts.bucket}/{key}")
    assert artifacts.contains(key)
    assert not artifacts.contains("templates/other.json")


def test_releases_are_listed_from_the_newest(artifacts: Artifacts) -> None:
    assert artifacts.releases() == []
    for commit, at in [("old", 1), ("new", 3), ("middle+1a2b3c4d", 2)]:
        artifacts.save_release(replace(RELEASE, commit=commit, at=at))
    assert [release.commit for release in artifacts.releases()] == ["new", "middle+1a2b3c4d", "old"]
    assert artifacts.release("middle+1a2b3c4d") == replace(RELEASE, commit="middle+1a2b3c4d", at=2)
    assert artifacts.release("other") is None


def test_resources_of_a_destroyed_stage_are_listed_until_they_are_imported(artifacts: Artifacts) -> None:
    assert artifacts.kept() == {}
    artifacts.save_kept({"Key": {"KeyId": "1"}})
    assert artifacts.kept() == {"Key": {"KeyId": "1"}}
    artifacts.delete_kept()
    assert artifacts.kept() == {}


def test_another_accounts_bucket_of_this_name_is_never_used(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto has no other owners: S3's answer to ExpectedBucketOwner is given here."""
    artifacts = Artifacts(account, STACK)
    asked: list[dict[str, Any]] = []

    def head(**request: Any) -> None:
        asked.append(request)
        raise ClientError({"Error": {"Code": "403"}}, "HeadBucket")

    monkeypatch.setattr(account.client("s3"), "head_bucket", head)
    with pytest.raises(CannotDeploy, match="belongs to another account"):
        artifacts.ensure_bucket()
    assert asked[0]["ExpectedBucketOwner"] == account.identity.account


def test_only_functions_get_code() -> None:
    assert with_code(BODY, "s3://b/k")["Resources"]["Queue"] == {"Type": "AWS::SQS::Queue"}
