"""The shape of the ids that clients give their messages. Pure."""

import re
from typing import Final

#: The ids of our replies (``model/conversation.py: reply_id``), and those that WhatsApp Web makes.
_OF_WEB: Final = re.compile(r"3EB0[0-9A-F]{18}", re.ASCII)


def may_be_reply_id(id: str) -> bool:
    """Returns whether a message id has the shape of ours.

    No phone makes such a one: the apps' begin with ``3A`` and have 20 characters, or have 32 (Baileys ``getDevice``).
    """
    return _OF_WEB.fullmatch(id) is not None
