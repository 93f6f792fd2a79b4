"""When an alarm rings because turns were given up."""

import pytest

from chalicelib.model.turn_rules.outcomes import TurnOutcomes


@pytest.mark.parametrize(
    ("ended", "given_up", "percent", "bad"),
    [
        (0, 0, 0.0, False),
        (1, 1, 0.0, False),  # one failure of one message
        (9, 9, 0.0, False),  # still too few
        (10, 2, 20.0, False),  # not more than a fifth
        (10, 3, 30.0, True),
        (10, 10, 100.0, True),
        (100, 20, 20.0, False),
        (100, 21, 21.0, True),
        (1_000, 201, 20.1, True),
        (1_000, 3, 0.3, False),
        (2, 12, 100.0, True),  # the contacts read the tenant's own words, and their turns have not ended yet
    ],
)
def test_more_than_a_fifth_of_at_least_ten_turns_is_an_outage(
    ended: int, given_up: int, percent: float, bad: bool
) -> None:
    outcomes = TurnOutcomes(ended, given_up)
    assert (outcomes.percent_given_up, outcomes.are_bad) == (percent, bad)
