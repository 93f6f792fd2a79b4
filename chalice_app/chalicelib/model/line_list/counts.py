"""The counts of all lines, as the head of the list shows them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.model.line_health import Line, LineHealth


@dataclass(frozen=True, slots=True)
class LineCounts:
    """The number of lines, and of those that need somebody."""

    total: int = 0
    online: int = 0
    disconnected: int = 0
    not_running: int = 0
    need_person: int = 0
    slow: int = 0
    #: to which a WhatsApp account was ever linked
    linked: int = 0


def count_lines(lines: Iterable[Line]) -> LineCounts:
    """Returns the counts of these lines."""
    counted = list(lines)

    def healths(health: LineHealth) -> int:
        return sum(line.health is health for line in counted)

    return LineCounts(
        total=len(counted),
        online=sum(line.online for line in counted),
        disconnected=healths(LineHealth.DISCONNECTED),
        not_running=healths(LineHealth.NOT_RUNNING),
        need_person=healths(LineHealth.NEEDS_ACTION),
        slow=healths(LineHealth.SLOW),
        linked=sum(line.session.linked_at is not None for line in counted),
    )
