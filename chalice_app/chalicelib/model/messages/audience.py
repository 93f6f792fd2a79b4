"""The audience of a line: the people whom it answers, as the tenant's policies choose them. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from chalicelib.model.conversation import Chat
from chalicelib.model.messages.phone_numbers import is_listed, same_phone
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.session import Session
from chalicelib.model.tenant import Audience, GroupAnswers, Policies
from wire import Message, MessageKind

#: WhatsApp's own accounts, which have numbers as people have: the service's, the one that talks to businesses
#: (whatsmeow ``types.OfficialBusinessJID``), and the numbers of Meta AI (Baileys ``isJidBot``, WhatsApp Web ``isBot``).
ACCOUNTS_OF_WHATSAPP: Final = re.compile(r"0|16505361212|131[36]555[0-9]{4}")


def reason_not_to_answer(message: Message, chat: Chat, session: Session, policies: Policies) -> SkipReason | None:
    """Returns the reason why this chat or author gets no answer, by the first rule that applies; None if they do."""
    if not _is_person(message, chat, session):
        return SkipReason.NOT_A_PERSON
    return (
        _reason_of_group(message, policies)
        or _reason_of_lists(message, chat, policies)
        or _reason_of_audience(message, chat, session, policies)
    )


def is_broadcast(chat: str) -> bool:
    """True for broadcast lists, statuses and channels."""
    return chat.endswith(("@broadcast", "@newsletter"))


def began_after_linking(message: Message, chat: Chat, session: Session) -> bool:
    """True if the page or an earlier message shows that the chat began after this number was linked.

    A chat remains a new one when the same number is linked again. One that seems to have begun in between is none: a
    new device gets the last messages of each chat first, so that an old chat seems to begin with these. A page that
    does not know when the chat began cannot show it: whoever wrote before the linking must never meet an assistant,
    and the reason of the others is seen.
    """
    if session.number is None or session.answers_since is None:
        return False
    if chat.new_to == session.number:
        return True
    return message.chat_since_ms is not None and message.chat_since_ms >= session.answers_since


def is_group(chat: str) -> bool:
    """True for the id of a group."""
    return chat.endswith("@g.us")


def _is_person(message: Message, chat: Chat, session: Session) -> bool:
    """Only phones, contacts without a number, and groups of them are; the line's own chat is not."""
    if not (is_group(message.chat) or _is_account_of_person(message.chat)):
        return False
    if message.sender is not None and not _is_account_of_person(message.sender):
        return False
    return session.number is None or not any(same_phone(phone, session.number) for phone in _phones(message, chat))


def _is_account_of_person(name: str) -> bool:
    user, _, server = name.partition("@")
    return server in ("c.us", "lid") and not (server == "c.us" and ACCOUNTS_OF_WHATSAPP.fullmatch(_account(user)))


def _reason_of_group(message: Message, policies: Policies) -> SkipReason | None:
    if not is_group(message.chat) or policies.groups is GroupAnswers.ALWAYS:
        return None
    if policies.groups is not GroupAnswers.MENTIONED:
        return SkipReason.GROUP
    # What is not decrypted yet may mention the line: it is judged once it can be read.
    mentioned = message.mentions_us or (message.quote is not None and message.quote.from_me)
    return None if mentioned or message.kind is MessageKind.CIPHERTEXT else SkipReason.NOT_MENTIONED


def _reason_of_lists(message: Message, chat: Chat, policies: Policies) -> SkipReason | None:
    """In a group the lists are about the author; the owner's own messages there are nobody's whom they name."""
    if is_group(message.chat) and message.from_me:
        return None
    if _is_listed(message, chat, policies.ignored_phones):
        return SkipReason.IGNORED_CONTACT
    if policies.allowed_phones and not _is_listed(message, chat, policies.allowed_phones):
        return SkipReason.NOT_ALLOWED
    return None


def _reason_of_audience(message: Message, chat: Chat, session: Session, policies: Policies) -> SkipReason | None:
    """Where the page does not know, it may be a friend, who is not answered.

    Of groups the page knows neither how old they are nor whom the phone has saved. That they are answered was chosen
    besides, so that there only what is known counts. Where the page does not know of the owner's own message, a chat
    that the line dealt with before is one that it answers.
    """
    audience, in_group = policies.audience, is_group(message.chat)
    is_new = began_after_linking(message, chat, session) or (in_group and message.chat_since_ms is None)
    if audience in (Audience.NEW_CHATS, Audience.UNKNOWN) and not is_new:
        return SkipReason.OLDER_CHAT
    if audience in (Audience.UNSAVED, Audience.UNKNOWN) and message.saved_contact is not False:
        answered = in_group or (message.from_me and chat.answered_to)
        return None if message.saved_contact is None and answered else SkipReason.SAVED_CONTACT
    return None


def _is_listed(message: Message, chat: Chat, listed: tuple[str, ...]) -> bool:
    if not listed:
        return False
    names = {each for each in listed if "@" in each}
    if any(name in names for name in _names(message, chat)):
        return True
    return any(is_listed(phone, (each for each in listed if "@" not in each)) for phone in _phones(message, chat))


def _names(message: Message, chat: Chat) -> Iterator[str]:
    """Yields what WhatsApp calls the contact: the chat's ids, or the author's in a group, without a device."""
    if is_group(message.chat):
        given: tuple[str | None, ...] = (message.sender,)
    else:
        given = (message.chat, message.chat_alias, chat.id, chat.whatsapp_id)
    for name in given:
        if name:
            user, _, server = name.partition("@")
            yield f"{_account(user)}@{server}"


def _phones(message: Message, chat: Chat) -> Iterator[str]:
    """Yields the digits of the contact's phone, as far as they are known."""
    if message.phone:
        yield message.phone
    if chat.phone and not is_group(message.chat):
        yield chat.phone
    for name in _names(message, chat):
        if name.endswith("@c.us"):
            yield name.removesuffix("@c.us")


def _account(user: str) -> str:
    """Returns the account without its device: ``4917:5`` and ``4917.0:5`` are devices of 4917."""
    return re.split(r"[.:]", user, maxsplit=1)[0]
