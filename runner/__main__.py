"""The runner's process: reads the settings, wires the parts, handles SIGTERM, and ends with an exit code."""

import asyncio
import json
import logging
import os
import random
import signal
import sys
from collections.abc import Callable
from functools import partial

from runner import hardening, health, logs
from runner.browser.boot_gate import BootGate
from runner.browser.chromium import ChromiumMissing
from runner.browser.rotation import RotationSlots
from runner.browser.whatsapp import WhatsApp, whatsapp
from runner.clock import SystemClock
from runner.control_plane.capability import hand_in_capability
from runner.control_plane.client import ControlPlaneClient, connect, fetch_task_arn
from runner.control_plane.lease import Lease, Watchdog
from runner.disk import Disk
from runner.exit_codes import ExitCode
from runner.host import Host, RegistrationRefused, RunnerInfo
from runner.hosted_sessions import first_error
from runner.log_events import LogEvent
from runner.messages.conversation import Conversation
from runner.messages.handover import Handover
from runner.messages.journal import Journal
from runner.messages.journal_owner import JournalOwner
from runner.messages.outbox import Outbox
from runner.processors import count_processors
from runner.profile.directory import Profile
from runner.profile.restorer import Restorer
from runner.profile.retention import Retention
from runner.profile.saver import Saver, SharedResources
from runner.session.session import Session
from runner.settings import Settings, SettingsError, read_settings
from wire import Hold

#: Snapshots that are packed or unpacked at the same time.
MAX_PACKED_AT_ONCE = 2


def compose(
    *,
    settings: Settings,
    browsers: WhatsApp,
    client: ControlPlaneClient,
    lease: Lease,
    clock: SystemClock,
    jitter: random.Random,
    task: str = "",
    boot_slots: int | None = None,
) -> Host:
    """Wires the whole runner; the only place where its parts meet."""
    boot_gate = BootGate(boot_slots or count_processors(), clock, settings.boot_gate_directory)
    rotation_slots = RotationSlots(clock)
    disk = Disk(settings.data_directory)
    packing = asyncio.Semaphore(MAX_PACKED_AT_ONCE)
    chromium, wa_js = browsers.browser.version, wa_js_version(settings)
    shared = SharedResources(disk, packing, chromium, wa_js)

    def profile_of(tenant: str) -> Profile:
        return Profile(settings.data_directory, tenant)

    outbox = Outbox(
        directory=settings.data_directory, profile_of=profile_of, client=client, clock=clock, jitter=jitter.random
    )

    def make_session(hold: Hold, token: str, on_change: Callable[[], None]) -> Session:
        tenant, epoch, own_client = hold.tenant, hold.epoch, client.bound_to(token)
        profile = profile_of(tenant)
        journal = Journal(profile.journal, JournalOwner(epoch, hand_in_capability(token, tenant, epoch)))
        conversation = Conversation(
            tenant=tenant,
            epoch=epoch,
            client=own_client,
            lease=lease,
            journal=journal,
            clock=clock,
            jitter=jitter.random,
            on_change=on_change,
            replies_per_minute=settings.line_replies_per_minute,
        )
        return Session(
            hold=hold,
            whatsapp=browsers,
            profile=profile,
            outbox=outbox,
            handover=Handover(
                tenant=tenant,
                epoch=epoch,
                client=own_client,
                journal=journal,
                on_outcome=conversation.receive_outcome,
            ),
            conversation=conversation,
            restorer=Restorer(
                hold=hold,
                client=own_client,
                profile=profile,
                packing=packing,
                chromium=chromium,
                clock=clock,
                has_room=disk.has_room_to_restore,
            ),
            saver=Saver(hold=hold, client=own_client, profile=profile, journal=journal, shared=shared, clock=clock),
            boot_gate=boot_gate,
            rotation_slots=rotation_slots,
            clock=clock,
            jitter=jitter.random,
            on_change=on_change,
        )

    return Host(
        client=client,
        make_session=make_session,
        lease=lease,
        info=RunnerInfo(
            capacity=settings.capacity,
            task=task,
            image=settings.image,
            commit=settings.commit,
            chromium=chromium,
            wa_js=wa_js,
        ),
        clock=clock,
        jitter=jitter.random,
        disk=disk,
        outbox=outbox,
        no_browser_starts=browsers.launches.wait_until_none_starts,
    )


async def run(settings: Settings) -> None:
    """Runs a runner until it is drained."""
    clock, jitter = SystemClock(), random.Random()  # noqa: S311 - jitter
    lease = Lease(clock.now)
    async with (
        whatsapp(settings, clock) as browsers,
        connect(settings.control_url, settings.runner_bootstrap_token) as client,
        asyncio.TaskGroup() as group,
    ):
        side_tasks = [
            group.create_task(health.write_heartbeats(settings.data_directory, clock), name="heartbeats"),
            group.create_task(browsers.supervise_driver(), name="supervise driver"),
            group.create_task(
                Retention(settings.data_directory, partial(Profile, settings.data_directory), clock).run(),
                name="retention",
            ),
        ]
        metadata = settings.ecs_container_metadata_uri_v4
        task = settings.task or (await fetch_task_arn(metadata, clock) if metadata else "")
        host = compose(
            settings=settings, browsers=browsers, client=client, lease=lease, clock=clock, jitter=jitter, task=task
        )
        Watchdog(lease, browsers.kill_everything).start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, host.stop)
        await host.run()
        for side_task in side_tasks:
            side_task.cancel()


def wa_js_version(settings: Settings) -> str:
    """Returns the version in the package beside the bundle; empty for a bundle without one."""
    package = settings.wa_js.parent.parent / "package.json"
    return str(json.loads(package.read_text("utf-8")).get("version", "")) if package.is_file() else ""


def main() -> ExitCode:
    """Runs the process; returns its exit code."""
    code = ExitCode.DRAINED
    try:
        hardening.deny_memory_access()
        settings = read_settings(os.environ)
        hardening.remove_settings(os.environ)
        logs.start(settings.log_level)
        asyncio.run(run(settings))
    except* (SettingsError, ChromiumMissing) as errors:
        code = _fail(errors, ExitCode.MISCONFIGURED)
    except* RegistrationRefused as errors:
        code = _fail(errors, ExitCode.REGISTRATION_REFUSED)
    except* Exception as errors:
        logs.log(LogEvent.RUNNER_FAILED, level=logging.CRITICAL, error=first_error(errors))
        code = ExitCode.FAILED
    return code


def _fail(errors: BaseExceptionGroup[BaseException], code: ExitCode) -> ExitCode:
    print(first_error(errors), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
