"""The supervisor asks ECS rarely, and looks after its runners often."""

import itertools
from pathlib import Path

from infrastructure.local.ecs.runners import Processes
from infrastructure.local.ecs.supervisor import DESIRED_READ_EVERY_SECONDS, RECONCILE_EVERY_SECONDS, Supervisor


def test_the_desired_count_is_read_at_once_and_then_no_more_often_than_needed(tmp_path: Path) -> None:
    readings = itertools.count()
    supervisor = Supervisor(
        desired_count=lambda: next(readings) * 0,
        directory=tmp_path / "runners",
        logs=tmp_path / "logs",
        runners=Processes(lambda task: {}),
    )
    supervisor.step(100.0)
    assert next(readings) == 1
    rounds = 4 * round(DESIRED_READ_EVERY_SECONDS / RECONCILE_EVERY_SECONDS)
    for number in range(1, rounds + 1):
        supervisor.step(100.0 + number * RECONCILE_EVERY_SECONDS)
    assert next(readings) == 1 + 1 + 4
