"""What people write in a history: each message has a number and a version, and no wording is a part of another."""

import re

#: The beginnings of message ids: of a contact, typed on the owner's phone, sent by it itself.
KINDS = ("IN", "PHONE", "AUTO")
#: What a person writes: the number of the message, and how often it was edited.
WORDING = re.compile(r"m(\d{5})\.(\d+)\.")


def wording(number: int, version: int) -> str:
    """Returns the text of a message in this version."""
    return f"m{number:05d}.{version}."


def number_of(text: str) -> int:
    """Returns the number of the message that has this text."""
    found = WORDING.search(text)
    assert found is not None
    return int(found[1])


def words(text: str) -> str:
    """Returns what is written beside the number of the message and its version."""
    return WORDING.sub("", text).strip()


#: What a contact reads before the first reply; written down here once more, so that no fault of the code hides itself.
INTRODUCTION = re.compile(
    r"For (tenant\d{5}), an automatic assistant \(AI\) answers here\. Write STOP to switch automatic answers off\.\n\n"
)


def introduced(text: str) -> tuple[str | None, str]:
    """Returns the tenant whose introduction a text begins with, None without one; and the text after it."""
    found = INTRODUCTION.match(text)
    return (found[1], text[found.end() :]) if found else (None, text)


def call_of(text: str) -> str:
    """Returns the name of the model's call that made a text, which stands at its beginning."""
    return introduced(text)[1][:5]
