"""Places of backups, played by real servers; and a data directory with a table."""

import asyncio
import json
import os
import sqlite3
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import asyncssh
import boto3
import pytest

from infrastructure.local.backup.data_copy import OBJECTS, OUTBOX, RUNNERS, STATE, TABLE

STACK = "answerline-local"
KEY: Final[Mapping[str, Any]] = {"aws_access_key_id": "backup-key-id", "aws_secret_access_key": "backup-secret"}


@dataclass(frozen=True)
class Sftp:
    """An SFTP server on this machine, which lets one key in."""

    port: int
    directory: Path
    key: Path
    known_hosts: Path

    @property
    def address(self) -> str:
        return f"sftp://agency@127.0.0.1:{self.port}/answerline"


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sftp]:
    home = tmp_path_factory.mktemp("sftp")
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    (home / "root" / "answerline").mkdir(parents=True)
    client_key.write_private_key(home / "key")
    client_key.write_public_key(home / "authorized_keys")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def serve() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=str(home / "authorized_keys"),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(home / "root").encode()),
        )

    acceptor = asyncio.run_coroutine_threadsafe(serve(), loop).result(20)
    port = acceptor.get_port()
    public = host_key.export_public_key().decode().strip()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    yield Sftp(port, home / "root" / "answerline", home / "key", home / "known_hosts")
    loop.call_soon_threadsafe(acceptor.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def sftp(sftp_server: Sftp) -> Sftp:
    """The server, with an empty directory."""
    for file in sftp_server.directory.iterdir():
        file.unlink()
    return sftp_server


@pytest.fixture
def s3_credentials(moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The credentials file of an empty bucket ``agency-backups``; the environment points to another AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-stack")
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=10).close()
    session = boto3.Session(region_name="eu-west-1", **KEY)
    client = session.client("s3", endpoint_url=moto_url)
    client.create_bucket(Bucket="agency-backups", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    file = tmp_path / "credentials"
    lines = [f"{name} = {value}" for name, value in KEY.items()]
    file.write_text("\n".join(["[default]", *lines, "region = eu-west-1", f"endpoint_url = {moto_url}", ""]))
    return file


@dataclass(frozen=True)
class Data:
    """A data directory as a stack leaves it, with the table's SQLite file in the engine's layout."""

    directory: Path

    def file(self, name: str | Path, content: bytes | str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def session(self, tenant: str, *, linked: bool = True, snapshots: tuple[str, ...] = ()) -> None:
        """Stores a tenant's login in the table."""
        item: dict[str, object] = {"pk": {"S": f"TENANT#{tenant}"}, "sk": {"S": "SESSION"}, "tenant": {"S": tenant}}
        item["snapshots"] = {"L": [{"M": {"key": {"S": key}}} for key in snapshots]}
        if linked:
            item["number"] = {"S": "15550100"}
        self.put(f"TENANT#{tenant}", "SESSION", item)

    def put(self, pk: str, sk: str, item: dict[str, object]) -> None:
        with closing(sqlite3.connect(self.directory / TABLE)) as database, database:
            row = (f"S:{pk}", f"S:{sk}", json.dumps(item))
            database.execute(f'INSERT OR REPLACE INTO "{STACK}" VALUES (?, ?, ?)', row)

    def snapshot(self, tenant: str, content: bytes) -> str:
        """Stores an object; returns its key."""
        key = f"profiles/{tenant}/{4:016d}-{1:06d}-{sha256(content).hexdigest()}.tar.zst"
        self.file(OBJECTS / "000000000000" / "answerline-local-data" / key, content)
        return key


@pytest.fixture
def data(tmp_path: Path) -> Data:
    made = Data(tmp_path / "data")
    (made.directory / TABLE).parent.mkdir(parents=True)
    with closing(sqlite3.connect(made.directory / TABLE)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f'CREATE TABLE "{STACK}" (pk TEXT, sk TEXT, item_json TEXT, PRIMARY KEY (pk, sk))')
    made.session("bakery", snapshots=(made.snapshot("bakery", b"login of the bakery"),))
    files: dict[str | Path, str] = {
        STATE / "kms.json": '{"keys": 1}',
        OUTBOX / "000000000000001-a.json": "{}",
        OUTBOX / "relayed" / "a": "",
        RUNNERS / "slot-1" / "bakery" / "journal.jsonl": '{"id": "3EB0"}\n',
        RUNNERS / "slot-1" / "bakery" / "keeper.json": '{"epoch": 4, "token": "x"}',
        RUNNERS / "slot-1" / "bakery" / "marker.json": '{"tenant": "bakery", "epoch": 4, "linked": true}',
        RUNNERS / "slot-1" / "bakery" / "current" / "Default" / "Local Storage" / "000003.log": "profile",
        "operator.json": "{}",
        "lock": "",
        "stack.json": "{}",
        "logs/functions.log": "log",
    }
    for name, content in files.items():
        made.file(name, content)
    return made


@pytest.fixture
def clock() -> Callable[[], int]:
    """A clock that moves by a minute with each look."""
    times = iter(range(1_796_000_000_000, 1_800_000_000_000, 60_000))
    return lambda: next(times)
