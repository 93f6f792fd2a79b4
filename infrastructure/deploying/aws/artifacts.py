"""S3: the deploy bucket, with packages and templates by hash, releases by commit, and what a destroyed stage left."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws.account import Account

MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})


@dataclass(frozen=True)
class Release:
    """A version that was deployed, with everything that makes it run again."""

    commit: str
    #: epoch milliseconds
    at: int
    template: str
    code: str
    image: str
    architecture: str
    #: stack parameter → value, as deployed
    parameters: dict[str, str]


class Artifacts:
    """The deploy bucket of one stack.

    Args:
        account: the account that owns the bucket.
        stack: the stack's name.
    """

    def __init__(self, account: Account, stack: str) -> None:
        self._account = account
        self._stack = stack
        self._s3 = account.client("s3")
        self._owner = {"ExpectedBucketOwner": account.identity.account}

    @property
    def bucket(self) -> str:
        """The bucket's name; another account's bucket of this name is never used."""
        return f"{self._stack}-deploy-{self._account.identity.account}"

    def ensure_bucket(self) -> None:
        """Makes the bucket private, versioned, encrypted and HTTPS only; creates it if it is missing."""
        if not self.exists():
            region = self._account.region
            more = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            try:
                self._s3.create_bucket(Bucket=self.bucket, ObjectOwnership="BucketOwnerEnforced", **more)
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                raise CannotDeploy(f"The bucket {self.bucket} cannot be created ({code}).") from None
        s3, bucket = self._s3, {"Bucket": self.bucket, **self._owner}
        private = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        s3.put_public_access_block(**bucket, PublicAccessBlockConfiguration=private)
        s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
        encrypted = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration={"Rules": [encrypted]})
        s3.put_bucket_policy(**bucket, Policy=json.dumps(self._policy()))
        s3.put_bucket_tagging(**bucket, Tagging={"TagSet": [{"Key": "answerline:stack", "Value": self._stack}]})

    def exists(self) -> bool:
        """Returns whether the bucket exists in this account. Raises CannotDeploy if another account has it."""
        try:
            self._s3.head_bucket(Bucket=self.bucket, **self._owner)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in MISSING:
                return False
            if code == "403":
                raise CannotDeploy(
                    f"The bucket {self.bucket} belongs to another account, or these credentials may not read it."
                ) from None
            raise
        return True

    def upload(self, body: dict[str, Any], archive: Path) -> tuple[str, str]:
        """Uploads the zip and a template whose functions point at it; returns the keys of the template and the zip."""
        code = archive.read_bytes()
        code_key = f"code/{hashlib.sha256(code).hexdigest()}.zip"
        self._put(code_key, code, "application/zip")
        return self.upload_template(with_code(body, f"s3://{self.bucket}/{code_key}")), code_key

    def upload_template(self, body: dict[str, Any]) -> str:
        """Uploads a template; returns its key, which is its hash."""
        text = json.dumps(body, sort_keys=True, indent=1).encode()
        key = f"templates/{hashlib.sha256(text).hexdigest()}.json"
        self._put(key, text, "application/json")
        return key

    def url(self, key: str) -> str:
        """Returns the address from which CloudFormation reads an object."""
        return f"{self._s3.meta.endpoint_url}/{self.bucket}/{key}"

    def contains(self, key: str) -> bool:
        """Returns whether the object is in the bucket."""
        try:
            self._s3.head_object(Bucket=self.bucket, Key=key, **self._owner)
        except ClientError as error:
            if str(error.response.get("Error", {}).get("Code")) not in MISSING:
                raise
            return False
        return True

    def template(self, key: str) -> dict[str, Any]:
        """Reads an uploaded template."""
        return dict(json.loads(self._get(key) or b"{}"))

    # -- releases, and what a destroyed stage left behind --------------------------------------------------------

    def save_release(self, release: Release) -> None:
        """Stores a release, so that a rollback can deploy it again."""
        self._write(f"releases/{release.commit}.json", asdict(release))

    def release(self, commit: str) -> Release | None:
        """Reads the release of this commit; None if it was never deployed."""
        content = self._get(f"releases/{commit}.json")
        return Release(**json.loads(content)) if content is not None else None

    def releases(self) -> list[Release]:
        """Lists all releases, newest first."""
        found = []
        for page in self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix="releases/", **self._owner
        ):
            for entry in page.get("Contents", ()):
                found.append(Release(**json.loads(self._get(entry["Key"]) or b"{}")))
        return sorted(found, key=lambda release: release.at, reverse=True)

    def save_kept(self, identifiers: dict[str, dict[str, str]]) -> None:
        """Stores what a destroyed stage leaves behind: logical id → the identifier for CloudFormation's import."""
        self._write("kept.json", identifiers)

    def kept(self) -> dict[str, dict[str, str]]:
        """Reads what a destroyed stage left behind; empty if nothing."""
        content = self._get("kept.json")
        return dict(json.loads(content)) if content is not None else {}

    def delete_kept(self) -> None:
        """Deletes the list, once a new stage has imported the resources."""
        self._s3.delete_object(Bucket=self.bucket, Key="kept.json", **self._owner)

    # -- S3 ---------------------------------------------------------------------------------------------------

    def _put(self, key: str, content: bytes, kind: str) -> None:
        """Uploads an object that is named by its hash, unless it exists."""
        if not self.contains(key):
            self._s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=content,
                ContentType=kind,
                ChecksumAlgorithm="SHA256",
                **self._owner,
            )

    def _write(self, key: str, value: Any) -> None:
        text = json.dumps(value, indent=1, sort_keys=True).encode()
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=text, ContentType="application/json", **self._owner)

    def _get(self, key: str) -> bytes | None:
        try:
            return bytes(self._s3.get_object(Bucket=self.bucket, Key=key, **self._owner)["Body"].read())
        except ClientError as error:
            if str(error.response.get("Error", {}).get("Code")) in MISSING:
                return None
            raise

    def _policy(self) -> dict[str, Any]:
        arn = f"arn:{self._account.partition}:s3:::{self.bucket}"
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OnlyEncryptedConnections",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [arn, f"{arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }


def with_code(body: dict[str, Any], uri: str) -> dict[str, Any]:
    """Returns a copy of the template in which every function's code is at this place."""
    resources = {
        name: {**resource, "Properties": {**resource["Properties"], "CodeUri": uri}}
        if resource["Type"] == "AWS::Serverless::Function"
        else resource
        for name, resource in body["Resources"].items()
    }
    return {**body, "Resources": resources}
