"""The runner as a process: real HTTP, signals, kill -9, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web

from runner.browser.chromium import kill, processes_of
from runner.control_plane.client import ControlPlaneError, StaleEpoch, TransientError, Unauthorised
from runner.log_events import LogEvent
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.unit.support.runner_fakes import BOOTSTRAP, TENANT, FakeControl
from wire import (
    BellRequest,
    MessagesRequest,
    Phase,
    ReleaseRequest,
    RestoreRequest,
    SentRequest,
    SyncRequest,
    TakeRequest,
    UploadRequest,
    Wire,
)

pytestmark = pytest.mark.chromium
REPOSITORY = Path(__file__).resolve().parents[2]
NUMBER = "491701111111"
CONTACT = "491702222222"
#: As in production, where no user is root: a program of the same user that has no capabilities either.
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
STATUS: dict[type[ControlPlaneError], int] = {Unauthorised: 401, StaleEpoch: 409, TransientError: 503}


def endpoint(request_type: type[Wire], answer: Callable[[Any, str], Awaitable[Wire]]) -> Any:
    async def view(request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        try:
            done = await answer(request_type.model_validate_json(await request.read()), token)
        except ControlPlaneError as error:
            body = {"code": error.code, "message": ""}
            return web.json_response(body, status=STATUS[type(error)])
        return web.json_response(text=done.model_dump_json())

    return view


@asynccontextmanager
async def serving(control: FakeControl) -> AsyncIterator[str]:
    """The fake control plane over HTTP."""
    application = web.Application(client_max_size=8_000_000)
    endpoints: list[tuple[str, type[Wire], Any]] = [
        ("sync", SyncRequest, control.sync),
        ("bell", BellRequest, control.wait_for_bell),
        ("messages", MessagesRequest, control.messages),
        ("take", TakeRequest, control.take),
        ("sent", SentRequest, control.sent),
        ("release", ReleaseRequest, control.release),
        ("snapshots/upload", UploadRequest, control.upload),
        ("snapshots/restore", RestoreRequest, control.restore),
    ]
    for path, request_type, answer in endpoints:
        application.router.add_post(f"/api/runner/{path}", endpoint(request_type, answer))
    server = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{server.addresses[0][1]}/api"
    finally:
        await server.cleanup()


@asynccontextmanager
async def process(
    control_url: str, simulator: WhatsAppSimulator, directory: Path, **more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "chalice_app" / "vendor")]),
        "CONTROL_URL": control_url,
        "RUNNER_BOOTSTRAP_TOKEN": BOOTSTRAP,
        "DATA_DIRECTORY": str(directory),
        "BROWSER_HOST_RULES": simulator.host_rules,
        "BROWSER_CERTIFICATE_SPKI": simulator.certificate_spki,
        **more,
    }
    child = await asyncio.create_subprocess_exec(
        *UNPRIVILEGED, sys.executable, "-m", "runner", env=environment, cwd=directory, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        kill(processes_of(directory / TENANT / "current"))


async def ended(child: asyncio.subprocess.Process, within: float = 20.0) -> tuple[int, str]:
    """Returns the exit code and the output."""
    async with asyncio.timeout(within):
        _, output = await child.communicate()
    return int(child.returncode or 0), output.decode()


async def test_a_runner_drains_on_sigterm_and_logs_no_secret(tmp_path: Path) -> None:
    control = FakeControl(answer=lambda message: [f"re {message.text}"])
    control.hold(watched=True)
    async with (
        WhatsAppSimulator() as simulator,
        serving(control) as url,
        process(url, simulator, tmp_path) as child,
    ):
        report = await control.until_report(lambda report: report.qr is not None)
        assert report.qr is not None
        simulator.phone(NUMBER).scan(report.qr.code)
        await control.until_report(lambda report: report.phase is Phase.ONLINE)
        contact = simulator.phone(NUMBER).contact(CONTACT, "Annabella")
        contact.write("a private matter")
        await contact.wait_for_reply()
        child.send_signal(signal.SIGTERM)
        code, output = await ended(child)
        assert code == 0
        assert control.releases[0].reason == "drained"
        assert not processes_of(tmp_path / TENANT / "current")
        secrets = [NUMBER, CONTACT, "Annabella", "private matter", report.qr.code, BOOTSTRAP, ".secret"]
        assert [secret for secret in secrets if secret in output] == []
        assert f'"event": "{LogEvent.TURN_DELIVERED}"' in output


def environment_of(process: psutil.Process) -> str:
    """The environment a process was started with, as the kernel keeps it."""
    return "\n".join(f"{name}={value}" for name, value in process.environ().items())


async def test_no_program_a_runner_starts_gets_its_settings_or_a_clouds_credentials(tmp_path: Path) -> None:
    control = FakeControl()
    control.hold(watched=True)
    async with (
        WhatsAppSimulator() as simulator,
        serving(control) as url,
        process(url, simulator, tmp_path, AWS_SECRET_ACCESS_KEY="cloud-secret", LANG="C.UTF-8") as child,
    ):
        await control.until_report(lambda report: report.qr is not None)
        (driver,) = psutil.Process(child.pid).children()
        browser = processes_of(tmp_path / TENANT / "current")
        assert driver.pid not in {one.pid for one in browser}
        # Chromium's renderers write their names over theirs, its first process does not.
        assert "LANG=C.UTF-8" in environment_of(driver)
        assert any("LANG=C.UTF-8" in environment_of(one) for one in browser)
        for environment in map(environment_of, (driver, *browser)):
            secrets = [BOOTSTRAP, "RUNNER_BOOTSTRAP_TOKEN", "CONTROL_URL", "cloud-secret"]
            assert [secret for secret in secrets if secret in environment] == []
        # Nor can they read it: the kernel keeps what the runner was started with.
        assert (
            subprocess.run([*UNPRIVILEGED, "cat", f"/proc/{driver.pid}/environ"], capture_output=True).returncode == 0
        )
        for name in ("environ", "mem"):
            looked_up = subprocess.run([*UNPRIVILEGED, "head", "-c1", f"/proc/{child.pid}/{name}"], capture_output=True)
            assert b"Permission denied" in looked_up.stderr


async def test_after_kill_minus_nine_the_next_process_answers_what_is_left_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    control = FakeControl(answer=lambda message: [f"re {message.text}"])
    control.hold(watched=True)
    async with WhatsAppSimulator() as simulator, serving(control) as url:
        phone = simulator.phone(NUMBER)
        contact = phone.contact(CONTACT)
        async with process(url, simulator, tmp_path, LINE_REPLIES_PER_MINUTE="0") as child:
            report = await control.until_report(lambda report: report.qr is not None)
            assert report.qr is not None
            phone.scan(report.qr.code)
            await control.until_report(lambda report: report.phase is Phase.ONLINE)
            await asyncio.sleep(8)  # until WhatsApp's local storage is on the disk, 3 to 6 s after linking
            for index in range(20):
                contact.write(f"message {index}")
            await contact.wait_for_reply(3)
            child.kill()
            await child.wait()
        contact.write("message 20")
        control.hold(epoch=3, last_epoch=1, number=NUMBER, caught_up_to_ms=report.caught_up_to_ms or 0)
        async with process(url, simulator, tmp_path, LINE_REPLIES_PER_MINUTE="0"):
            replies = await contact.wait_for_reply(21, timeout=30)
            await asyncio.sleep(1)
            replies = contact.replies()
        assert sorted(reply.text for reply in replies) == sorted(f"re message {index}" for index in range(21))


async def test_a_runner_that_can_start_no_browser_any_more_ends_and_logs_why(tmp_path: Path) -> None:
    control = FakeControl()
    control.hold(watched=True)
    async with (
        WhatsAppSimulator() as simulator,
        serving(control) as url,
        process(url, simulator, tmp_path) as child,
    ):
        await control.until_report(lambda report: report.qr is not None)
        (driver,) = psutil.Process(child.pid).children()
        driver.kill()
        code, output = await ended(child)
        assert code == 70
        last = json.loads(output.splitlines()[-1])
        assert (last["event"], last["error"]) == (LogEvent.RUNNER_FAILED, "DriverGone")
        assert not processes_of(tmp_path / TENANT / "current")


async def test_a_refused_bootstrap_token_has_its_own_exit_code(tmp_path: Path) -> None:
    control = FakeControl()
    control.kill(BOOTSTRAP)
    async with (
        WhatsAppSimulator() as simulator,
        serving(control) as url,
        process(url, simulator, tmp_path) as child,
    ):
        code, output = await ended(child)
        assert code == 77
        assert "RUNNER_BOOTSTRAP_TOKEN" in output.splitlines()[-1]


async def test_a_missing_browser_has_its_own_exit_code_and_one_sentence(tmp_path: Path) -> None:
    async with (
        WhatsAppSimulator() as simulator,
        process("http://127.0.0.1:9/api", simulator, tmp_path, CHROMIUM="/nowhere/chromium") as child,
    ):
        code, output = await ended(child)
        assert code == 78
        assert "apt-get install chromium-headless-shell" in output.splitlines()[-1]
        assert "Traceback" not in output


@pytest.mark.parametrize("tenants", [2, 1])
async def test_a_runner_on_which_no_browser_starts_ends(tmp_path: Path, tenants: int) -> None:
    chromium = tmp_path / "chromium"
    chromium.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Chromium 156.0.1.2" && exit 0\nexit 1\n')
    chromium.chmod(0o755)
    control = FakeControl()
    for name in [TENANT, "tenant00002"][:tenants]:
        control.hold(name, watched=True)
    async with (
        WhatsAppSimulator() as simulator,
        serving(control) as url,
        process(url, simulator, tmp_path, CHROMIUM=str(chromium)) as child,
    ):
        code, output = await ended(child, within=60)
        assert code == 70
        last = json.loads(output.splitlines()[-1])
        assert (last["event"], last["error"]) == (LogEvent.RUNNER_FAILED, "NoBrowserStarts")
