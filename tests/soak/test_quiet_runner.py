"""A runner without browsers behaves to the control plane as one whose lines are online."""

import asyncio
from pathlib import Path

from runner.clock import SystemClock
from tests.contract.runner_scene import settings_for
from tests.soak.quiet_runner import compose
from tests.unit.support.runner_fakes import BOOTSTRAP, FakeClient, FakeControl
from wire import Phase

LINES = ("soakclient001", "soakclient002")


async def test_its_lines_are_online_at_once_have_one_message_answered_and_are_given_back(tmp_path: Path) -> None:
    control = FakeControl(answer=lambda message: ["Yes.", "Until six."])
    for line in LINES:
        control.hold(line, number="491710000001")
    host = compose(settings_for(tmp_path, capacity=2), FakeClient(control, BOOTSTRAP), SystemClock(), has_contacts=True)
    running = asyncio.create_task(host.run())
    await control.until(
        lambda: [control.reports[line].phase for line in LINES if line in control.reports] == [Phase.ONLINE] * 2
    )
    report = control.reports[LINES[0]]
    assert report.number == "491710000001"
    assert report.probed_ms_ago is not None
    assert report.saved_ms_ago is not None
    await control.until(lambda: len(control.turns) == 2 and all(turn.done for turn in control.turns.values()))
    assert sorted(request.tenant for request in control.handed_in) == sorted(LINES)
    assert len(control.sent_parts) == 4
    host.stop()
    async with asyncio.timeout(20):
        await running
    assert not control.holds
