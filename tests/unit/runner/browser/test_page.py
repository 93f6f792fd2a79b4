"""Whatever a page answers, its observation is sound, and the report with it can be sent."""

from __future__ import annotations

from typing import Any

import pytest

from runner.browser.page import (
    MAX_NAME_LENGTH,
    UNREADABLE,
    Dialog,
    Hint,
    LiveCode,
    PageObservation,
    PageRefused,
    PageRestriction,
    Tail,
    parse_ack,
    parse_answer,
    parse_hint,
    parse_observation,
    parse_tail,
)
from runner.browser.page_state import PageState, classify
from runner.session.status import Status
from tests.unit.support.runner_fakes import TENANT, FakeClock, FakeControl
from wire import Phase

#: What no value of a page should be.
ODD = [
    "\ud83d",
    "x" * 100_000,
    "a\nb",
    -1,
    1.5,
    1e400,
    float("nan"),
    True,
    [],
    ["\ud83d"],
    {},
    {"value": "\ud83d"},
    None,
]
CODES: list[dict[str, Any]] = [
    {"value": value, "remaining_ms": 1} for value in ("\ud83d", "", "ü", 7, "x" * 3_000, "a\n")
]
CODES += [{"value": "2@abc", "remaining_ms": left} for left in (None, -1, "soon", 1e400, float("nan"))]
SOUND: dict[str, Any] = {
    "injected": True,
    "mode": "QR",
    "qr": {"value": "2@abc,def==,ghi", "remaining_ms": 20_000},
    "missing": ["Conn"],
    "heap_bytes": 1e6,
    "server_event_ms_ago": 5,
}


def test_a_sound_answer_is_observed_as_it_is() -> None:
    observation = parse_observation(SOUND)
    assert (observation.mode, observation.qr) == ("QR", LiveCode("2@abc,def==,ghi", 20_000))
    assert (observation.missing, observation.heap_bytes, observation.server_event_ms_ago) == (("Conn",), 1_000_000, 5)
    assert parse_observation({"dialog": "of tomorrow"}).dialog is Dialog.UNCLEAR
    assert parse_observation({}) == PageObservation()


@pytest.mark.parametrize("code", CODES)
def test_a_code_that_nobody_could_use_is_none(code: dict[str, Any]) -> None:
    assert parse_observation({**SOUND, "qr": code, "pairing": code}).qr is None
    assert parse_observation({**SOUND, "qr": code, "pairing": code}).pairing is None


@pytest.mark.parametrize("name", list(PageObservation.__dataclass_fields__))
@pytest.mark.parametrize("linked", [True, False])
def test_no_odd_value_of_a_page_makes_a_report_that_cannot_be_sent(name: str, linked: bool) -> None:
    for value in ODD:
        answer = {**SOUND, "mode": "MAIN", "authenticated": linked, name: value}
        observation = parse_observation(answer)
        status = Status(TENANT, FakeClock(), lambda: None)
        status.update(classify(observation, linked), observation)
        status.number = observation.number
        status.report(FakeControl().hold(), None).model_dump_json().encode()


@pytest.mark.parametrize("answer", [value for value in ODD if not isinstance(value, dict)])
def test_an_answer_that_is_none_is_a_page_that_is_not_injected(answer: Any) -> None:
    assert parse_observation(answer) == PageObservation()


@pytest.mark.parametrize("answer", [value for value in ODD if value is not None])
def test_an_odd_answer_of_the_bridge_is_refused(answer: Any) -> None:
    with pytest.raises(PageRefused):
        if parse_answer(answer) == "\ud83d":  # it has a value, which each call judges
            raise PageRefused(UNREADABLE)


@pytest.mark.parametrize("code", ODD)
def test_the_code_of_a_refusal_is_a_short_word(code: Any) -> None:
    with pytest.raises(PageRefused) as caught:
        parse_answer({"code": code})
    assert caught.value.code.isascii() and 0 < len(caught.value.code) <= MAX_NAME_LENGTH


@pytest.mark.parametrize("ack", [value for value in ODD if value not in (-1, True)] + [True, 100, -100])
def test_an_ack_that_is_none_is_refused(ack: Any) -> None:
    with pytest.raises(PageRefused):
        parse_ack({"ack": ack})
    with pytest.raises(PageRefused):
        parse_ack(ack)


def test_an_ack_is_taken_as_it_is() -> None:
    assert [parse_ack({"ack": ack}) for ack in (-7, -1, 0, 1, 5)] == [-7, -1, 0, 1, 5]


@pytest.mark.parametrize("hint", ["logout", *ODD])
@pytest.mark.parametrize("detail", ODD)
def test_no_hint_of_a_page_makes_a_report_that_cannot_be_sent(hint: Any, detail: Any) -> None:
    for values in ((), (hint,), (hint, detail), (hint, detail, detail)):
        kind, word = parse_hint(*values)
        assert word.isascii() and len(word) <= MAX_NAME_LENGTH
        assert kind is (Hint.LOGOUT if values[:1] == ("logout",) else Hint.STATE)
        status = Status(TENANT, FakeClock(), lambda: None)
        status.update(PageState(Phase.LOGGED_OUT, detail=f"reason: {word}"))
        status.report(FakeControl().hold(), None).model_dump_json().encode()


@pytest.mark.parametrize("detail", ["\ud83d", "x" * 100_000, "\ud83d" * 300])
def test_no_sentence_makes_a_report_that_cannot_be_sent(detail: str) -> None:
    status = Status(TENANT, FakeClock(), lambda: None)
    status.update(PageState(Phase.FAILED, detail=detail))
    status.report(FakeControl().hold(), None).model_dump_json().encode()


@pytest.mark.parametrize("odd", [*ODD, {"messages": None}, {"messages": [None]}, {"messages": [{}]}, {"messages": {}}])
def test_an_odd_tail_is_refused_and_never_taken_for_an_empty_one(odd: Any) -> None:
    with pytest.raises(PageRefused):
        parse_tail(odd)


@pytest.mark.parametrize(
    ("answer", "tail"),
    [
        ({"messages": []}, Tail([], 0, True)),
        ({"messages": [{"key": "A|"}], "unreadable": 2, "readable": True}, Tail([{"key": "A|"}], 2, True)),
        ({"messages": [], "unreadable": 2, "readable": False}, Tail([], 2, False)),
        *(({"messages": [], "unreadable": odd}, Tail([], 0, True)) for odd in ODD if odd != 1.5),
    ],
)
def test_a_tail_says_how_much_could_not_be_read(answer: dict[str, Any], tail: Tail) -> None:
    assert parse_tail(answer) == tail


@pytest.mark.parametrize(
    ("answer", "restriction"),
    [
        (None, None),
        (True, None),
        ("until tomorrow", None),
        ({}, PageRestriction()),
        ({"until_ms": 5, "kind": "WEB_COMPANION_ONLY"}, PageRestriction(5, "WEB_COMPANION_ONLY")),
        ({"until_ms": None, "kind": "DEFAULT"}, PageRestriction(None, "DEFAULT")),
        ({"until_ms": -1, "kind": ""}, PageRestriction()),
        ({"until_ms": 2**60, "kind": "x" * 1000}, PageRestriction()),
        ({"until_ms": "5", "kind": "your number 491701234567"}, PageRestriction()),
        ({"until_ms": float("inf"), "kind": 7}, PageRestriction()),
    ],
)
def test_a_restriction_is_read_within_bounds(answer: object, restriction: PageRestriction | None) -> None:
    assert parse_observation({"restriction": answer}).restriction == restriction
