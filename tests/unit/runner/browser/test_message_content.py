"""Each kind of message is read in words and numbers, and only what a person typed is a text or a caption."""

from __future__ import annotations

from typing import Any

import pytest

from runner.messages.translation import message_from
from tests.unit.support.page_scripts import run

THUMBNAIL = "/9j/4AAQ"
NOTHING = {"text": "", "caption": "", "summary": "", "variant": "", "automatic": False}

#: Name → (the message's attributes, what is read of it).
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({"body": "hello"}, {"kind": "text", "text": "hello", "media": None, "quote": None}),
    "half a letter": ({"body": "a\ud83d"}, {"text": "a\ufffd"}),
    "no text at all": ({"body": 7}, {"kind": "text", "text": ""}),
    "picture": (
        {"type": "image", "body": THUMBNAIL, "caption": "this one?", "mimetype": "image/jpeg", "size": 3},
        {"kind": "image", "text": "", "caption": "this one?", "media": {"mime": "image/jpeg", "size_bytes": 3}},
    ),
    "picture of a program": (
        {"type": "image", "body": THUMBNAIL, "caption": "a.jpg", "filename": "a.jpg"},
        {"kind": "image", "caption": "", "media": {"file_name": ""}},
    ),
    "picture with a flag that says nothing": (
        {"type": "image", "caption": "this one?", "isCaptionByUser": False},
        {"caption": "this one?"},
    ),
    "seen once": ({"type": "image", "isViewOnce": True}, {"kind": "image", "variant": "view_once"}),
    "seen once, which a linked device never gets": (
        {"type": "ciphertext", "subtype": "view_once_unavailable_fanout"},
        {"kind": "other", "variant": "view_once"},
    ),
    "not decrypted yet": ({"type": "ciphertext", "subtype": None}, {"kind": "ciphertext", "variant": ""}),
    "document": (
        {"type": "document", "caption": "please check", "filename": "a.pdf", "isCaptionByUser": True},
        {"kind": "document", "caption": "please check", "media": {"file_name": "a.pdf"}},
    ),
    "document without words": (
        {"type": "document", "caption": "a.pdf", "filename": "a.pdf", "isCaptionByUser": True},
        {"caption": ""},
    ),
    "document that a program described": (
        {"type": "document", "caption": "An invoice", "filename": "a.pdf", "isCaptionByUser": False},
        {"caption": ""},
    ),
    "document of an older page": (
        {"type": "document", "caption": "please check", "filename": "a.pdf"},
        {"caption": "please check"},
    ),
    "voice message": (
        {"type": "ptt", "duration": "12", "mimetype": "audio/ogg; codecs=opus"},
        {"kind": "voice", "media": {"seconds": 12, "mime": "audio/ogg; codecs=opus"}},
    ),
    "file without facts": (
        {"type": "audio", "duration": "long", "size": -1, "mimetype": 5},
        {"kind": "audio", "media": {"mime": "", "size_bytes": None, "seconds": None}},
    ),
    "gif": ({"type": "video", "isGif": True}, {"kind": "video", "variant": "gif"}),
    "round video": ({"type": "ptv"}, {"kind": "video", "variant": "video_note"}),
    "sticker": ({"type": "sticker"}, {"kind": "sticker"}),
    "place": (
        {
            "type": "location",
            "body": THUMBNAIL,
            "lat": 52.5,
            "lng": 13.4,
            "loc": "Cafe\nMain Street 1",
            "comment": "here",
        },
        {"kind": "location", "summary": "Cafe\nMain Street 1", "caption": "here", "text": ""},
    ),
    "place without a name": ({"type": "location", "lat": 52.5, "lng": "13.4"}, {"summary": "52.5, 13.4"}),
    "place that moves": ({"type": "location", "isLive": True}, {"variant": "live_location", "summary": ""}),
    "contact card": (
        {"type": "vcard", "body": "BEGIN:VCARD\nFN:Paula Plumber\nTEL:+4917699999901\nEND:VCARD"},
        {"kind": "contact_card", "summary": "Paula Plumber", "text": ""},
    ),
    "contact cards": (
        {"type": "multi_vcard", "vcardList": [{"displayName": "Paula"}, {"vcard": "FN;CHARSET=UTF-8:Erik\nTEL:1"}]},
        {"kind": "contact_card", "variant": "contact_cards", "summary": "Paula\nErik"},
    ),
    "poll": (
        {"type": "poll_creation", "pollName": "Which day?", "pollOptions": [{"name": "Friday"}, {"name": "Monday"}]},
        {"kind": "other", "variant": "poll", "summary": "Which day?\n- Friday\n- Monday"},
    ),
    "poll with odd options": (
        {"type": "poll_creation", "pollName": "Which?", "pollOptions": [None, 1]},
        {"summary": "Which?\n-"},
    ),
    "order": (
        {
            "type": "order",
            "body": THUMBNAIL,
            "orderTitle": "Rye bread",
            "message": "before noon",
            "itemCount": 2,
            "totalAmount1000": 12500,
            "totalCurrencyCode": "EUR",
        },
        {"variant": "order", "summary": "Rye bread\nitems: 2\ntotal: 12.50 EUR", "caption": "before noon", "text": ""},
    ),
    "product": (
        {
            "type": "product",
            "title": "Rye bread",
            "priceAmount1000": 4200,
            "currencyCode": "EUR",
            "description": "fresh",
        },
        {"variant": "product", "summary": "Rye bread\n4.20 EUR\nfresh", "caption": ""},
    ),
    "entry of a list": (
        {"type": "list_response", "body": "Haircut\n30 min", "listResponse": {"title": "Haircut"}},
        {"kind": "other", "variant": "list_reply", "text": "", "summary": "Haircut\n30 min"},
    ),
    "entry of a list without a body": (
        {"type": "list_response", "listResponse": {"title": "Haircut", "description": "30 min"}},
        {"summary": "Haircut\n30 min"},
    ),
    "button": ({"type": "buttons_response", "body": "Yes"}, {"variant": "button_reply", "summary": "Yes", "text": ""}),
    "template's button": (
        {"type": "template_button_reply", "body": "Yes"},
        {"variant": "button_reply", "summary": "Yes"},
    ),
    "form": (
        {
            "type": "interactive_response",
            "body": "Sent",
            "interactivePayload": {
                "paramsJson": '{"flow_token": "t", "id": "7", "day": "Friday", "guests": 3, "x": {}}'
            },
        },
        {"variant": "form_reply", "summary": "Sent\nday: Friday\nguests: 3"},
    ),
    "form that cannot be read": (
        {"type": "interactive_response", "body": "Sent", "interactivePayload": {"paramsJson": "{"}},
        {"summary": "Sent"},
    ),
    "invite to a group": (
        {"type": "groups_v4_invite", "inviteGrpName": "Neighbours", "inviteCode": "secret", "comment": "join us"},
        {"kind": "other", "variant": "group_invite", "summary": "Neighbours", "caption": "join us"},
    ),
    "event": (
        {
            "type": "event_creation",
            "eventName": "Tasting",
            "eventDescription": "Bring friends",
            "eventStartTime": 1_700_000_000,
            "eventLocation": {"name": "Market"},
        },
        {"variant": "event", "summary": "Tasting\nstart: 2023-11-14T22:13 UTC\nplace: Market\nBring friends"},
    ),
    "event without a time": ({"type": "event_creation", "eventName": "Tasting"}, {"summary": "Tasting"}),
    "payment": (
        {
            "type": "payment",
            "paymentAmount1000": 20000,
            "paymentCurrency": "BRL",
            "paymentNoteMsg": {"body": "for bread"},
        },
        {"variant": "payment", "summary": "20.00 BRL", "caption": "for bread"},
    ),
    "message of a business": (
        {
            "type": "list",
            "body": "Choose",
            "footer": "Thanks",
            "list": {"title": "Cuts", "sections": [{"rows": [{"title": "Short"}]}]},
        },
        {"kind": "other", "variant": "business_message", "text": "", "summary": "Choose\nCuts\nThanks\n- Short"},
    ),
    "kind of tomorrow": ({"type": "hologram", "body": "raw"}, {"kind": "other", **NOTHING}),
    "deleted": (
        {"type": "revoked", "body": "secret", "caption": "secret", "quotedMsg": {"type": "chat", "body": "secret"}},
        {"kind": "other", "deleted": True, **NOTHING, "quote": None},
    ),
    "edited": (
        {"body": "new", "latestEditMsgKey": {}, "latestEditSenderTimestampMs": 1_700_000_001_234},
        {"text": "new", "edited_at_ms": 1_700_000_001_234},
    ),
    "edited, given in seconds": (
        {"latestEditMsgKey": {}, "latestEditSenderTimestampMs": 1_700_000_001},
        {"edited_at_ms": 1_700_000_001_000},
    ),
    "edited at no known time": ({"latestEditMsgKey": {}}, {"edited_at_ms": 1_700_000_000_000}),
    "never edited": ({"latestEditMsgKey": None, "latestEditSenderTimestampMs": None}, {"edited_at_ms": None}),
    "quote of a contact": (
        {"quotedStanzaID": "3EB0Q", "quotedParticipant": "4922@lid", "quotedMsg": {"type": "chat", "body": "which?"}},
        {"quote": {"id": "3EB0Q", "from_me": False, "sender": None, "kind": "text", "text": "which?"}},
    ),
    "quote of ours": (
        {
            "quotedStanzaID": "3EB0Q",
            "quotedParticipant": "491701111111:7@c.us",
            "quotedMsg": {"type": "chat", "body": "yes"},
        },
        {"quote": {"from_me": True, "text": "yes"}},
    ),
    "quote of ours by LID": (
        {"quotedStanzaID": "3EB0Q", "quotedParticipant": "4911@lid", "quotedMsg": {"type": "chat", "body": "yes"}},
        {"quote": {"from_me": True}},
    ),
    "quote of a picture": (
        {"quotedStanzaID": "3EB0Q", "quotedMsg": {"type": "image", "body": THUMBNAIL, "caption": "red"}},
        {"quote": {"kind": "image", "text": "red"}},
    ),
    "quote of a poll": (
        {"quotedStanzaID": "3EB0Q", "quotedMsg": {"type": "poll_creation", "pollName": "When?"}},
        {"quote": {"kind": "other", "text": "When?"}},
    ),
    "quote without a copy": ({"quotedStanzaID": "3EB0Q"}, {"quote": {"id": "3EB0Q", "kind": "other", "text": ""}}),
    "quote in a group": (
        {"chat": "1203@g.us", "participant": "4933@lid", "quotedStanzaID": "3EB0Q", "quotedParticipant": "4922@lid"},
        {"quote": {"sender": "4922@lid"}},
    ),
    "we are mentioned by LID": ({"mentionedJidList": ["4933@lid", "4911@lid"]}, {"mentions_us": True}),
    "we are mentioned by number": ({"mentionedJidList": ["491701111111@c.us"]}, {"mentions_us": True}),
    "everyone is mentioned": ({"nonJidMentions": 1}, {"mentions_us": True}),
    "somebody else is mentioned": ({"mentionedJidList": ["4933@lid"], "nonJidMentions": 2}, {"mentions_us": False}),
    "own to a list of many": (
        {"from_me": True, "broadcast": True, "body": "news"},
        {"automatic": True, "variant": "broadcast"},
    ),
    "a contact's to a list of many": (
        {"broadcast": True, "body": "news"},
        {"automatic": False, "variant": "broadcast", "text": "news"},
    ),
    "of Meta's assistant": ({"from_me": True, "bizBotType": "1P"}, {"automatic": True}),
    "greeting of an advertisement": (
        {"from_me": True, "type": "automated_greeting_message", "body": "Hi"},
        {"automatic": True, "text": "Hi"},
    ),
    "typed by the owner": ({"from_me": True, "body": "Hi", "bizBotType": None}, {"automatic": False}),
}


