"""Serves MiniStack with durable checkpoints; runs inside MiniStack's own virtual environment.

MiniStack keeps its state in memory and writes it to disk only on a graceful shutdown. Therefore this process forks
every few seconds: the child holds a frozen copy of the memory, writes it as one checkpoint (fsync, one rename) and
exits, while the parent goes on serving. So no request waits for a checkpoint, a checkpoint is one instant of all
services together, and ``kill -9`` costs at most the last few seconds. S3 bodies and mails are written on arrival.

NOT guaranteed: that a write acknowledged after the last checkpoint survives a hard stop (``recovery.py`` repairs the
consequences); that an S3 body survives a power cut before the operating system wrote it (mails and checkpoints do).
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

from infrastructure.local.emulator.checkpoints import Checkpoints, CheckpointUnreadable
from infrastructure.local.emulator.door import Door
from infrastructure.local.emulator.middleware import EmulatorMiddleware
from infrastructure.local.signature import AccessKey, local_hosts

#: The interval between checkpoints; none is written while no request comes in.
CHECKPOINT_EVERY_SECONDS = 5.0
#: A child that takes longer is blocked on a lock that some thread held at the fork; the next one will not be.
CHECKPOINT_TIMEOUT_SECONDS = 60


def main() -> int:
    """Serves until SIGTERM; returns 3, with the reason on standard error, if the state on disk cannot be used."""
    arguments = _arguments()
    checkpoints = Checkpoints(arguments.data / "generations")
    try:
        if arguments.checkpoint is not None:
            checkpoints.roll_back_to(arguments.checkpoint)
        newest = checkpoints.newest()
    except CheckpointUnreadable as error:
        print(f"MiniStack does not start: {error}", file=sys.stderr)
        return 3
    _configure(arguments.port, arguments.data)
    if newest is not None:
        try:
            _restore(newest.directory)
        except Exception as error:
            print(f"MiniStack does not start: checkpoint {newest.number}: {error!r}", file=sys.stderr)
            return 3
    checkpoints.clear_clean_stop()
    asyncio.run(_serve(arguments.port, arguments.data / "outbox", checkpoints))
    checkpoints.write(_save)
    checkpoints.mark_clean_stop()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=int)
    return parser.parse_args()


def _configure(port: int, data: Path) -> None:
    """Sets the environment; comes first because MiniStack reads its settings on import."""
    os.environ.update(
        GATEWAY_PORT=str(port),
        BIND_HOST="127.0.0.1",
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "WARNING"),
        PERSIST_STATE="1",
        STATE_DIR=str(data / "unused"),
        S3_PERSIST="1",
        S3_DATA_DIR=str(data / "s3"),
    )
    import ministack.app

    # MiniStack's own load skips a service that cannot be restored, and its own save comes too late: this module
    # does both.
    ministack.app.PERSIST_STATE = False


def _restore(directory: Path) -> None:
    """Restores every service from the checkpoint; unlike MiniStack's own load, it raises if one cannot be restored."""
    from ministack import app
    from ministack.core import persistence

    persistence.STATE_DIR = str(directory)
    for key, module_name in app._state_map.items():
        if not (directory / f"{key}.json").exists():
            continue
        state = persistence.load_state(key)
        if state is None:
            raise RuntimeError(f"{key}.json is from another version of MiniStack")
        app._get_module(module_name).load_persisted_state(state)
    _make_messages_visible()


def _make_messages_visible() -> None:
    """Makes messages in flight visible again: the consumer that received them before the stop is gone."""
    from ministack.services import sqs

    for queue in sqs._queues.all_values():
        for message in queue["messages"]:
            if message["receipt_handle"] is not None:
                message["visible_at"] = 0.0


def _save(directory: Path) -> None:
    """Writes every loaded service's state; unlike MiniStack's own save, it raises if one cannot be written."""
    from ministack import app
    from ministack.core import persistence

    persistence.STATE_DIR = str(directory)
    for key, get_state in app._build_persistence_save_dict().items():
        state = get_state()
        if state is None:
            continue
        persistence.save_state(key, state)
        if not (directory / f"{key}.json").exists():
            raise RuntimeError(f"the state of {key} could not be written")


# -- serving ----------------------------------------------------------------------------------------------------


async def _serve(port: int, outbox: Path, checkpoints: Checkpoints) -> None:
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
    middleware = EmulatorMiddleware(ministack.app.app, outbox)
    # MiniStack verifies presigned links with the same two variables.
    key = AccessKey(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    door = Door(middleware, key, local_hosts(port), lambda: datetime.now(UTC))
    checkpointing = asyncio.create_task(_checkpoint_periodically(checkpoints, middleware))
    try:
        await serve(door, config, shutdown_trigger=stop.wait)
    finally:
        checkpointing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checkpointing


# -- checkpoints ------------------------------------------------------------------------------------------------


async def _checkpoint_periodically(checkpoints: Checkpoints, middleware: EmulatorMiddleware) -> None:
    written = 0
    while True:
        await asyncio.sleep(CHECKPOINT_EVERY_SECONDS)
        seen = middleware.requests
        if seen == written:
            continue
        if await _write_checkpoint(checkpoints):
            written = seen


async def _write_checkpoint(checkpoints: Checkpoints) -> bool:
    """Forks, writes in the child, and waits for it without blocking; returns whether a checkpoint was written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads: see CHECKPOINT_TIMEOUT_SECONDS
        child = os.fork()
    if child == 0:
        _write_and_exit(checkpoints)
    try:
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - it never blocks
            if ended:
                if status != 0:
                    print(f"checkpoint failed with status {status}; the next one is due", file=sys.stderr, flush=True)
                return status == 0
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)  # noqa: ASYNC222 - it was just killed
        raise


def _write_and_exit(checkpoints: Checkpoints) -> None:
    """Runs the child until its exit: it must never reach the parent's event loop or keep its sockets."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHECKPOINT_TIMEOUT_SECONDS)
        os.closerange(3, 65_536)
        os.nice(5)
        checkpoints.write(_save)
        os._exit(0)
    except BaseException as error:
        print(f"checkpoint: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
