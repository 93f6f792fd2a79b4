"""What people send besides words: each kind as WhatsApp Web holds it, under the attribute names of its own model.

The names are those of wa-js 4.6.0 (`whatsapp/models/MsgModel.ts` and the file named at each function, where wa-js
sends the same kind) and of whatsapp-web.js (`structures/Message.js`, which reads them). What only one of them or
neither shows is marked as a guess.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

#: A one-pixel JPEG's beginning. Pictures, places, products and orders have their thumbnail as body.
THUMBNAIL = base64.b64encode(b"\xff\xd8\xff\xe0thumbnail\xff\xd9").decode()
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Content:
    """A message without its envelope: its type, its body, and the attributes of its type."""

    type: str
    text: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def location(lat: float = 52.5163, lng: float = 13.3777, name: str = "", address: str = "", url: str = "") -> Content:
    """Return a place [chat/functions/sendLocationMessage.ts]; `loc` has the name in its first line."""
    loc = "\n".join(part for part in (name, address) if part)
    return Content("location", THUMBNAIL, {"lat": lat, "lng": lng, "loc": loc, "clientUrl": url, "isLive": False})


def live_location(lat: float = 52.5163, lng: float = 13.3777, comment: str = "", seconds: int = 900) -> Content:
    """Return a place that moves [chat/events/registerLiveLocationUpdateEvent.ts]."""
    details = {"lat": lat, "lng": lng, "isLive": True, "comment": comment, "shareDuration": seconds, "loc": ""}
    return Content("location", THUMBNAIL, details)


def vcard(name: str, number: str) -> str:
    """Return a vCard as WhatsApp writes them."""
    return f"BEGIN:VCARD\nVERSION:3.0\nN:;{name};;;\nFN:{name}\nTEL;type=CELL;waid={number}:+{number}\nEND:VCARD"


def contact_card(name: str = "Paula Plumber", number: str = "4917699999901") -> Content:
    """Return one contact card: the body is the vCard [chat/functions/sendVCardContactMessage.ts]."""
    return Content("vcard", vcard(name, number), {"vcardFormattedName": name})


def contact_cards(names: Sequence[str] = ("Paula Plumber", "Erik Electrician")) -> Content:
    """Return several contact cards in one message: no body, but a list [the same]."""
    cards = [
        {"displayName": name, "vcard": vcard(name, f"49176999999{place:02d}")} for place, name in enumerate(names, 1)
    ]
    return Content("multi_vcard", "", {"vcardList": cards})


def poll(name: str = "Which day?", options: Sequence[str] = ("Friday", "Saturday")) -> Content:
    """Return a poll [chat/functions/sendCreatePollMessage.ts]."""
    choices = [{"name": option, "localId": place} for place, option in enumerate(options)]
    return Content("poll_creation", "", {"pollName": name, "pollOptions": choices, "pollSelectableOptionsCount": 0})


def order(
    title: str = "Rye bread and more", message: str = "", items: int = 2, total: float = 12.5, currency: str = "EUR"
) -> Content:
    """Return a cart: what the contact typed is in `message`; amounts are thousandths."""
    details: dict[str, Any] = {
        "orderId": "5107123456789012",
        "token": "AR5token==",
        "orderTitle": title,
        "message": message,
    }
    details |= {"itemCount": items, "totalAmount1000": round(total * 1000), "totalCurrencyCode": currency, "status": 1}
    return Content("order", THUMBNAIL, details)


def product(title: str = "Rye bread", price: float = 4.2, currency: str = "EUR", description: str = "") -> Content:
    """Return a question about an article of the catalogue: the article is here, the question comes as its own text."""
    details: dict[str, Any] = {
        "title": title,
        "description": description,
        "productId": "4711",
        "currencyCode": currency,
    }
    details |= {"priceAmount1000": round(price * 1000), "businessOwnerJid": "0@c.us", "productImageCount": 1}
    return Content("product", THUMBNAIL, details)


def list_answer(title: str = "Haircut, short", row: str = "row-7", description: str = "") -> Content:
    """Return a choice out of a list; its title is the body."""
    response = {"title": title, "description": description, "listType": 1, "singleSelectReply": {"selectedRowId": row}}
    return Content("list_response", title, {"listResponse": response})


def buttons_answer(text: str = "Yes, please", button: str = "button-1") -> Content:
    """Return the press of a button of the old kind; its label is the body."""
    return Content("buttons_response", text, {"selectedButtonId": button})


def template_answer(text: str = "Confirm", button: str = "confirm", index: int = 0) -> Content:
    """Return the press of a template's button; its label is the body."""
    return Content("template_button_reply", text, {"selectedId": button, "selectedIndex": index})


