"""What comes beside plain text: an edit, a quote, a picture, a group's mention, and a greeting of the app itself."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

from tests.simulators.whatsapp.client import ContactClient, PhoneClient

#: One pixel.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GREETING = "Thank you for contacting us! We will answer as soon as we can."


@dataclass(frozen=True)
class Understood:
    """How many of each were understood and answered."""

    edits: int
    quotes: int
    pictures: int
    greetings: int
    mentions: int

    @property
    def summary(self) -> str:
        counts = {each.name: getattr(self, each.name) for each in fields(self)}
        return ", ".join(f"{count} {name.removesuffix('s') if count == 1 else name}" for name, count in counts.items())

    @property
    def is_good(self) -> bool:
        return all(getattr(self, each.name) == 1 for each in fields(self))


def play_understanding(phone: PhoneClient, timeout_seconds: float) -> Understood:
    """Writes to the line in each of these ways; an answer counts if it shows that the model was told right."""

    def ask(contact: ContactClient, replies: int = 1) -> str:
        try:
            return str(contact.wait_for_reply(replies, timeout=timeout_seconds)[-1]["text"])
        except TimeoutError:
            return ""

    def edit() -> bool:
        contact = phone.contact("491755500011", "Edda")
        sent = contact.write("A table for 2 on Friday?")
        contact.edit(str(sent["id"]), "A table for 12 on Saturday?")
        answer = ask(contact)
        return "A table for 12 on Saturday?" in answer and "Friday" not in answer

    def quote() -> bool:
        contact = phone.contact("491755500012", "Quentin")
        contact.write("Which bread is there?")
        first = ask(contact)
        contact.write("This one please", quote=contact.replies()[0]["id"])
        answer = ask(contact, 2)
        return '"This one please"' in answer and f'quotes: "{first[:40]}' in answer

    def picture() -> bool:
        contact = phone.contact("491755500013", "Pia")
        contact.send_media(PICTURE, "image/png", caption="Is this the right part?")
        return "[picture that you cannot see] caption: Is this the right part?" in ask(contact)

    def greeting() -> bool:
        phone.answer_automatically(greeting=GREETING)
        contact = phone.contact("491755500014", "Greta")
        contact.write("Do you have rye bread?")
        answer = ask(contact)
        phone.answer_automatically(greeting=None)
        greeted = [message for message in contact.messages() if message["text"] == GREETING]
        return len(greeted) == 1 and "Do you have rye bread?" in answer

    def mention() -> bool:
        members = ["491755500015", "491755500016"]
        group = phone.contact("120363041234567890@g.us", "Neighbours", kind="group", members=members)
        group.write("Who comes on Sunday?", author=members[0], author_name="Mia")
        asked = f"{group.mention_of_line} are you open on Sunday?"
        group.write(asked, author=members[1], author_name="Ben", mentions=[phone.number])
        answer = ask(group)
        return "Ben: " in answer and len(group.replies()) == 1

    greeted = greeting()  # alone: the phone greets every new contact
    others: tuple[Callable[[], bool], ...] = (edit, quote, picture, mention)
    with ThreadPoolExecutor(len(others)) as pool:
        edits, quotes, pictures, mentions = pool.map(lambda act: int(act()), others)
    return Understood(edits, quotes, pictures, int(greeted), mentions)
