"""The live check's step about automatic messages: how the WhatsApp Business app's greeting and away message look."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from chalicelib.model.messages.automatic_messages import (
    AWAY_WITHIN,
    GREETING_WITHIN,
    OTHER_CHATS,
    SeenText,
    fingerprint,
    judge,
)
from chalicelib.model.messages.message import StoredMessage, stored_message
from runner.browser.page import Page
from runner.browser.whatsapp import WhatsApp
from runner.messages.translation import message_from
from tests.live.line import Line
from tests.live.report import Finding
from wire import Message

GREETING = "Welcome! This greeting was sent by the app."
AWAY = "We are away. This message was sent by the app."
TYPED = "This message was typed by a person, on the phone."
#: Attributes that differ between any two messages.
ALWAYS_DIFFER = frozenset({"id", "body", "t", "to"})
#: Each attribute of the page's own message with this text, in words that can be compared.
ATTRIBUTES = """(text) => {
  const found = WPP.whatsapp.MsgStore.getModelsArray().find((each) => each.id.fromMe && each.body === text);
  const all = { ...(found ?? {}), ...(found?.attributes ?? {}) };
  const words = (value) => { try { return JSON.stringify(value) ?? "none"; } catch { return typeof value; } };
  const names = Object.keys(all).filter((name) => !name.startsWith("__x_"));  // the same attributes once more
  return Object.fromEntries(names.map((name) => [name, words(all[name]).slice(0, 200)]));
}"""


async def automatic_messages(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    """Asks for a greeting, an away message and a typed one; reports what the rules say and what differs."""
    if not await line.person.agrees("Does LINE run the WhatsApp Business app, and is there a THIRD phone?"):
        finding.add_fact("not tried: it needs the Business app, and a phone that never wrote to LINE")
        return
    async with line.online() as page:
        await line.person.answer_automatically(greeting=GREETING)
        greeting = await _answered(line, page, GREETING, stranger=True)
        await line.person.answer_automatically(away=AWAY)
        away = await _answered(line, page, AWAY, stranger=False)
        await line.person.answer_automatically()
        await line.receive(page, "Now a person answers.")
        since = int(time.time()) - 60
        await line.person.type_on_line(TYPED)
        await line.find(page, lambda seen: seen["text"] == TYPED and seen["from_me"], since)
        attributes = {text: await _attributes(page, text) for text in (GREETING, AWAY, TYPED)}
    verdicts = []
    for name, (own, before), known, within in (
        ("greeting", greeting, None, GREETING_WITHIN),
        ("away message, as if seen in two other chats", away, _seen_elsewhere(AWAY), AWAY_WITHIN),
    ):
        gap = (own.sent_at_ms - before.sent_at) // 1000
        verdicts.append(judge(own, [before], known, chat="here", complete_since=0).automatic)
        limit = f"{within.total_seconds():.0f} s at most"
        finding.add_fact(f"{name}: {gap} s after the contact's message ({limit}), recognised: {verdicts[-1]}")
    for text, name in ((GREETING, "greeting"), (AWAY, "away message")):
        differs = sorted(
            each
            for each in (attributes[text].keys() | attributes[TYPED].keys()) - ALWAYS_DIFFER
            if attributes[text].get(each) != attributes[TYPED].get(each)
        )
        finding.add_fact(f"attributes of the {name} that differ from a typed one: {', '.join(differs) or 'none'}")
    finding.conclude(all(verdicts))


async def _answered(line: Line, page: Page, text: str, *, stranger: bool) -> tuple[Message, StoredMessage]:
    """Has a contact write; returns the app's answer and the contact's message."""
    since = int(time.time()) - 60
    asked_text = f"Does «{text.split()[0]}» come by itself?"
    await (line.person.write_from_third_phone if stranger else line.person.write)(asked_text)
    asked = _message(await line.find(page, lambda seen: seen["text"] == asked_text and not seen["from_me"], since))
    own = _message(await line.find(page, lambda seen: seen["text"] == text and seen["from_me"], since))
    before = stored_message(asked, asked.chat, at="0", skipped=None, keeps_content=True, now=asked.sent_at_ms)
    # What the page knows of the chat's age is not asked for here: the third phone is new by agreement.
    return own.model_copy(update={"chat_since_ms": None}), before


def _message(seen: Mapping[str, Any]) -> Message:
    message = message_from(seen)
    assert message is not None
    return message


def _seen_elsewhere(text: str) -> SeenText:
    chats = frozenset(str(number) for number in range(OTHER_CHATS))
    return SeenText(fingerprint("live", text, ()), chats, OTHER_CHATS, 0, 0)


async def _attributes(page: Page, text: str) -> dict[str, str]:
    return dict(await page._page.evaluate(ATTRIBUTES, text))  # type: ignore[attr-defined]  # no part of the runner
