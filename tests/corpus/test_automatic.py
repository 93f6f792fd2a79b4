"""The error rates of recognising automatic messages, on a labelled set, handed in to the real control plane."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from chalicelib.model import SkipReason, apply_report
from chalicelib.replies import inbound
from chalicelib.wiring import Services
from tests.simulation.memory_table import MemoryTable
from tests.unit.conftest import ASSISTANT, Clock, FakeFleet, FakeJobs, a_tenant
from wire import Acknowledgement, Message, MessageKind, Outcome, Phase, SessionReport

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("automatic.yaml").read_text())
#: People who are taken for the app, so that the line talks while they do …
PEOPLE_TAKEN_FOR_THE_APP = {
    "price-list-pasted-to-three-contacts-within-15-s",
    "template-at-once-to-three-customers",
    "paste-at-once-by-an-owner-who-waited",
}
#: … and the app taken for a person, so that the line is silent for an hour.
APP_TAKEN_FOR_A_PERSON = {
    "greeting-in-an-old-chat-just-linked",
    "greeting-of-12-characters",
    "greeting-from-a-slow-phone",
    "away-first-chat",
    "away-second-chat",
    "away-from-a-phone-that-was-off",
}
T = "tenantaaaa"
DAY_SECONDS = 86_400
NAMES = ("Luis Gómez", "Mia", "Zoë", "Tom", "Bo Li")


class Phone:
    """An account's phone: what it and its contacts write is handed in at once."""

    def __init__(self, linked_days: float) -> None:
        self.clock = Clock()
        self.start = self.clock.now // 1000 * 1000
        self.services = Services({"STAGE": "corpus", "COMMIT": "abc1234"}, clock=self.clock)
        self.services.__dict__.update(table=MemoryTable(), jobs=FakeJobs(), fleet=FakeFleet())
        self.services.tenants.create(a_tenant(T), ASSISTANT, by="operator@example.com")
        self.clock.now = self.start - round(linked_days * DAY_SECONDS * 1000)
        runner = self.services.runners.register("runneraaaa", "0" * 64, 5, self.clock(), task="task-a")
        session = self.services.placement.keep_awake(T, self.clock())
        online = SessionReport(tenant=T, epoch=session.epoch, sequence=1, phase=Phase.ONLINE, number="491709999999")
        self.services.sessions.record_report(runner, session, apply_report(session, online, self.clock()))

    def write(self, chat: str, second: float, text: str, **more: Any) -> Acknowledgement:
        self.clock.now = self.start + round(second * 1000) + 300
        fields: dict[str, Any] = {
            "id": f"{'O' if more.get('from_me') else 'C'}{second}",
            "chat": chat,
            "from_me": False,
            "sent_at_ms": self.start + round(second) * 1000,
            "kind": MessageKind.TEXT,
            "text": text,
            **more,
        }
        [acknowledged] = inbound.hand_in(self.services, T, [Message.model_validate(fields)])
        return acknowledged


def label_of(case: Mapping[str, Any]) -> str:
    """Plays the case; returns who the control plane thinks wrote its last own message."""
    given = case["input"]
    phone = Phone(given.get("linked_days", 60))
    name, after, more = given.get("name", "Ana"), given.get("after", 1), dict(given.get("more", {}))
    for number, second in enumerate(given.get("elsewhere", ())):
        other, asked_at = NAMES[number], (number - 20) * 3_600
        phone.write(f"{number}@lid", asked_at - 3 * DAY_SECONDS, "Hi", author=other)
        phone.write(f"{number}@lid", asked_at, "Are you open?", author=other)
        text = given.get("text_elsewhere", given["text"]).replace("{name}", other.split()[0])
        phone.write(f"{number}@lid", asked_at + second, text, from_me=True)
    if "silent_days" in given:
        phone.write("4711@lid", -given["silent_days"] * DAY_SECONDS, "Until next time!", author=name)
    if "page_days" in given:
        more["chat_since_ms"] = phone.start - given["page_days"] * DAY_SECONDS * 1000
    if "edited" in more:
        more["edited_at_ms"] = phone.start + more.pop("edited") * 1000
    if "order" not in given:
        phone.write("4711@lid", 0, "Are you open?", author=name)
    if "again" in given:
        asked_again, after = given["again"]
        phone.write("4711@lid", asked_again, "And tomorrow?", author=name)
    if "typed_between" in given:
        phone.write("4711@lid", after - 1, given["typed_between"], from_me=True)
    answer = phone.write("4711@lid", after, given["text"].replace("{name}", name), from_me=True, **more)
    automatic = (answer.outcome, answer.reason) == (Outcome.SKIPPED, SkipReason.AUTOMATIC)
    assert automatic or answer.outcome is Outcome.TAKEOVER
    return "automatic" if automatic else "person"


@pytest.fixture(scope="module")
def wrong() -> dict[str, set[str]]:
    """The misjudged cases by their label."""
    found: dict[str, set[str]] = {"person": set(), "automatic": set()}
    for case in CASES:
        if label_of(case) != case["label"]:
            found[case["label"]].add(case["id"])
    return found


def test_a_person_is_hardly_ever_taken_for_the_app(wrong: dict[str, set[str]]) -> None:
    assert wrong["person"] == PEOPLE_TAKEN_FOR_THE_APP
    rate = _rate(wrong, "person")
    print(f"a person taken for the app: {rate}")
    assert rate == "3 of 38 (8 %)"


def test_the_app_is_taken_for_a_person_where_nothing_is_known_of_its_text(wrong: dict[str, set[str]]) -> None:
    assert wrong["automatic"] == APP_TAKEN_FOR_A_PERSON
    rate = _rate(wrong, "automatic")
    print(f"the app taken for a person: {rate}")
    assert rate == "6 of 40 (15 %)"


def test_the_set_has_no_case_twice_and_names_its_sources() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES) >= 60
    assert all(case["source"].startswith(("https://", "own: ", "recorded: ")) for case in CASES)


def _rate(wrong: Mapping[str, set[str]], label: str) -> str:
    total = sum(case["label"] == label for case in CASES)
    return f"{len(wrong[label])} of {total} ({len(wrong[label]) / total:.0%})".replace("%", " %")
