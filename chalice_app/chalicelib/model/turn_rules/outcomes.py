"""The outcomes of turns lately: where too many were given up, contacts get no answers, and an alarm rings. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

#: Turns are counted in windows of this length; the present one and the one before it are *lately*.
WINDOW: Final = timedelta(minutes=30)
#: Fewer turns say nothing: one contact whose message the model refuses rings no alarm.
TURNS_AT_LEAST: Final = 10
#: An outage, if more of them were given up than this. `GivenUpOften` in the template has it, too.
GIVEN_UP_AT_MOST_PERCENT: Final = 20


@dataclass(frozen=True, slots=True)
class TurnOutcomes:
    """The numbers of turns that ended, and of those that were given up.

    A turn whose contact reads the tenant's own sentence was given up as well, and ends when that is delivered.
    """

    ended: int = 0
    given_up: int = 0

    @property
    def percent_given_up(self) -> float:
        """The percentage of the ended turns that were given up; 0 while they are too few."""
        ended = max(self.ended, self.given_up)
        return 0.0 if ended < TURNS_AT_LEAST else round(100 * self.given_up / ended, 1)

    @property
    def are_bad(self) -> bool:
        """True if an alarm rings."""
        return self.percent_given_up > GIVEN_UP_AT_MOST_PERCENT


#: Of an installation in which none has ended.
NO_TURNS: Final = TurnOutcomes()
