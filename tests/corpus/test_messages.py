"""What contacts and owners send: what becomes of each message, what is kept of it, and what the model is told.

A case of ``messages.yaml`` has these parts, all optional but ``messages`` and ``outcomes``:

- ``input``: ``policies`` (names of ``Policies``) and ``tenant`` (names of ``Tenant``) of the line; ``each``: fields of
  every message; ``messages``: what happens, in order. A message has the names of ``wire.Message``, and ``minutes_old``
  and ``chat_began`` (``before linking``, ``after linking``). Instead of one, ``do`` stands for ``answer`` (the line
  answers, and the reply is delivered), ``pause``, ``resume``, ``relink`` or ``link another number``, and ``policies``
  edits them. ``wait_minutes`` lets time pass before.
- ``expected``: ``outcomes`` of the messages, with the reason after a colon; ``kept``: the stored texts, None where none
  is; ``told``: the lines that the model read last, None if it was not asked; ``facts``: parts of what it was told
  beside them; ``nowhere``: what no item, job, request or line of the log may have.
"""

import json
import logging
from typing import Any

import pytest
from pydantic import TypeAdapter

from chalicelib.model import Policies, TenantState, apply_report
from chalicelib.wiring import Services
from tests.corpus.cases import Case, parameters
from tests.simulation.memory_table import MemoryTable
from tests.unit.conftest import Clock
from tests.unit.support.online_line import CHAT, T, check, deliver, hand_in, jobs, llm
from wire import Acknowledgement, Message, Phase, SessionReport

NUMBER, ANOTHER_NUMBER = "491709999999", "491708888888"
_policies = TypeAdapter(Policies)


@pytest.mark.parametrize("case", parameters("messages"))
def test_a_message(case: Case, line: Services, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chalicelib")
    played = Played(line, clock, case.input)
    expected = dict(case.expected)
    assert [f"{each.outcome}: {each.reason}".removesuffix(": ") for each in played.acknowledged] == expected.pop(
        "outcomes"
    )
    if "kept" in expected:
        assert played.kept() == expected.pop("kept")
    if "told" in expected:
        assert played.told() == expected.pop("told")
    for fact in expected.pop("facts", ()):
        assert fact in llm(line).told[-1]
    for text in expected.pop("nowhere", ()):
        assert text not in played.everything() + repr([vars(record) for record in caplog.records])
    assert not expected, "unknown expectation"


class Played:
    """A case that is played on a line which has been linked for a month."""

    def __init__(self, line: Services, clock: Clock, given: dict[str, Any]) -> None:
        self._line, self._clock = line, clock
        self.acknowledged: list[Acknowledgement] = []
        self._messages: list[Message] = []
        self._each = given.get("each", {})
        self._linked_at = clock()
        clock.pass_seconds(30 * 24 * 3600)
        self._edit({**given.get("tenant", {}), "policies": self._with(given.get("policies", {}))})
        for number, step in enumerate(given["messages"], start=1):
            clock.pass_seconds(60 * step.get("wait_minutes", 0) + 1)
            self._play(step, f"M{number}")
        self._answer()

    def kept(self) -> list[str | None]:
        """Returns the stored text of each message."""
        found = [self._stored(message) for message in self._messages]
        return [stored.text or None if stored is not None else None for stored in found]

    def told(self) -> list[str] | None:
        """Returns the lines that the model read last, with the role of their writer."""
        asked = llm(self._line).asked
        return [f"{line.role}: {line.text}" for line in asked[-1]] if asked else None

    def everything(self) -> str:
        """Returns all that is stored, enqueued or asked."""
        table = self._line.table
        assert isinstance(table, MemoryTable)
        stored = [item for partition in table.partitions.values() for item in partition.values()]
        asked = [[line.text for line in lines] for lines in llm(self._line).asked]
        whole = [stored, asked, llm(self._line).told, jobs(self._line).sent]
        return json.dumps(whole, default=str, ensure_ascii=False)

    def _play(self, step: dict[str, Any], id: str) -> None:
        if "policies" in step:
            self._edit({"policies": self._with(step["policies"])})
        match step.get("do"):
            case "answer":
                self._answer()
            case "pause":
                self._edit({"state": TenantState.PAUSED})
            case "resume":
                self._edit({"state": TenantState.ACTIVE})
            case "relink":
                self._link(NUMBER)
            case "link another number":
                self._link(ANOTHER_NUMBER)
            case None if "policies" not in step:
                self._hand_in(self._message(step, id))

    def _message(self, step: dict[str, Any], id: str) -> Message:
        given = {**self._each, **step}
        given.pop("wait_minutes", None)
        sent_at = self._clock() // 1000 * 1000 - 60_000 * given.pop("minutes_old", 0)
        began = given.pop("chat_began", None)
        if began is not None:
            given["chat_since_ms"] = self._linked_at + (86_400_000 if began == "after linking" else -86_400_000)
        written = {"id": id, "chat": CHAT, "from_me": False, "sent_at_ms": sent_at, "kind": "text"}
        assert given.keys() <= Message.model_fields.keys(), given
        return Message.model_validate({**written, **given})

    def _hand_in(self, message: Message) -> None:
        self._messages.append(message)
        self.acknowledged.extend(hand_in(self._line, message))

    def _answer(self) -> None:
        self._clock.pass_seconds(3)
        for chat in {chat: None for _, chat, _ in jobs(self._line).sent}:
            check(self._line, chat)
            found = self._line.chats.get(T, chat)
            if found is not None and found.open_turn is not None:
                deliver(self._line, self._clock, found.id)

    def _stored(self, message: Message) -> Any:
        chat = self._line.chats.find(T, message)
        return None if chat is None else self._line.chats.get_message(chat, message)

    def _with(self, changes: dict[str, Any]) -> Policies:
        present = _policies.dump_python(self._line.tenants.get(T).policies)
        assert changes.keys() <= present.keys(), changes
        return _policies.validate_python({**present, **changes})

    def _edit(self, changes: dict[str, Any]) -> None:
        state = changes.pop("state", None)
        if state is not None:
            self._line.tenants.set_state(T, TenantState(state), now=self._clock(), by="operator@example.com")
        revision = self._line.tenants.get(T).revision
        self._line.tenants.edit(T, changes, expected_revision=revision, now=self._clock(), by="operator@example.com")

    def _link(self, number: str) -> None:
        """The owner logs out on the phone and scans again."""
        for phase, linked in ((Phase.LOGGED_OUT, None), (Phase.ONLINE, number)):
            session = self._line.sessions.get(T)
            assert session.runner is not None
            runner = self._line.runners.get(session.runner)
            assert runner is not None
            sequence = session.sequence + 1
            report = SessionReport(tenant=T, epoch=session.epoch, sequence=sequence, phase=phase, number=linked)
            assert self._line.sessions.record_report(runner, session, apply_report(session, report, self._clock()))
        self._clock.pass_seconds(60)
