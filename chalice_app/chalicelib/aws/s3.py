"""Only S3: links that let a runner store or fetch exactly one object, and what the daily sweep needs."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: How long a link works: a slow upload of the largest snapshot fits.
LINK_SECONDS: Final = 900
CONTENT_TYPE: Final = "application/zstd"


@dataclass(frozen=True, slots=True)
class PutLink:
    """Stores one object: the headers are part of the signature, so nothing else can be stored with it."""

    url: str = field(repr=False)
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies under a key."""

    key: str
    size_bytes: int
    modified_at: int
    #: hex; as S3 computed it from what it received
    sha256: str | None = None


class Blobs:
    """One bucket. Making a link asks nobody.

    Args:
        client: a boto3 S3 client that signs with version 4 for the bucket's own region.
        bucket: its name.
        key_id: the KMS key that encrypts what is stored, or its alias.
    """

    def __init__(self, client: "S3Client", bucket: str, key_id: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key_id = key_id

    def put_link(self, key: str, *, size_bytes: int, sha256: str) -> PutLink:
        """For an object that is not there yet, of this length and content."""
        checksum = b64encode(bytes.fromhex(sha256)).decode("ascii")
        url = self._client.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ContentLength": size_bytes,
                "ContentType": CONTENT_TYPE,
                "ChecksumSHA256": checksum,
                "ServerSideEncryption": "aws:kms",
                "SSEKMSKeyId": self._key_id,
                "IfNoneMatch": "*",
            },
            ExpiresIn=LINK_SECONDS,
            HttpMethod="PUT",
        )
        headers = {
            "Content-Length": str(size_bytes),
            "Content-Type": CONTENT_TYPE,
            "If-None-Match": "*",
            "x-amz-checksum-sha256": checksum,
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id": self._key_id,
        }
        return PutLink(url, headers)

    def get_link(self, key: str) -> str:
        """To fetch this object."""
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=LINK_SECONDS
        )

    def head(self, key: str) -> Stored | None:
        """What S3 says of the object; None if there is none."""
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
                return None
            raise TransientError("The store does not answer just now.") from error
        except BotoCoreError as error:
            raise TransientError("The store does not answer just now.") from error
        checksum = found.get("ChecksumSHA256")
        return Stored(
            key,
            found["ContentLength"],
            round(found["LastModified"].timestamp() * 1000),
            b64decode(checksum).hex() if checksum else None,
        )

    def under(self, prefix: str) -> Iterator[Stored]:
        """Every object whose key begins so."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                yield Stored(each["Key"], each["Size"], round(each["LastModified"].timestamp() * 1000))

    def delete(self, key: str) -> None:
        """The bucket keeps deleted versions for some days, so that a person can undo this."""
        self._client.delete_object(Bucket=self._bucket, Key=key)
