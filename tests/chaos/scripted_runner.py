"""A runner without browsers: it speaks the wire with the control plane, and what it wrote down outlives it.

Its journal and the phones are a :class:`Ledger`, which stands for a disk and for WhatsApp: a kill takes neither.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from wire import Phase

#: A call of a killed control plane ends at once; of one that hangs, after this.
TIMEOUT_SECONDS = 10.0
CALLS_EVERY_SECONDS = 0.1


@dataclass
class Written:
    """A contact's message, the only one of its chat."""

    tenant: str
    chat: str
    id: str
    mark: str
    #: epoch milliseconds
    sent_at: int
    #: the control plane acknowledged it
    acknowledged: bool = False


@dataclass
class Ledger:
    """What contacts wrote, and what their phones show."""

    written: list[Written] = field(default_factory=list)
    #: by chat: the replies that WhatsApp shows, by their ids; a repeated id is shown once
    shown: dict[str, dict[str, str]] = field(default_factory=dict)
    #: the turns of which the control plane acknowledged that they are sent: (tenant, chat, turn)
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    #: reports of a sent part that were not acknowledged: their runner, or the control plane, ended
    unreported: list[dict[str, Any]] = field(default_factory=list)

    def unanswered(self) -> list[Written]:
        """Lists the acknowledged messages that no reply quotes."""
        return [each for each in self.written if each.acknowledged and not any(self._quotes(each))]

    def is_settled(self) -> bool:
        """Returns whether each message has its reply, and the control plane knows of it."""
        handed_in = all(each.acknowledged for each in self.written)
        return handed_in and not self.unanswered() and not self.unreported

    def _quotes(self, message: Written) -> Iterator[bool]:
        return (message.mark in text for text in self.shown.get(message.chat, {}).values())


class ScriptedRunner(threading.Thread):
    """Holds every line that it is given, hands in what contacts wrote, and sends what it is asked to.

    Args:
        base_url: of the control plane, with its stage.
        bootstrap: the token with which a runner registers.
        task: the ARN of its task.
    """

    def __init__(self, base_url: str, bootstrap: str, task: str, ledger: Ledger) -> None:
        super().__init__(name="scripted runner", daemon=True)
        self._client = httpx.Client(base_url=base_url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._token = bootstrap
        self._task = task
        self._ledger = ledger
        self._stopped = threading.Event()
        self._epochs: dict[str, int] = {}

    def stop(self) -> None:
        """Ends the thread, with the call that it makes."""
        self._stopped.set()
        if self.is_alive():
            self.join(3 * TIMEOUT_SECONDS)

    def run(self) -> None:
        while not self._stopped.wait(CALLS_EVERY_SECONDS):
            try:
                self._go_on()
            except httpx.HTTPError:
                continue  # the control plane is gone, or refused: what was written down is tried again

    def _go_on(self) -> None:
        reports = [
            {"tenant": tenant, "epoch": epoch, "sequence": 1, "phase": Phase.ONLINE, "number": number_of(tenant)}
            for tenant, epoch in self._epochs.items()
        ]
        answer = self._post("sync", {"capacity": 25, "task": self._task, "sessions": reports})
        if identity := answer.get("identity"):
            self._token = identity["token"]
        self._epochs = {hold["tenant"]: hold["epoch"] for hold in answer.get("hold", ()) if hold["wanted"] == "run"}
        for report in list(self._ledger.unreported):
            self._report(report)
        for tenant in self._epochs:
            self._hand_in(tenant)
        for delivery in answer.get("deliver", ()):
            self._deliver(delivery)

    def _hand_in(self, tenant: str) -> None:
        waiting = [each for each in list(self._ledger.written) if each.tenant == tenant and not each.acknowledged][:20]
        if not waiting:
            return
        messages = [
            {
                **{"id": each.id, "chat": each.chat, "from_me": False, "sent_at_ms": each.sent_at, "kind": "text"},
                "text": f"Question {each.mark}, please?",
            }
            for each in waiting
        ]
        answer = self._post("messages", {"tenant": tenant, "epoch": self._epochs[tenant], "messages": messages})
        outcomes = {each["id"]: each["outcome"] for each in answer["acknowledged"]}
        for each in waiting:
            each.acknowledged = outcomes.get(each.id) in ("queued", "duplicate")

    def _deliver(self, delivery: dict[str, Any]) -> None:
        call = {name: delivery[name] for name in ("tenant", "epoch", "chat", "turn")}
        taken = self._post("take", call)
        if taken["result"] != "taken":
            return
        shown = self._ledger.shown.setdefault(delivery["chat"], {})
        for number, part in enumerate(taken["parts"]):
            if number < taken["cursor"]:
                continue
            shown.setdefault(part["id"], part["text"])
            report = {**call, "part": number, "message": part["id"]}
            self._ledger.unreported.append(report)
            self._report(report)

    def _report(self, report: dict[str, Any]) -> None:
        try:
            if self._post("sent", report)["done"]:
                self._ledger.sent.append((report["tenant"], report["chat"], report["turn"]))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            # Data that went back in time knows no such turn; its message is handed in again.
        self._ledger.unreported.remove(report)

    def _post(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        if self._stopped.is_set():
            raise httpx.TransportError("stopped")
        headers = {"Authorization": f"Bearer {self._token}"}
        answered = self._client.post(f"/runner/{call}", json=body, headers=headers)
        answered.raise_for_status()
        answer: dict[str, Any] = answered.json()
        return answer


def number_of(tenant: str) -> str:
    """Returns the number of a tenant's account."""
    return "49171" + "".join(f"{ord(letter) % 10}" for letter in tenant[-7:])


def now_ms() -> int:
    """Returns WhatsApp's time, which has whole seconds, in epoch milliseconds."""
    return int(time.time()) * 1000
