"""Serves MiniStack durably; runs inside MiniStack's own virtual environment and imports nothing else of ours.

MiniStack keeps everything in memory and writes it down only when it is asked to stop. Every few seconds this process
therefore forks: the child holds a frozen copy of the memory, writes it as one generation (fsync, one rename) and
ends, while the parent goes on serving. So no request waits for a checkpoint, a checkpoint is one instant of all
services together, and ``kill -9`` costs at most the last few seconds. S3 bodies and mails are written when they come.

NOT guaranteed: what was acknowledged after the last checkpoint survives a hard stop (``recovery.py`` repairs what
that would break); an S3 body survives a power cut before the operating system wrote it (mails and generations do).
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import warnings
from pathlib import Path

from infrastructure.local.emulator.checkpoints import Generations, Unreadable
from infrastructure.local.emulator.front import Door

CHECKPOINT_EVERY_SECONDS = 5.0
#: A child that takes longer is stuck on a lock that some thread held at the fork; the next one will not be.
CHECKPOINT_AT_MOST_SECONDS = 60


def main() -> int:
    """Serve until SIGTERM; 3 means that the state on disk cannot be used and standard error says why."""
    arguments = _arguments()
    generations = Generations(arguments.data / "generations")
    try:
        if arguments.generation is not None:
            generations.go_back_to(arguments.generation)
        newest = generations.newest()
    except Unreadable as error:
        print(f"MiniStack does not start: {error}", file=sys.stderr)
        return 3
    _configure(arguments.port, arguments.data)
    if newest is not None:
        try:
            _restore(newest.directory)
        except Exception as error:
            print(f"MiniStack does not start: generation {newest.number}: {error!r}", file=sys.stderr)
            return 3
    generations.forget_clean_stop()
    asyncio.run(_serve(arguments.port, arguments.data / "outbox", generations))
    generations.write(_save)
    generations.mark_clean_stop()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--generation", type=int)
    return parser.parse_args()


def _configure(port: int, data: Path) -> None:
    """MiniStack reads its settings on import, so this comes first."""
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

    # Its own load forgives a service that cannot be restored, and its own save comes too late: ours do both.
    ministack.app.PERSIST_STATE = False


def _restore(directory: Path) -> None:
    """Give every service what the generation holds; unlike MiniStack's own, this never continues with less."""
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
    _return_to_queues()


def _return_to_queues() -> None:
    """Nobody works any more on a message that was received before the stop: let it be received again at once."""
    from ministack.services import sqs

    for queue in sqs._queues.all_values():
        for message in queue["messages"]:
            if message["receipt_handle"] is not None:
                message["visible_at"] = 0.0


def _save(directory: Path) -> None:
    """Write every loaded service's state; unlike MiniStack's own, this fails when one of them does."""
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


async def _serve(port: int, outbox: Path, generations: Generations) -> None:
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
    door = Door(ministack.app.app, outbox)
    checkpoints = asyncio.create_task(_checkpoint_for_ever(generations, door))
    try:
        await serve(door, config, shutdown_trigger=stop.wait)
    finally:
        checkpoints.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checkpoints


# -- checkpoints ------------------------------------------------------------------------------------------------


async def _checkpoint_for_ever(generations: Generations, door: Door) -> None:
    written = 0
    while True:
        await asyncio.sleep(CHECKPOINT_EVERY_SECONDS)
        seen = door.requests
        if seen == written:
            continue
        if await _checkpoint(generations):
            written = seen


async def _checkpoint(generations: Generations) -> bool:
    """Fork, write in the child, wait for it without blocking; whether a generation was written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads: see CHECKPOINT_AT_MOST_SECONDS
        child = os.fork()
    if child == 0:
        _write_and_end(generations)
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


def _write_and_end(generations: Generations) -> None:
    """The child's whole life: it must never reach the parent's event loop or keep its sockets."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHECKPOINT_AT_MOST_SECONDS)
        os.closerange(3, 65_536)
        os.nice(5)
        generations.write(_save)
        os._exit(0)
    except BaseException as error:
        print(f"checkpoint: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
