"""Serves MiniStack with its state written through; runs inside MiniStack's own virtual environment.

MiniStack keeps its state in memory and writes it only on a graceful shutdown. Here each change is on the disk before it
is acknowledged (``state.py``, ``objects.py``, the mail spool), so that neither ``kill -9`` nor a power cut loses it.

NOT guaranteed: that the queue survives either (``state.py``).
"""

import argparse
import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from infrastructure.local.emulator.door import Door
from infrastructure.local.emulator.former_state import DIRECTORY, FormerStateUnreadable, newest_checkpoint
from infrastructure.local.emulator.middleware import EmulatorMiddleware
from infrastructure.local.emulator.objects import ObjectFiles
from infrastructure.local.emulator.state import ALL_STATES, MiniStack, State, StateUnreadable
from infrastructure.local.emulator.write_through import WriteThrough
from infrastructure.local.signature import AccessKey, local_hosts

#: What MiniStack serves; the table has an engine of its own.
SERVICES = ("s3", "sqs", "kms", "ssm", "ses", "cognito-idp", "ecs")
#: The state of the table in a former release's checkpoint.
FORMER_TABLE = "dynamodb"


def main() -> int:
    """Serves until SIGTERM; returns 3, with the reason on standard error, if the state on disk cannot be used."""
    arguments = _arguments()
    data: Path = arguments.data
    _configure(arguments.port, data, (*SERVICES, FORMER_TABLE) if arguments.former else SERVICES)
    state = State(data / "state", MiniStack())
    try:
        if arguments.former:
            _load_former(data / DIRECTORY)
            state.save_all()
        else:
            state.load()
    except (StateUnreadable, FormerStateUnreadable) as error:
        print(f"MiniStack does not start: {error}", file=sys.stderr)
        return 3
    _make_messages_visible()
    objects = ObjectFiles()
    _install(objects)
    asyncio.run(_serve(arguments.port, data / "outbox", state, objects))
    state.save_all()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--former", action="store_true", help="load a former release's checkpoint, with its table")
    return parser.parse_args()


def _configure(port: int, data: Path, services: tuple[str, ...]) -> None:
    """Sets the environment; comes first because MiniStack reads its settings on import."""
    os.umask(0o077)
    os.environ.update(
        GATEWAY_PORT=str(port),
        BIND_HOST="127.0.0.1",
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "WARNING"),
        SERVICES=",".join(services),
        PERSIST_STATE="1",
        STATE_DIR=str(data / "unused"),
        S3_PERSIST="1",
        S3_DATA_DIR=str(data / "s3"),
    )
    import ministack.app

    # MiniStack's own load skips a service that cannot be restored, and its own save comes too late: state.py does both.
    ministack.app.PERSIST_STATE = False


def _load_former(generations: Path) -> None:
    checkpoint = newest_checkpoint(generations)
    if checkpoint is None:
        raise FormerStateUnreadable(f"There is no checkpoint in {generations}.")
    emulator = MiniStack()
    for state in (*ALL_STATES, FORMER_TABLE):
        path = checkpoint.directory / f"{state}.json"
        if path.name not in checkpoint.files:
            continue
        try:
            emulator.load(state, path.read_bytes())
        except Exception as error:
            raise FormerStateUnreadable(f"{path} cannot be loaded ({error!r}). Nothing was changed.") from error


def _make_messages_visible() -> None:
    """Makes messages in flight visible again: the consumer that received them before the stop is gone."""
    from ministack.services import sqs

    for queue in sqs._queues.all_values():
        for message in queue["messages"]:
            if message["receipt_handle"] is not None:
                message["visible_at"] = 0.0


def _install(objects: ObjectFiles) -> None:
    from ministack.services import s3

    objects.install(s3)


async def _serve(port: int, outbox: Path, state: State, objects: ObjectFiles) -> None:
    import ministack.app
    from hypercorn.asyncio import serve  # type: ignore[import-not-found]
    from hypercorn.config import Config  # type: ignore[import-not-found]

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 3
    config.loglevel = "WARNING"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    middleware = WriteThrough(EmulatorMiddleware(ministack.app.app, outbox), state, objects)
    # MiniStack verifies presigned links with the same two variables.
    key = AccessKey(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    door = Door(middleware, key, local_hosts(port), lambda: datetime.now(UTC))
    await serve(door, config, shutdown_trigger=stop.wait)


if __name__ == "__main__":
    sys.exit(main())
