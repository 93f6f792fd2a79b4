"""A directory of an SFTP server. The server must be known, and its key file is all that opens it (no password)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar, cast

import asyncssh

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.places import CHUNK_BYTES, Address, Source

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS: Final = 30
#: A server that answers nothing for three of these is gone.
KEEPALIVE_EVERY_SECONDS: Final = 15


class SftpServer:
    """A directory of an SFTP server; a connection for each call."""

    def __init__(self, address: Address, key: Path | None, *, known_hosts: Path | None) -> None:
        self._address = address
        self._key = key
        self._known_hosts = known_hosts

    @property
    def label(self) -> str:
        return self._address.label

    def names(self) -> list[str]:
        async def listed(client: asyncssh.SFTPClient) -> list[str]:
            entries = await client.readdir(self._address.path)
            return sorted(str(each.filename) for each in entries if each.attrs.type == asyncssh.FILEXFER_TYPE_REGULAR)

        return self._call(listed)

    def write(self, name: str, source: Source) -> None:
        async def write(client: asyncssh.SFTPClient) -> None:
            attributes = asyncssh.SFTPAttrs(permissions=0o600)
            async with client.open(self._path(name), "wb", attributes) as file:
                # In a thread, so that the connection is kept alive while the next bytes are made.
                while chunk := await asyncio.to_thread(source.read, CHUNK_BYTES):
                    await file.write(chunk)
                with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                    await file.fsync()

        self._call(write)

    def read(self, name: str, write: Callable[[bytes], object]) -> None:
        async def read(client: asyncssh.SFTPClient) -> None:
            async with client.open(self._path(name), "rb") as file:
                while chunk := cast(bytes, await file.read(CHUNK_BYTES)):
                    write(chunk)

        self._call(read)

    def rename(self, old: str, new: str) -> None:
        async def rename(client: asyncssh.SFTPClient) -> None:
            try:
                await client.posix_rename(self._path(old), self._path(new))
            except asyncssh.SFTPOpUnsupported:
                with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                    await client.remove(self._path(new))
                await client.rename(self._path(old), self._path(new))

        self._call(rename)

    def remove(self, name: str) -> None:
        async def remove(client: asyncssh.SFTPClient) -> None:
            with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                await client.remove(self._path(name))

        self._call(remove)

    def _path(self, name: str) -> str:
        return f"{self._address.path}/{name}"

    def _call(self, act: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        try:
            return asyncio.run(self._connected(act))
        except asyncssh.HostKeyNotVerifiable:
            raise BackupFailed(
                f"{self.label}: this machine does not know the server's key. Compare it once with "
                f"`sftp {self._address.host}`, or name a file with BACKUP_KNOWN_HOSTS=…."
            ) from None
        except asyncssh.PermissionDenied:
            raise BackupFailed(
                f"{self.label}: the server does not take the key. BACKUP_CREDENTIALS=… names the file of the private "
                "key; the user is a part of BACKUP_TO."
            ) from None
        except asyncssh.KeyImportError:
            raise BackupFailed(
                f"{self.label}: the file of BACKUP_CREDENTIALS holds no private key without a passphrase."
            ) from None
        except asyncssh.SFTPNoSuchFile:
            raise BackupFailed(f"{self.label}: there is no such directory, or not the file: make it there.") from None
        except (OSError, TimeoutError, asyncssh.Error) as error:
            raise BackupFailed(f"{self.label} cannot be used: {error or type(error).__name__}.") from None

    async def _connected(self, act: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        options: dict[str, object] = {}
        if self._key is not None:
            options |= {"client_keys": [str(self._key)], "agent_path": None}
        if self._known_hosts is not None:
            options["known_hosts"] = str(self._known_hosts)
        if self._address.user is not None:
            options["username"] = self._address.user
        async with (
            asyncssh.connect(
                self._address.host,
                self._address.port or 22,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                keepalive_interval=KEEPALIVE_EVERY_SECONDS,
                preferred_auth="publickey",
                **options,
            ) as connection,
            connection.start_sftp_client() as client,
        ):
            return await act(client)
