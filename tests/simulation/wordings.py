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
