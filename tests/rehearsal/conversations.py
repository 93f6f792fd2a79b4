"""People who write to the lines all the time, each of them again once answered, and what became of what they wrote."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulators.whatsapp.client import ContactClient, SimulatorClient

#: Each line hears from somebody this often …
WRITE_EVERY_SECONDS = 5.0
#: … of so many: nobody writes as fast as a bot would, and not all of Lambda starts when all chats are looked at anew.
CONTACTS_OF_A_LINE = 4
FIRST_CONTACT = 491755501001
STOPPED_WITHIN_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Line:
    """Whose line it is: its number, the name on its phone, and what its assistant's replies begin with."""

    number: str
    name: str
    persona: str


@dataclass(frozen=True)
class Chat:
    """What one contact asked a line, and what the phone shows of its replies, in order."""

    persona: str
    asked: tuple[str, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of everything that was written."""

    asked: int
    answered: int
    mixed: int
    duplicated: int

    @property
    def ended_well(self) -> bool:
        return (self.answered, self.mixed, self.duplicated) == (self.asked, 0, 0)


def judge(chats: Sequence[Chat]) -> Outcome:
    """Each question has one reply, of its own line's assistant; what else is shown is mixed up, or once too often."""
    asked = answered = mixed = duplicated = 0
    for chat in chats:
        asked += len(chat.asked)
        wanted = [f'"{question}"' for question in chat.asked]
        for text in wanted:
            count = sum(text in reply and chat.persona in reply for reply in chat.replies)
            answered += count > 0
            duplicated += max(0, count - 1)
        mixed += sum(chat.persona not in reply or not any(text in reply for text in wanted) for reply in chat.replies)
    return Outcome(asked, answered, mixed, duplicated)


@dataclass
class Talk:
    """One contact of a line, as far as they came."""

    line: Line
    number: str
    asked: list[str] = field(default_factory=list)
    #: None while nothing is waited for
    waits_since: float | None = None

    def write(self, whatsapp: SimulatorClient, now: float) -> None:
        """Asks the next question."""
        question = f"Question {len(self.asked) + 1} of {self.number[-3:]} to {self.line.number}, please?"
        self._contact(whatsapp).write(question)
        self.asked.append(question)
        self.waits_since = now

    def is_answered(self, whatsapp: SimulatorClient) -> bool:
        """Whether the last question has its reply."""
        return len(self._contact(whatsapp).replies()) >= len(self.asked)

    def chat(self, whatsapp: SimulatorClient) -> Chat:
        """All that is shown."""
        replies = self._contact(whatsapp).replies()
        return Chat(self.line.persona, tuple(self.asked), tuple(str(reply["text"]) for reply in replies))

    def _contact(self, whatsapp: SimulatorClient) -> ContactClient:
        return ContactClient(whatsapp, self.line.number, self.number)


class Conversations(threading.Thread):
    """Writes to every line until it is told to stop, and looks whether a browser shows a code meanwhile.

    Args:
        phone_url: where contacts are played.
        lines: to whom they write; linked already.
    """

    def __init__(self, phone_url: str, lines: Sequence[Line]) -> None:
        super().__init__(name="conversations", daemon=True)
        #: that any browser showed
        self.codes: set[str] = set()
        #: what ended it too early
        self.trouble: Exception | None = None
        self.longest_wait_seconds = 0.0
        #: by line, as far as it was seen
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
                    self._look_for(whatsapp, WRITE_EVERY_SECONDS)
        except Exception as trouble:
            self.trouble = trouble

    def end(self, within_seconds: float) -> Outcome:
        """Nobody writes any more; what became of it all, once everybody was answered or the time is over."""
        self._stopped.set()
        self.join(STOPPED_WITHIN_SECONDS)
        with SimulatorClient(self._phone_url) as whatsapp:
            until = time.monotonic() + within_seconds
            while any(talk.waits_since for talk in self._talks) and time.monotonic() < until:
                self._look_for(whatsapp, LOOK_EVERY_SECONDS)
            return judge([talk.chat(whatsapp) for talk in self._talks])

    def _write(self, whatsapp: SimulatorClient) -> None:
        """On each line whoever was silent for longest; nobody, while everybody waits."""
        for line in self._lines:
            free = [talk for talk in self._talks if talk.line is line and talk.waits_since is None]
            if free:
                min(free, key=lambda talk: len(talk.asked)).write(whatsapp, time.monotonic())

    def _look_for(self, whatsapp: SimulatorClient, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self.codes.update(whatsapp.codes_showing())
            for talk in self._talks:
                if talk.waits_since is not None:
                    self.longest_wait_seconds = max(self.longest_wait_seconds, now - talk.waits_since)
                    if talk.is_answered(whatsapp):
                        talk.waits_since = None
                        self.answered[talk.line.number] += 1
            time.sleep(LOOK_EVERY_SECONDS)
