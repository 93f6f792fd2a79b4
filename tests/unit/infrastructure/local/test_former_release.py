"""What a start does about a former release's data: a table of cases."""

import pytest

from infrastructure.local.former_release import Step, next_step


@pytest.mark.parametrize(
    ("former", "begun", "table", "step"),
    [
        (False, False, False, Step.NOTHING),  # the very first start
        (False, False, True, Step.NOTHING),  # every other one
        (True, False, False, Step.TAKE_OVER),
        (True, True, False, Step.TAKE_OVER),  # interrupted before the table
        (True, True, True, Step.TAKE_OVER),  # interrupted while it was copied
        (False, True, True, Step.END),  # interrupted after the rename
        (False, True, False, Step.END),
        (True, False, True, Step.REFUSE),  # put there by hand: nobody knows which is newer
    ],
)
def test_a_former_releases_data_is_taken_over_once(former: bool, begun: bool, table: bool, step: Step) -> None:
    assert next_step(former=former, begun=begun, table=table) is step
