"""Plays AWS with MiniStack: under AWS's real names, over TLS, with every role and policy enforced.

Runs inside MiniStack's own virtual environment and imports only the emulator's middleware and our corrections.
"""

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from infrastructure.local.ecs import task_protection
from infrastructure.local.emulator.asgi import Application, Message, Receive, Send
from infrastructure.local.emulator.middleware import EmulatorMiddleware
from tests.rehearsal import corrections
from tests.rehearsal.emulated import conditions


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--runners-port", type=int, required=True, help="for what comes from the runners' network")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--proxy", required=True, help="the proxy of all functions")
    parser.add_argument("--python", type=Path, required=True, help="the functions' Python, with boto3 as on Lambda")
    parser.add_argument("--region", required=True)
    arguments = parser.parse_args()
    _configure(arguments)
    asyncio.run(_serve(arguments))


def _configure(arguments: argparse.Namespace) -> None:
    """MiniStack reads its settings on import; functions inherit this process's environment."""
    os.environ.update(
        GATEWAY_PORT=str(arguments.port),
        BIND_HOST="127.0.0.1",
        AUTH="true",
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        S3_PERSIST="1",
        S3_DATA_DIR=str(arguments.data / "s3"),
        MINISTACK_REGION=arguments.region,
        # MiniStack gives functions its own port as endpoint; AWS gives them none.
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true",
        AWS_CA_BUNDLE=str(arguments.certificate),
        SSL_CERT_FILE=str(arguments.certificate),
        HTTPS_PROXY=arguments.proxy,
    )
    # A function must import nothing of this repository but its package.
    os.environ.pop("PYTHONPATH", None)
    corrections.apply(arguments.python)


async def _serve(arguments: argparse.Namespace) -> None:
    import ministack.app
    from hypercorn.asyncio import serve  # type: ignore[import-not-found]
    from hypercorn.config import Config  # type: ignore[import-not-found]
    from ministack.core import lambda_runtime

    config = Config()
    config.bind = [f"127.0.0.1:{arguments.port}", f"127.0.0.1:{arguments.runners_port}"]
    config.certfile, config.keyfile = str(arguments.certificate), str(arguments.key)
    config.alpn_protocols = ["http/1.1"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 3
    config.loglevel = "WARNING"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app: Any = ministack.app.app
    try:
        front = _front(app, EmulatorMiddleware(app, arguments.data / "outbox"), arguments.runners_port)
        await serve(front, config, shutdown_trigger=stop.wait)
    finally:
        lambda_runtime.reset()


def _front(app: Application, middleware: EmulatorMiddleware, runners_port: int) -> Application:
    """Puts the emulator's middleware before AWS's own API, and not before deployed APIs, which browsers call.

    Calls of task protection skip it, too: it answers them for one machine, without asking IAM.
    """

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
        conditions.came_from_the_runners_network(inside=(scope.get("server") or ("", 0))[1] == runners_port)
        own = headers.get(b"x-amz-target", "").startswith(task_protection.TARGET)
        await (app if own or corrections.API_HOST.match(headers.get(b"host", "")) else middleware)(scope, receive, send)

    return answer


if __name__ == "__main__":
    main()
