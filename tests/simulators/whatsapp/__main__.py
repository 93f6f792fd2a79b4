"""Run the simulator by itself: `python -m tests.simulators.whatsapp --port 8443 --control-port 8090 --state FILE`."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from tests.simulators.whatsapp.server import WhatsAppSimulator
from tests.simulators.whatsapp.switches import Switches


def main() -> None:
    """Read the arguments, then serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.whatsapp", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TLS port that plays web.whatsapp.com")
    parser.add_argument("--control-port", type=int, default=0, help="port of the phones: page and API")
    parser.add_argument("--state", type=Path, help="file that remembers accounts, devices and messages")
    parser.add_argument("--admin", help="the admin whose operators alone see the phones; everybody without it")
    parser.add_argument("--also-on", help="an address besides loopback at which containers find web.whatsapp.com")
    parser.add_argument("--switch", action="append", default=[], metavar="NAME=VALUE", help="e.g. qr_first_ms=5000")
    parser.add_argument("--print-flags", action="store_true", help="print Chromium's flags, one per line, and exit")
    arguments = parser.parse_args()
    switches = Switches().with_changes(dict(_switch(text) for text in arguments.switch))
    if arguments.print_flags:
        _print_flags(arguments.port, arguments.state, parser)
        return
    asyncio.run(_serve(switches, arguments))


async def _serve(switches: Switches, arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulator = WhatsAppSimulator(
        switches=switches,
        port=arguments.port,
        control_port=arguments.control_port,
        state_file=arguments.state,
        admin_url=arguments.admin,
        also_on=arguments.also_on,
    )
    async with simulator:
        print(f"web.whatsapp.com is 127.0.0.1:{simulator.port}; the phones are at {simulator.control_url}")
        print("\n".join(simulator.chromium_arguments), flush=True)
        await stop.wait()


def _print_flags(port: int, state: Path | None, parser: argparse.ArgumentParser) -> None:
    """The flags hold only for a known port and for the certificate in a state file."""
    if not port or not state:
        parser.error("--print-flags needs --port and --state, or the flags would not be those of the next start")
    simulator = WhatsAppSimulator(port=port, state_file=state)
    if not state.exists():
        simulator.exchange.save()
    print("\n".join(simulator.chromium_arguments))


def _switch(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    default = getattr(Switches(), name, None)
    if isinstance(default, bool):
        return name, value.lower() in ("1", "true", "yes", "on")
    return name, int(value) if isinstance(default, int) else value


if __name__ == "__main__":
    main()
