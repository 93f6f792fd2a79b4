"""The end-to-end story with real parts: two tenants are created, mailed, scanned from pixels, and answer separately."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from playwright.sync_api import Browser, sync_playwright

from infrastructure.local.operators import Operator as FirstOperator
from infrastructure.local.stack import LocalStack, local_stack
from runner.browser.chromium import DEBIAN_NAMES
from tests.simulators.whatsapp.client import PhoneClient, SimulatorClient
from tests.story.people import Client, Operator, Owner
from tests.story.understanding import Understood, play_understanding

MESSAGES_EACH = 20
#: A later reply counts as missing.
REPLY_TIMEOUT_SECONDS = 60.0
CONTACT = "491755500001"
#: A contact who answers each reply at once, again and again, would be taken for a bot.
QUESTIONS_OF_A_CONTACT = 5
CLIENTS = (
    Client("Bakery Anders", "anders@example.com", "sk-story-bakery-7777ANDE", "You sell bread. Be brief."),
    Client("Garage Blum", "blum@example.com", "sk-story-garage-8888BLUM", "You repair cars. Be brief."),
)
#: What the operator chooses instead of the first password.
PASSWORD = "A-password-of-my-own-1"
NUMBERS = ("491711111111", "491722222222")


class Stage(Protocol):
    """The addresses that the people of the story need."""

    @property
    def admin_url(self) -> str: ...
    @property
    def outbox_url(self) -> str: ...
    @property
    def phone_url(self) -> str: ...
    @property
    def operator(self) -> FirstOperator: ...


@dataclass(frozen=True)
class StoryResult:
    """The result of a story."""

    seconds_mail_to_first_reply: float
    asked: int
    answered: int
    mixed: int
    duplicated: int
    #: contacts whose first reply, and no other, names an automatic assistant
    introduced: int
    contacts: int
    #: of one line; None where it was not tried
    understood: Understood | None = None

    @property
    def summary(self) -> str:
        understood = f"; understood {self.understood.summary}" if self.understood is not None else ""
        return (
            f"story: ok, {self.seconds_mail_to_first_reply:.1f} s mail to first reply, {self.answered} answered, "
            f"{self.mixed} mixed, {self.duplicated} duplicated, {self.introduced} introduced{understood}"
        )

    @property
    def is_good(self) -> bool:
        understood = self.understood is None or self.understood.is_good
        each_once = (self.answered, self.mixed, self.duplicated) == (self.asked, 0, 0)
        return each_once and self.introduced == self.contacts and understood


@contextmanager
def story_stack(data: Path, report: Callable[[str], None], runner_image: str | None = None) -> Iterator[LocalStack]:
    """Runs the stack of `make up`; its runner is a container if an image is given."""
    with local_stack(data, runners=1, runner_image=runner_image, report=report) as stack:
        yield stack


@contextmanager
def browser(*flags: str) -> Iterator[Browser]:
    """Runs the people's browser: a real Chromium."""
    import shutil

    with sync_playwright() as playwright:
        path = next((found for name in DEBIAN_NAMES if (found := shutil.which(name))), None)
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *flags])
        try:
            yield chromium
        finally:
            chromium.close()


def run_story(
    stack: Stage,
    people: Browser,
    pictures: Path | None,
    report: Callable[[str], None],
    messages_each: int = MESSAGES_EACH,
    *,
    understanding: bool = True,
    introducing: bool = True,
    operator: Operator | None = None,
) -> StoryResult:
    """Runs the story once; raises if a page or a reply is missing.

    Args:
        operator: is signed in already; without one, the stack's first operator signs in.
        introducing: the release introduces its lines.
        understanding: one line also gets an edit, a quote, a picture, a greeting of the app, and a group's mention.
    """
    operator = operator or sign_in(stack, people, pictures, report)
    tenants = []
    for client in CLIENTS:
        tenants.append(operator.create(client))
        operator.lift_caps(tenants[-1])
    report("two tenants created")
    started = time.monotonic()
    with SimulatorClient(stack.phone_url) as whatsapp:
        phones = [whatsapp.phone(number, client.name) for number, client in zip(NUMBERS, CLIENTS, strict=True)]
        for client, phone in zip(CLIENTS, phones, strict=True):
            _link(stack, people, client, phone, pictures)
            report(f"{client.name} connected")
        with ThreadPoolExecutor(len(phones)) as pool:
            firsts = list(pool.map(lambda phone: _write(phone, range(1)), phones))
            seconds = time.monotonic() - started
            report("both lines answered their first message")
            rest = list(pool.map(lambda phone: _write(phone, range(1, messages_each)), phones))
        understood = play_understanding(phones[0], REPLY_TIMEOUT_SECONDS) if understanding else None
        report("what is more than text was answered" if understood else "only text was tried")
        operator.open_tenant(tenants[0], "admin-tenant")
        replies = [first + later for first, later in zip(firsts, rest, strict=True)]
        result = replace(_evaluate(phones, replies, messages_each, seconds), understood=understood)
        return result if introducing else replace(result, contacts=0)


