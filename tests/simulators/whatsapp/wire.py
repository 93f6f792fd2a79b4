"""How messages, people, groups and chats are described to a page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tests.simulators.whatsapp.state import Account, Message, Person

Wire = dict[str, Any]

#: ConversationEndOfHistoryTransferModelPropType of WhatsApp Web's WAWebChatConstants: the chat came with the history,
#: and the phone has no older messages of it. A chat begun after the linking has no such value.
HISTORY_COMPLETE = 1


def message_wire(account: Account, person: Person, message: Message) -> Wire:
    """Describe a message as it is now; one that cannot be decrypted has an envelope and nothing else."""
    hidden = message.unreadable
    return {
        "id": message.id,
        "chat": account.chat_wid(person),
        "from_me": message.from_me,
        "type": "ciphertext" if hidden else message.type,
        "body": None if hidden else message.text,
        "author": message.author or (own_author(account, person) if message.from_me else None),
        "notify_name": message.author_name or (account.name if message.from_me else person.name),
        "t": message.at // 1000,
        "ack": message.ack,
        "media": asdict(message.media) if message.media and not hidden else None,
        "details": {} if hidden else message.details,
        "edit_id": None if hidden else message.edit_id,
        "edited_at": None if hidden else message.edited_at,
    }


def own_author(account: Account, person: Person) -> str | None:
    """Return us as the author of own messages in a group [wa-js, chat/functions/prepareRawMessage.ts]."""
    if person.kind != "group":
        return None
    return account.lid if account.lid_migrated else account.wid


def event_of(account: Account, person: Person, message: Message) -> Wire:
    """Describe the arrival of a message, with who wrote it and the group it was written in."""
    writer = _writer(account, message) if message.author else person
    return {
        "kind": "msg",
        "message": message_wire(account, person, message),
        "contact": contact_wire(writer),
        "group": group_wire(account, person),
    }


def _writer(account: Account, message: Message) -> Person:
    author = message.author or ""
    known = account.person_at(author)
    return known or Person(number=author, name=message.author_name or author)


def contact_wire(person: Person) -> Wire | None:
    """Describe a person to a page; groups, channels and the status feed are no contacts.

    The name is the one in the phone's address book: who is not saved has only a push name.
    """
    if not person.is_somebody:
        return None
    return {
        "wid": None if person.wid == person.lid else person.wid,
        "lid": person.lid,
        "name": person.name if person.saved else None,
        "pushname": person.name,
        "business": person.business,
        "saved": person.saved,
        "username": person.username,
    }


def group_wire(account: Account, person: Person) -> Wire | None:
    """Describe a group: its subject and its members, the line among them."""
    if person.kind != "group":
        return None
    me = account.lid if account.lid_migrated else account.wid
    members = [account.wid_of(number) for number in person.members]
    return {"id": person.wid, "subject": person.name, "members": [me, *members], "lids": account.lid_migrated}


def history_wire(account: Account) -> Wire | None:
    """Describe all chats of the phone, for a device that is new; None if there are none."""
    people = [person for person in account.people.values() if person.messages]
    if not people:
        return None
    return {
        "kind": "history",
        "messages": [
            {**message_wire(account, person, message), "history": True}
            for person in people
            for message in person.messages
        ],
        "chats": [
            {"id": account.chat_wid(person), "unreadCount": person.unread, "endOfHistoryTransferType": HISTORY_COMPLETE}
            for person in people
        ],
    }
