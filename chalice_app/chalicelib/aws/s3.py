"""S3: presigned links with which a runner stores or fetches exactly one object; listing and deletion of objects."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: The lifetime of a link: a slow upload of the largest snapshot fits.
LINK_SECONDS: Final = 900
CONTENT_TYPE: Final = "application/zstd"


@dataclass(frozen=True, slots=True)
class UploadLink:
    """A link that stores one object: the headers are part of the signature, so no other content can be stored."""

    url: str = field(repr=False)
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of the bucket."""

    key: str
    size_bytes: int
    modified_at: int
    #: hex; computed by S3 from the content that it received
    sha256: str | None = None


class Blobs:
    """The objects of a bucket. Signing a link makes no request.

    Args:
        client: a boto3 S3 client that signs with version 4 for the bucket's own region.
        bucket: its name.
        key_id: the KMS key that encrypts what is stored, or its alias.
    """

    def __init__(self, client: "S3Client", bucket: str, key_id: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key_id = key_id

    def sign_upload(self, key: str, *, size_bytes: int, sha256: str) -> UploadLink:
        """Returns a link that stores an object of this length and content, if its key is free.

        Args:
            sha256: of the content, in hex.
        """
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
        return UploadLink(url, headers)

    def sign_download(self, key: str) -> str:
        """Returns a link that fetches this object."""
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=LINK_SECONDS
        )

    def head(self, key: str) -> StoredObject | None:
        """Returns the object's metadata; None if there is none. Raises TransientError."""
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
                return None
            raise TransientError("The store does not answer just now.") from error
        except BotoCoreError as error:
            raise TransientError("The store does not answer just now.") from error
        checksum = found.get("ChecksumSHA256")
        return StoredObject(
            key,
            found["ContentLength"],
            round(found["LastModified"].timestamp() * 1000),
            b64decode(checksum).hex() if checksum else None,
        )

    def list_prefix(self, prefix: str) -> Iterator[StoredObject]:
        """Returns all objects whose key begins with this prefix."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                yield StoredObject(each["Key"], each["Size"], round(each["LastModified"].timestamp() * 1000))

    def delete(self, key: str) -> None:
        """Deletes an object. The bucket keeps deleted versions for some days, so that a person can restore one."""
        self._client.delete_object(Bucket=self._bucket, Key=key)
