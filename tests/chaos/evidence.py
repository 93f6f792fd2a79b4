"""Collects the input of the verdict: the table's messages and turns, and the bubbles on the phones."""

from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from chalicelib.store.conversation.items import turn_from
from infrastructure.local.stack import LocalStack
from tests.chaos.lines import Line
from tests.chaos.verdict import Bubble, Stored, TurnRecord
from tests.simulators.whatsapp.client import SimulatorClient

_read = TypeDeserializer()


def from_table(stack: LocalStack) -> tuple[list[Stored], list[TurnRecord]]:
    """Returns every message of a contact and every turn."""
    stored: list[Stored] = []
    turns: list[TurnRecord] = []
    for item in _items(stack):
        if item["sk"].startswith("MESSAGE#") and not item["from_me"]:
            _, tenant, chat = item["pk"].split("#", 2)
            key = item["sk"].removeprefix("MESSAGE#")
            stored.append(Stored(tenant, chat, item["id"], key, item.get("skipped")))
        elif item["sk"].startswith("TURN#"):
            turn = turn_from(item)
            turns.append(
                TurnRecord(
                    turn.tenant,
                    turn.chat,
                    turn.id,
                    turn.state.value,
                    turn.messages,
                    turn.part_ids,
                    turn.at,
                    turn.reason or "",
                )
            )
    return stored, turns


def from_phones(whatsapp: SimulatorClient, lines: list[Line]) -> tuple[list[Bubble], int]:
    """Returns the bubbles that the contacts see, and how many sends repeated a message id that was there."""
    bubbles: list[Bubble] = []
    resent = 0
    for line in lines:
        phone = whatsapp.phone(line.number)
        resent += int(phone.view()["duplicates"])
        for contact in line.contacts:
            replies = phone.contact(contact).replies()
            bubbles += [Bubble(line.tenant, contact, str(each["id"]), str(each["text"])) for each in replies]
    return bubbles, resent


def _items(stack: LocalStack) -> list[dict[str, Any]]:
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.created.table, ConsistentRead=True)
    return [
        {name: _read.deserialize(value) for name, value in item.items()} for page in pages for item in page["Items"]
    ]
