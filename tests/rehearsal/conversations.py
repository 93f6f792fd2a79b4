"""Contacts who write to the lines all the time, each again once answered, and the outcome of all they wrote."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulators.whatsapp.client import ContactClient, SimulatorClient

#: Each line gets a message this often on average: who writes by the clock would be taken for a bot …
WRITE_EVERY_SECONDS = 5.0
#: … from one of so many contacts: people write slower than bots, and few functions start when all chats are checked.
CONTACTS_OF_A_LINE = 4
#: A contact reads a reply, and types, for at least and at most so long, also where all wait for a slow machine.
PAUSE_SECONDS = (10.0, 25.0)
FIRST_CONTACT = 491755501001
STOPPED_WITHIN_SECONDS = 30.0
POLL_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Line:
    """A tenant's line: its number, the name on its phone, and the words with which its assistant's replies begin."""

    number: str
    name: str
    persona: str


@dataclass(frozen=True)
class Chat:
    """The questions of one contact to a line, and the replies that the phone shows, in order."""

    persona: str
    asked: tuple[str, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The outcome of everything that was written."""

    asked: int
    answered: int
    mixed: int
    duplicated: int

    @property
    def ended_well(self) -> bool:
        return (self.answered, self.mixed, self.duplicated) == (self.asked, 0, 0)


def count_outcome(chats: Sequence[Chat]) -> Outcome:
    """Counts: each question has one reply of its own line's assistant; any other reply is mixed up or duplicated."""
    asked = answered = mixed = duplicated = 0
    for chat in chats:
        asked += len(chat.asked)
        quoted = [f'"{question}"' for question in chat.asked]
        for text in quoted:
            count = sum(text in reply and chat.persona in reply for reply in chat.replies)
            answered += count > 0
            duplicated += max(0, count - 1)
        mixed += sum(chat.persona not in reply or not any(text in reply for text in quoted) for reply in chat.replies)
    return Outcome(asked, answered, mixed, duplicated)


@dataclass
class Talk:
    """The state of one contact's chat with a line."""

    line: Line
    number: str
    asked: list[str] = field(default_factory=list)
    #: monotonic seconds; None while no reply is expected
    waits_since: float | None = None
    #: monotonic seconds of the next question, at the earliest
    reads_until: float = 0.0

    def write(self, whatsapp: SimulatorClient, now: float) -> None:
        """Asks the next question."""
        question = f"Question {len(self.asked) + 1} of {self.number[-3:]} to {self.line.number}, please?"
        self._contact(whatsapp).write(question)
        self.asked.append(question)
        self.waits_since = now

    def is_answered(self, whatsapp: SimulatorClient) -> bool:
        """Returns whether the last question has its reply."""
        return len(self._contact(whatsapp).replies()) >= len(self.asked)

    def read(self, now: float) -> None:
        """Reads the reply before the next question."""
        self.waits_since = None
        self.reads_until = now + random.uniform(*PAUSE_SECONDS)

    def may_write(self, now: float) -> bool:
        """Returns whether the contact has read the last reply."""
        return self.waits_since is None and now >= self.reads_until

    def chat(self, whatsapp: SimulatorClient) -> Chat:
        """Reads all that the phone shows."""
        replies = self._contact(whatsapp).replies()
        return Chat(self.line.persona, tuple(self.asked), tuple(str(reply["text"]) for reply in replies))

    def _contact(self, whatsapp: SimulatorClient) -> ContactClient:
        return ContactClient(whatsapp, self.line.number, self.number)


class Conversations(threading.Thread):
    """Writes to every line until it is stopped, and checks whether a browser shows a code meanwhile.

    Args:
        phone_url: the address that controls the simulated phones.
        lines: the linked lines that contacts write to.
    """

    def __init__(self, phone_url: str, lines: Sequence[Line]) -> None:
        super().__init__(name="conversations", daemon=True)
        #: QR codes that any browser showed
        self.codes: set[str] = set()
        #: the error that ended the thread
        self.error: Exception | None = None
        self.longest_wait_seconds = 0.0
        #: the number of seen replies, by line
        self.answered: Counter[str] = Counter()
        self._phone_url = phone_url
        self._lines = lines
        self._talks = [Talk(line, f"{FIRST_CONTACT + one}") for one in range(CONTACTS_OF_A_LINE) for line in lines]
        self._stopped = threading.Event()

    def run(self) -> None:
        try:
            with SimulatorClient(self._phone_url) as whatsapp:
                for talk in self._talks:
                    whatsapp.phone(talk.line.number).contact(talk.number, f"Contact {talk.number[-3:]}")
                while not self._stopped.is_set():
                    self._write(whatsapp)
                    self._poll(whatsapp, WRITE_EVERY_SECONDS * random.uniform(0.2, 1.8))
        except Exception as error:
            self.error = error

    def end(self, within_seconds: float) -> Outcome:
        """Stops writing, waits for the last replies, and returns the outcome."""
        self._stopped.set()
        self.join(STOPPED_WITHIN_SECONDS)
        with SimulatorClient(self._phone_url) as whatsapp:
            deadline = time.monotonic() + within_seconds
            while any(talk.waits_since for talk in self._talks) and time.monotonic() < deadline:
                self._poll(whatsapp, POLL_EVERY_SECONDS)
            return count_outcome([talk.chat(whatsapp) for talk in self._talks])

    def _write(self, whatsapp: SimulatorClient) -> None:
        """Lets the contact with the fewest questions write on each line; none if all wait for replies or read."""
        now = time.monotonic()
        for line in self._lines:
            free = [talk for talk in self._talks if talk.line is line and talk.may_write(now)]
            if free:
                min(free, key=lambda talk: len(talk.asked)).write(whatsapp, now)

    def _poll(self, whatsapp: SimulatorClient, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            self.codes.update(whatsapp.codes_showing())
            for talk in self._talks:
                if talk.waits_since is not None:
                    self.longest_wait_seconds = max(self.longest_wait_seconds, now - talk.waits_since)
                    if talk.is_answered(whatsapp):
                        talk.read(now)
                        self.answered[talk.line.number] += 1
            time.sleep(POLL_EVERY_SECONDS)
