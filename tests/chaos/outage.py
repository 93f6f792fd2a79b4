"""A control plane that is down for 60 s causes no failover and no loss. Takes 90 s: `make chaos` runs it."""

import time
from pathlib import Path

import psutil
import pytest

from infrastructure.local.stack import local_stack
from tests.chaos.evidence import from_phones, from_table
from tests.chaos.lines import create, link, services_of, until
from tests.chaos.verdict import Verdict, Written, evaluate
from tests.simulators.whatsapp.client import SimulatorClient
from wire import Phase

OUTAGE_SECONDS = 60.0
WRITE_EVERY_SECONDS = 4.0


@pytest.mark.chromium
@pytest.mark.stack
@pytest.mark.timeout(300)
def test_an_outage_of_the_control_plane_moves_no_session_and_loses_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_stack(tmp_path, runners=2, runner_capacity=2) as stack, SimulatorClient(stack.phone_url) as whatsapp:
        for name, value in stack.aws.environment().items():
            monkeypatch.setenv(name, value)
        services = services_of(stack)
        lines = create(services, 3, 1)
        link(services, whatsapp, lines, 120)
        written: list[Written] = []

        def write() -> None:
            for line in lines:
                mark = f"mark-{len(written):03d}"
                message = whatsapp.phone(line.number).contact(line.contacts[0]).write(f"Question {mark}, please?")
                written.append(Written(line.tenant, line.contacts[0], message["id"], mark))

        def evaluated() -> Verdict:
            bubbles, _ = from_phones(whatsapp, lines)
            return evaluate(written, *from_table(stack), bubbles)

        write()
        until(lambda: evaluated().answered == len(written), 30, "the line does not answer")
        before = {line.tenant: services.sessions.get(line.tenant) for line in lines}
        application = psutil.Process(stack.pids["functions"])
        application.suspend()
        try:
            for _ in range(int(OUTAGE_SECONDS / WRITE_EVERY_SECONDS)):
                write()
                time.sleep(WRITE_EVERY_SECONDS)
        finally:
            application.resume()
        until(lambda: evaluated().answered == len(written), 60, "not all were answered", every=1.0)
        sessions = {line.tenant: services.sessions.get(line.tenant) for line in lines}
        verdict = evaluated()
    assert (verdict.lost, verdict.unanswered, verdict.duplicated, verdict.out_of_order) == ([], [], [], [])
    assert {tenant: (each.epoch, each.runner) for tenant, each in sessions.items()} == {
        tenant: (each.epoch, each.runner) for tenant, each in before.items()
    }
    assert {each.phase for each in sessions.values()} == {Phase.ONLINE}
