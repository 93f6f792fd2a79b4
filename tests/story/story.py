"""The whole story with real parts: create two tenants, mail, scan from pixels, answer without mixing anything up."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from playwright.sync_api import Browser, sync_playwright

from infrastructure.local.operators import Operator as FirstOperator
from infrastructure.local.stack import LocalStack, local_stack
from runner.browser.chromium import DEBIAN_NAMES
from tests.simulators.whatsapp.client import PhoneClient, SimulatorClient
from tests.story.people import Client, Operator, Owner

MESSAGES_EACH = 20
#: A reply later than this is one that never came.
REPLY_WITHIN_SECONDS = 60.0
CONTACT = "491755500001"
CLIENTS = (
    Client("Bakery Anders", "anders@example.com", "sk-story-bakery-7777ANDE", "You sell bread. Be brief."),
    Client("Garage Blum", "blum@example.com", "sk-story-garage-8888BLUM", "You repair cars. Be brief."),
)
NUMBERS = ("491711111111", "491722222222")


class Stage(Protocol):
    """Where a story can be told: every address that its people need."""

    @property
    def admin_url(self) -> str: ...
    @property
    def outbox_url(self) -> str: ...
    @property
    def phone_url(self) -> str: ...
    @property
    def operator(self) -> FirstOperator: ...


@dataclass(frozen=True)
class Told:
    """How the story went."""

    seconds_mail_to_first_reply: float
    asked: int
    answered: int
    mixed: int
    duplicated: int

    @property
    def line(self) -> str:
        return (
            f"story: ok, {self.seconds_mail_to_first_reply:.1f} s mail to first reply, {self.answered} answered, "
            f"{self.mixed} mixed, {self.duplicated} duplicated"
        )

    @property
    def ended_well(self) -> bool:
        return (self.answered, self.mixed, self.duplicated) == (self.asked, 0, 0)


@contextmanager
def told_stack(data: Path, say: Callable[[str], None], runner_image: str | None = None) -> Iterator[LocalStack]:
    """The very stack that `make up` starts; its runner in a container if an image is given."""
    with local_stack(data, runners=1, runner_image=runner_image, report=say) as stack:
        yield stack


@contextmanager
def browser(*flags: str) -> Iterator[Browser]:
    """The people's browser: a real Chromium."""
    import shutil

    with sync_playwright() as playwright:
        path = next((found for name in DEBIAN_NAMES if (found := shutil.which(name))), None)
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *flags])
        try:
            yield chromium
        finally:
            chromium.close()


def tell(
    stack: Stage,
    people: Browser,
    pictures: Path | None,
    say: Callable[[str], None],
    messages_each: int = MESSAGES_EACH,
) -> Told:
    """Lives the story once; raises where a person would be let down."""
    operator = Operator(people, stack.admin_url, pictures)
    assert stack.operator.first_password is not None
    operator.sign_in(stack.operator.email, stack.operator.first_password, "A-password-of-my-own-1")
    say("the operator signed in")
    tenants = []
    for client in CLIENTS:
        tenants.append(operator.create(client))
        operator.lift_caps(tenants[-1])
    say("two tenants created")
    started = time.monotonic()
    with SimulatorClient(stack.phone_url) as whatsapp:
        phones = [whatsapp.phone(number, client.name) for number, client in zip(NUMBERS, CLIENTS, strict=True)]
        for client, phone in zip(CLIENTS, phones, strict=True):
            _link(stack, people, client, phone, pictures)
            say(f"{client.name} connected")
        with ThreadPoolExecutor(len(phones)) as pool:
            firsts = list(pool.map(lambda phone: _write(phone, range(1)), phones))
            seconds = time.monotonic() - started
            say("both lines answered their first message")
            rest = list(pool.map(lambda phone: _write(phone, range(1, messages_each)), phones))
        operator.look(tenants[0], "admin-tenant")
        replies = [first + later for first, later in zip(firsts, rest, strict=True)]
        return _judge(phones, replies, messages_each, seconds)


def _link(stack: Stage, people: Browser, client: Client, phone: PhoneClient, pictures: Path | None) -> None:
    """The owner's part: mail, link, QR code, phone."""
    owner = Owner(people, pictures)
    owner.open_mail(stack.outbox_url, client.email)
    phone.scan(owner.code_on_the_screen())
    owner.wait_until_connected()


def _write(phone: PhoneClient, numbers: range) -> list[str]:
    """One contact writes to the line, one message after another was answered."""
    contact = phone.contact(CONTACT, "Carla")
    for number in numbers:
        contact.write(_question(phone, number))
        contact.wait_for_reply(number + 1, timeout=REPLY_WITHIN_SECONDS)
    return [str(reply["text"]) for reply in contact.replies()][numbers.start : numbers.stop]


def _question(phone: PhoneClient, number: int) -> str:
    return f"Question {number + 1} to {phone.number}, please?"


def _judge(phones: list[PhoneClient], replies: list[list[str]], messages_each: int, seconds: float) -> Told:
    """Each reply must be its own tenant's, to its own message, once."""
    answered = mixed = duplicated = 0
    for phone, client, texts in zip(phones, CLIENTS, replies, strict=True):
        persona = f"[Assistant {client.key[-4:]}]"
        for number, text in enumerate(texts):
            if persona in text and f'"{_question(phone, number)}"' in text:
                answered += 1
            else:
                mixed += 1
        shown = [str(reply["text"]) for reply in phone.contact(CONTACT).replies()]
        duplicated += len(shown) - len(set(shown)) + int(phone.view()["duplicates"])
        duplicated += max(0, len(shown) - messages_each)
    return Told(seconds, messages_each * len(CLIENTS), answered, mixed, duplicated)
