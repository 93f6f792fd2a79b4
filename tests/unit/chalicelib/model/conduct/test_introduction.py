"""When a reply begins with the introduction, and where in it."""

from dataclasses import replace

import pytest

from chalicelib.model import Chat, Policies
from chalicelib.model.conduct.introduction import introduced, introduced_by, is_introduction_due
from tests.unit.support.stored_turn import TURN

DAY = 86_400_000
NOW = 1_790_000_000_000
#: (when the chat was introduced last, when the line was linked, why it is off, whether it is due now)
CASES = [
    (None, None, "", True),
    (None, NOW - DAY, "", True),
    (NOW - 1, NOW - DAY, "", False),
    (NOW, None, "", False),
    (NOW - DAY, NOW - DAY, "", False),
    (NOW - DAY - 1, NOW - DAY, "", True),  # before the present login
    (NOW - DAY, NOW, "", True),
    (NOW - 30 * DAY + 1, NOW - 90 * DAY, "", False),
    (NOW - 30 * DAY, NOW - 90 * DAY, "", True),
    (NOW - 400 * DAY, NOW - 500 * DAY, "", True),
    (NOW + 5_000, NOW - DAY, "", False),  # the clocks of two machines differ
    (None, NOW - DAY, "Each contact signs it.", False),
    (NOW - 400 * DAY, NOW, "Each contact signs it.", False),
]


@pytest.mark.parametrize(("last", "linked_at", "reason", "due"), CASES)
def test_it_is_due_once_in_a_chat_a_month_and_a_login(
    last: int | None, linked_at: int | None, reason: str, due: bool
) -> None:
    chat = Chat("t", "c", introduced_at=last)
    assert is_introduction_due(chat, Policies(introduction_off_reason=reason), linked_at, NOW) is due


@pytest.mark.parametrize(
    ("introduction", "parts", "expected"),
    [
        ("", ("a", "b"), ("a", "b")),
        ("I am a machine.", ("a", "b"), ("I am a machine.\n\na", "b")),
        ("I am a machine.", (), ()),
    ],
)
def test_it_is_the_first_paragraph_of_the_first_part(
    introduction: str, parts: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert introduced(introduction, parts) == expected


@pytest.mark.parametrize(
    ("at", "cursor", "since"), [(None, 0, None), (None, 2, None), (NOW, 0, None), (NOW, 1, NOW), (NOW, 2, NOW)]
)
def test_it_counts_once_its_part_was_sent(at: int | None, cursor: int, since: int | None) -> None:
    assert introduced_by(replace(TURN, introduced_at=at, cursor=cursor)) == since
