"""The stream of a finished response, as server-sent events."""

import itertools
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.simulators.openai.answers import Body
from tests.simulators.openai.errors import SERVER_ERROR_MESSAGE

#: The statuses that have an event; the stream of a cancelled response only ends.
TERMINAL = ("completed", "failed", "incomplete")


def events(body: Body) -> Iterator[Body]:
    """The stream of a finished response, event by event, ending with its terminal event.

    There is no `data: [DONE]`: the Responses API has none.
    """
    numbers = itertools.count()

    def event(name: str, **fields: object) -> Body:
        return {"type": name, "sequence_number": next(numbers), **fields}

    started = {**body, "status": "in_progress", "completed_at": None, "output": [], "usage": None}
    started |= {"error": None, "incomplete_details": None}
    yield event("response.created", response=started)
    yield event("response.in_progress", response=started)
    for index, item in enumerate(body["output"]):
        place = {"output_index": index}
        if item["type"] in ("file_search_call", "web_search_call"):
            yield event("response.output_item.added", item={**item, "status": "in_progress"}, **place)
            for step in ("in_progress", "searching", "completed"):
                yield event(f"response.{item['type']}.{step}", item_id=item["id"], **place)
        elif item["type"] == "message":
            yield event("response.output_item.added", item={**item, "status": "in_progress", "content": []}, **place)
            for position, part in enumerate(item["content"]):
                where = {"item_id": item["id"], "content_index": position, **place}
                yield from _part_events(event, part, where)
        else:
            yield event("response.output_item.added", item=item, **place)
        yield event("response.output_item.done", item=item, **place)
    if body["status"] in TERMINAL:
        yield event(f"response.{body['status']}", response=body)


def _part_events(event: Any, part: Body, where: Mapping[str, object]) -> Iterator[Body]:
    kind, word = ("output_text", "text") if part["type"] == "output_text" else ("refusal", "refusal")
    extra: Body = {"logprobs": []} if word == "text" else {}
    empty = {**part, word: ""} | ({"annotations": []} if word == "text" else {})
    yield event("response.content_part.added", part=empty, **where)
    for piece in _pieces(part[word]):
        yield event(f"response.{kind}.delta", delta=piece, obfuscation=secrets.token_urlsafe(6), **extra, **where)
    for position, annotation in enumerate(part.get("annotations", [])):
        yield event(
            "response.output_text.annotation.added",
            annotation=annotation,
            annotation_index=position,
            **where,
        )
    yield event(f"response.{kind}.done", **{word: part[word]}, **extra, **where)
    yield event("response.content_part.done", part=part, **where)


def _pieces(text: str, length: int = 12) -> Iterator[str]:
    for start in range(0, len(text), length):
        yield text[start : start + length]


def spoiled(events: Iterable[Body], fault: str | None) -> Iterator[Body]:
    """The events as far as `truncated_stream` and `stream_error` let them come."""
    deltas = 0
    for event in events:
        deltas += event["type"] == "response.output_text.delta"
        if deltas >= 2 and fault == "truncated_stream":
            return
        if deltas >= 2 and fault == "stream_error":
            trouble = {"type": "error", "sequence_number": event["sequence_number"], "param": None}
            yield trouble | {"code": "server_error", "message": SERVER_ERROR_MESSAGE}
            return
        yield event


def frame(event: Body) -> bytes:
    """One server-sent event as OpenAI frames it."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
