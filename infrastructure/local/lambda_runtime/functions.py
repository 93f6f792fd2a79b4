"""The process in the role of Lambda: serves the gateway and dispatches events to the application."""

import argparse
import importlib
import logging
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from chalice.app import Chalice

from infrastructure.checkout import REPOSITORY
from infrastructure.local.aws import Aws
from infrastructure.local.lambda_runtime import http_server
from infrastructure.local.lambda_runtime.event_sources import EventDispatcher
from infrastructure.local.lambda_runtime.gateway import Gateway
from infrastructure.local.lambda_runtime.objects import MAX_OBJECT_BYTES, Objects
from infrastructure.local.signature import AccessKey


def main() -> int:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events-queue", required=True, help="the queue that stands for the event bus")
    parser.add_argument("--app-directory", type=Path, default=REPOSITORY / "chalice_app")
    parser.add_argument("--behind-proxy", action="store_true", help="trust X-Forwarded-* of a proxy on this machine")
    parser.add_argument("--also-on", action="append", default=[], help="an address besides loopback, for containers")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    module = load(arguments.app_directory)
    app = module.app
    aws = Aws.of()
    key = AccessKey(aws.key_id, aws.secret)
    objects = Objects(aws.endpoint, key, MAX_OBJECT_BYTES, lambda: datetime.now(UTC))
    gateway = Gateway(apps_of(module), objects)
    dispatcher = EventDispatcher(app, aws.client("sqs"), arguments.events_queue)
    server = http_server.create(
        gateway,
        objects,
        MAX_OBJECT_BYTES,
        ["127.0.0.1", *arguments.also_on],
        arguments.port,
        behind_proxy=arguments.behind_proxy,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.run, name="gateway", daemon=True).start()
    dispatcher.start()
    while not stop.wait(1.0):
        pass
    server.task_dispatcher.set_thread_count(0)
    dispatcher.stop(timeout_seconds=5.0)
    server.task_dispatcher.shutdown(timeout=2.0)
    return 0


def load(directory: Path) -> ModuleType:
    """Imports ``app.py`` as Lambda does, with ``vendor`` and the directory itself on the path."""
    for path in (directory / "vendor", directory):
        sys.path.insert(0, str(path))
    return importlib.import_module("app")


def apps_of(module: ModuleType) -> list[Any]:
    """Returns the Chalice apps of an ``app.py``; a former release has one."""
    return list({id(each): each for each in vars(module).values() if isinstance(each, Chalice)}.values())


if __name__ == "__main__":
    sys.exit(main())