def sign_in(stack: Stage, people: Browser, pictures: Path | None, report: Callable[[str], None]) -> Operator:
    """Returns the stack's first operator, who replaces the first password by PASSWORD."""
    operator = Operator(people, stack.admin_url, pictures)
    assert stack.operator.first_password is not None
    operator.sign_in(stack.operator.email, stack.operator.first_password, PASSWORD)
    report("the operator signed in" + (" with an authenticator app" if operator.authenticator else ""))
    return operator


def _link(stack: Stage, people: Browser, client: Client, phone: PhoneClient, pictures: Path | None) -> None:
    """Links the phone as the owner does: mail, link, QR code, scan."""
    owner = Owner(people, pictures)
    owner.open_mail(stack.outbox_url, client.email)
    phone.scan(owner.code_on_the_screen())
    owner.wait_until_connected()


def _write(phone: PhoneClient, numbers: range) -> list[str]:
    """Writes to the line, each message after the reply to the one before; returns the replies."""
    replies = []
    for number in numbers:
        contact = phone.contact(_contact_of(number), "Carla")
        contact.write(_question(phone, number))
        earlier = number % QUESTIONS_OF_A_CONTACT
        replies.append(str(contact.wait_for_reply(earlier + 1, timeout=REPLY_TIMEOUT_SECONDS)[earlier]["text"]))
    return replies


def _contact_of(number: int) -> str:
    """Returns the phone of the contact who asks this question; the first ones are CONTACT's."""
    return str(int(CONTACT) + number // QUESTIONS_OF_A_CONTACT)


def _question(phone: PhoneClient, number: int) -> str:
    return f"Question {number + 1} to {phone.number}, please?"


def _evaluate(phones: list[PhoneClient], replies: list[list[str]], messages_each: int, seconds: float) -> StoryResult:
    """Counts the replies of the right tenant to the right message, and the others."""
    answered = mixed = duplicated = introduced = 0
    for phone, client, texts in zip(phones, CLIENTS, replies, strict=True):
        persona = f"[Assistant {client.key[-4:]}]"
        for number, text in enumerate(texts):
            if persona in text and f'"{_question(phone, number)}"' in text:
                answered += 1
            else:
                mixed += 1
        introduced += _count_introduced(client, texts)
        contacts = {_contact_of(number): None for number in range(messages_each)}
        shown = [str(reply["text"]) for each in contacts for reply in phone.contact(each).replies()]
        duplicated += len(shown) - len(set(shown)) + int(phone.view()["duplicates"])
        duplicated += max(0, len(shown) - messages_each)
    asked, met = messages_each * len(CLIENTS), len(contacts) * len(CLIENTS)
    return StoryResult(seconds, asked, answered, mixed, duplicated, introduced, met)


def _count_introduced(client: Client, texts: list[str]) -> int:
    """Counts the contacts whose first reply begins with the introduction, if no other reply has it."""
    sentence = f"For {client.name}, an automatic assistant (AI) answers here."
    begins = [text.startswith(f"{sentence} Write STOP to switch automatic answers off.\n\n") for text in texts]
    chats = [slice(first, first + QUESTIONS_OF_A_CONTACT) for first in range(0, len(texts), QUESTIONS_OF_A_CONTACT)]
    once = [begins[chat][0] and "".join(texts[chat]).count(sentence) == 1 for chat in chats]
    return sum(once)
