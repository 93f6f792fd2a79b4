"""A bucket of S3, or of a server that speaks it, with an access key of its own."""

import configparser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.places import CHUNK_BYTES, Address, Source

#: One part after the other: 10,000 of them are 320 GB, and no more than two are in memory.
_TRANSFER: Final = TransferConfig(multipart_threshold=32 << 20, multipart_chunksize=32 << 20, use_threads=False)
_NEEDED: Final = ("aws_access_key_id", "aws_secret_access_key")
#: What a credentials file may say besides.
_OPTIONAL: Final = ("aws_session_token", "region", "endpoint_url")


class Bucket:
    """The objects below one prefix; a file that is being written is no object before it is whole."""

    def __init__(self, address: Address, credentials: Path | None) -> None:
        self._address = address
        self._prefix = f"{address.path.strip('/')}/" if address.path.strip("/") else ""
        self._credentials = credentials
        self._opened: Any = None

    @property
    def label(self) -> str:
        return self._address.label

    def names(self) -> list[str]:
        with self._errors() as client:
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=self._address.host, Prefix=self._prefix, Delimiter="/"
            )
            keys = [str(each["Key"]) for page in pages for each in page.get("Contents", ())]
        return sorted(key.removeprefix(self._prefix) for key in keys if key != self._prefix)

    def write(self, name: str, source: Source) -> None:
        with self._errors() as client:
            client.upload_fileobj(_Filled(source), self._address.host, self._prefix + name, Config=_TRANSFER)

    def read(self, name: str, write: Callable[[bytes], object]) -> None:
        with self._errors() as client:
            body = client.get_object(Bucket=self._address.host, Key=self._prefix + name)["Body"]
            for chunk in body.iter_chunks(CHUNK_BYTES):
                write(chunk)

    def rename(self, old: str, new: str) -> None:
        with self._errors() as client:
            source = {"Bucket": self._address.host, "Key": self._prefix + old}
            client.copy(source, self._address.host, self._prefix + new, Config=_TRANSFER)
            client.delete_object(Bucket=self._address.host, Key=self._prefix + old)

    def remove(self, name: str) -> None:
        with self._errors() as client:
            client.delete_object(Bucket=self._address.host, Key=self._prefix + name)

    @contextmanager
    def _errors(self) -> Iterator[Any]:
        if self._opened is None:
            self._opened = self._client()
        try:
            yield self._opened
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise BackupFailed(f"{self.label}: the server answered {code} to {error.operation_name}.") from None
        except (BotoCoreError, Boto3Error) as error:
            raise BackupFailed(f"{self.label} cannot be reached: {type(error).__name__}.") from None

    def _client(self) -> Any:
        found = _read(self._credentials) if self._credentials is not None else {}
        if not all(found.get(name) for name in _NEEDED):
            raise BackupFailed(
                f"{self.label} needs an access key: BACKUP_CREDENTIALS=… names a file as the AWS CLI has it, with "
                "[default], aws_access_key_id and aws_secret_access_key, and perhaps region and endpoint_url."
            )
        try:
            return boto3.client(
                "s3",
                aws_access_key_id=found["aws_access_key_id"],
                aws_secret_access_key=found["aws_secret_access_key"],
                aws_session_token=found.get("aws_session_token"),
                region_name=found.get("region", "us-east-1"),
                # An explicit address: AWS_ENDPOINT_URL points to this machine's own emulator.
                endpoint_url=found.get("endpoint_url", f"https://s3.{found.get('region', 'us-east-1')}.amazonaws.com"),
                config=Config(
                    connect_timeout=30, read_timeout=120, retries={"total_max_attempts": 5, "mode": "standard"}
                ),
            )
        except (BotoCoreError, ValueError):
            raise BackupFailed(f"{self.label}: region or endpoint_url in the credentials file is not right.") from None


class _Filled:
    """A source that returns less than was asked for only at its end: boto3 takes less for the end."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        filled = bytearray()
        while size < 0 or len(filled) < size:
            chunk = self._source.read(CHUNK_BYTES if size < 0 else min(CHUNK_BYTES, size - len(filled)))
            if not chunk:
                break
            filled += chunk
        return bytes(filled)


def _read(file: Path) -> dict[str, str]:
    parsed = configparser.ConfigParser(interpolation=None)
    try:
        parsed.read_string(file.read_text())
        section = parsed["default"]
    except OSError as error:
        raise BackupFailed(f"The credentials file {file} cannot be read: {error.strerror}.") from None
    except (configparser.Error, KeyError, UnicodeDecodeError):
        # Without the error: it repeats lines of the file.
        raise BackupFailed(f"The credentials file {file} has no section [default] as the AWS CLI writes it.") from None
    return {name: section[name].strip() for name in (*_NEEDED, *_OPTIONAL) if section.get(name, "").strip()}