@pytest.fixture(scope="module")
def read() -> dict[str, dict[str, Any]]:
    messages = {name: {"id": "3EB0A1", "chat": "4922@lid", **attributes} for name, (attributes, _) in CASES.items()}
    program = """
      const read = Object.entries(input).map(([name, message]) => [name, messageContent.of(messageOf(message))]);
      return Object.fromEntries(read);
    """
    answer: dict[str, dict[str, Any]] = run(
        "values.js", "people.js", "message_content.js", program=program, values=messages
    )
    return answer


@pytest.mark.parametrize("name", list(CASES))
def test_a_message_is_read_as_what_it_is(read: dict[str, dict[str, Any]], name: str) -> None:
    assert _only(CASES[name][1], read[name]) == CASES[name][1]


@pytest.mark.parametrize("name", list(CASES))
def test_what_is_read_can_be_carried_without_leaving_anything_out(read: dict[str, dict[str, Any]], name: str) -> None:
    odd: list[str] = []
    envelope = {"id": "3EB0A1", "chat": "4922@lid", "from_me": False, "sent_at_s": 1_700_000_000}
    assert message_from({**envelope, **read[name]}, odd.append) is not None
    assert not odd


def test_a_part_that_throws_costs_only_itself() -> None:
    program = """
      const message = messageOf({ id: "A", chat: "4922@lid", body: "hello" });
      for (const name of ["quotedMsg", "mentionedJidList", "latestEditMsgKey", "broadcast", "mimetype"]) {
        Object.defineProperty(message, name, { get() { throw new TypeError(name); } });
      }
      return messageContent.of(message);
    """
    read = run("values.js", "people.js", "message_content.js", program=program, values=None)
    assert read["text"] == "hello"
    assert (read["quote"], read["mentions_us"], read["edited_at_ms"], read["automatic"]) == (None, False, None, False)


def _only(expected: Any, read: Any) -> Any:
    """Returns what was read, without the entries that the case says nothing about."""
    if isinstance(expected, dict) and isinstance(read, dict):
        return {name: _only(value, read[name]) for name, value in expected.items()}
    return read
