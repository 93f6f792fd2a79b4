"""Starts the simulator, lets each peer library pair with it and reply through it, and reports the results."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.simulators.whatsapp import WhatsAppSimulator
from tests.simulators.whatsapp.browser import CHROMIUM

HERE = Path(__file__).parent
LIBRARIES = ("@wppconnect-team/wppconnect", "whatsapp-web.js")
DEADLINE_SECONDS = 90


async def main() -> int:
    """Runs the peers one after the other; returns the number of failures."""
    failed = 0
    async with WhatsAppSimulator() as simulator:
        for library in LIBRARIES:
            outcome = await run_peer(simulator, library)
            failed += outcome != "ok"
            print(f"peers: {library} {version_of(library)} paired, replied {outcome}", flush=True)
    return failed


async def run_peer(simulator: WhatsAppSimulator, library: str) -> str:
    """Runs one library in a new profile; returns "ok" or the error."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            "node", str(HERE / "peer.mjs"), library, simulator.control_url, profile, str(CHROMIUM), cwd=profile,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                _, errors = await process.communicate()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return f"FAILED: nothing after {DEADLINE_SECONDS} s"
        return "ok" if process.returncode == 0 else f"FAILED: {errors.decode().strip()[-2000:]}"


def version_of(library: str) -> str:
    """Returns the installed version."""
    package = json.loads((HERE / "node_modules" / library / "package.json").read_text())
    return str(package["version"])


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
