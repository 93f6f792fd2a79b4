"""A model of the bucket that holds the snapshots."""

import hashlib

from chalicelib.aws.s3 import StoredObject, UploadLink

STORE = "https://store/"


class Store:
    """The bucket: an object never changes, unless a fault damages it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    # -- as Blobs ------------------------------------------------------------------------------------------------

    def sign_upload(self, key: str, *, size_bytes: int, sha256: str) -> UploadLink:
        return UploadLink(STORE + key, {})

    def sign_download(self, key: str) -> str:
        return STORE + key

    def head(self, key: str) -> StoredObject | None:
        found = self.objects.get(key)
        return None if found is None else StoredObject(key, len(found), 0, hashlib.sha256(found).hexdigest())

    # -- as S3 ---------------------------------------------------------------------------------------------------

    def put(self, url: str, content: bytes) -> int:
        key = url.removeprefix(STORE)
        if key in self.objects:
            return 412
        self.objects[key] = content
        return 200

    def get(self, url: str) -> tuple[int, bytes]:
        found = self.objects.get(url.removeprefix(STORE))
        return (404, b"") if found is None else (200, found)
