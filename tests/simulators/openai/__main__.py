"""Runs the simulator until it is told to stop: python -m tests.simulators.openai --port 8088."""

import argparse
import asyncio
import signal

from tests.simulators.openai import OpenAISimulator


async def serve(port: int, delay_ms: int, admin_url: str | None) -> None:
    """Answers on 127.0.0.1:`port` until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with OpenAISimulator(port, delay_ms=delay_ms, admin_url=admin_url) as simulator:
        print(
            f"OpenAI simulator ready at {simulator.base_url}; {simulator.origin} shows which key plays which fault",
            flush=True,
        )
        await stop.wait()


parser = argparse.ArgumentParser(prog="python -m tests.simulators.openai", description=__doc__)
parser.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1; 0 takes a free one")
parser.add_argument("--admin", help="the admin whose operators alone see the page; everybody without it")
parser.add_argument("--delay-ms", type=int, default=0, help="how long every answer takes")
parser.add_argument("--state", help="ignored: the simulator remembers nothing between runs")

if __name__ == "__main__":
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.delay_ms, arguments.admin))