def interactive_answer(text: str = "Done", name: str = "flow", parameters: str = "{}") -> Content:
    """Return a filled-in form (guess: of the payload only these two names are in MsgModel.ts)."""
    details = {"nativeFlowName": name, "interactivePayload": {"name": name, "paramsJson": parameters}}
    return Content("interactive_response", text, details)


def group_invite(name: str = "Neighbours", group: str = "120363000000000099@g.us", comment: str = "") -> Content:
    """Return an invitation into a group [chat/functions/sendGroupInviteMessage.ts]."""
    details: dict[str, Any] = {
        "inviteCode": "InViTeCoDe",
        "inviteCodeExp": int(time.time()) + 3 * DAY_SECONDS,
        "inviteGrp": group,
    }
    details |= {"inviteGrpName": name, "inviteGrpJpegThum": THUMBNAIL, "inviteGrpType": "DEFAULT", "comment": comment}
    return Content("groups_v4_invite", "", details)


def event(name: str = "Tasting", description: str = "Bring friends", place: str = "Market square 1") -> Content:
    """Return an event [chat/functions/sendEventMessage.ts]."""
    start = int(time.time()) + DAY_SECONDS
    details: dict[str, Any] = {"eventName": name, "eventDescription": description, "isEventCanceled": False}
    details |= {"eventStartTime": start, "eventEndTime": start + 7200, "eventLocation": {"name": place}}
    return Content("event_creation", "", details)


def call(video: bool = False, seconds: int = 0) -> Content:
    """Return the entry that a call leaves; one of 0 seconds was missed."""
    details: dict[str, Any] = {"isVideoCall": video, "callDuration": seconds}
    if not seconds:
        details["subtype"] = "miss_video" if video else "miss"
    return Content("call_log", "", details)


def payment(amount: float = 20, currency: str = "BRL", note: str = "for the bread") -> Content:
    """Return money sent (guess: the note is a message of its own type inside)."""
    details = {"paymentAmount1000": round(amount * 1000), "paymentCurrency": currency, "paymentStatus": 1}
    return Content("payment", "", {**details, "paymentNoteMsg": {"type": "chat", "body": note}})


def view_once() -> Content:
    """Return what a linked device gets of a picture to be seen once: a message that it can never read."""
    return Content("ciphertext", "", {"subtype": "view_once_unavailable_fanout"})


def ad_greeting(text: str = "Hi! How can we help you?") -> Content:
    """Return what WhatsApp Web itself puts before the first message of somebody who came by an advertisement.

    Its WAWebMsgType has the type; the greeting was shown to the contact by their app [ctwaContext in MsgModel.ts].
    """
    context = {
        "greetingMessageBody": text,
        "automatedGreetingMessageShown": True,
        "sourceId": "1203",
        "sourceType": "ad",
    }
    return Content("automated_greeting_message", text, {"ctwaContext": context})


def notification(subtype: str = "encrypt", kind: str = "e2e_notification") -> Content:
    """Return an entry that WhatsApp itself adds to a chat."""
    return Content(kind, "", {"subtype": subtype})


#: What the control API and the phone page call each kind.
CONTENTS: dict[str, Callable[..., Content]] = {
    maker.__name__: maker
    for maker in (
        location,
        live_location,
        contact_card,
        contact_cards,
        poll,
        order,
        product,
        list_answer,
        buttons_answer,
        template_answer,
        interactive_answer,
        group_invite,
        event,
        call,
        payment,
        view_once,
        ad_greeting,
        notification,
    )
}


def file_details(mimetype: str, kind: str, caption: str, filename: str | None) -> tuple[str, str, dict[str, Any]]:
    """Return type, caption and attributes of a file: a `gif` is a video; a document always has a caption.

    Libraries send a document without words with its file name as caption, and `isCaptionByUser` says that nobody
    typed it [chat/functions/sendFileMessage.ts]; pictures and videos leave it at False even with words [MsgModel.ts].
    """
    details: dict[str, Any] = {"isCaptionByUser": False, "isGif": kind == "gif", "isViewOnce": False}
    if kind == "document":
        details |= {"filename": filename or f"document.{mimetype.rpartition('/')[2]}", "isCaptionByUser": bool(caption)}
        caption = caption or details["filename"]
    elif filename:
        details["filename"] = filename
    return "video" if kind == "gif" else kind, caption, details
