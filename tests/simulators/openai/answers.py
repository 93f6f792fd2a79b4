"""Builds what the Responses API answers: output items, the response object, and its stream of events."""

import itertools
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulators.openai.catalogue import REASONING_MODELS, REASONING_TOKENS

#: a JSON object
Body = dict[str, Any]

MARKDOWN = """# Opening hours

We are **open** today:

- Monday to Friday: *9 to 18*
- Saturday: ~~closed~~ **10 to 14**

1. Call us
2. Or write to [our shop](https://shop.example/contact)

```
code stays 2 * 3 ** 4
```
"""
ESSAY_SENTENCES = 160
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 7


def tokens_in(text: str) -> int:
    """A rough count of the tokens of `text`, never zero for a text that is not empty."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def text_of(content: object) -> str:
    """The readable text of a message's content, be it a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping)).strip()
    return ""


def messages_of(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The (role, text) pairs of a request's input, oldest first."""
    given = request.get("input")
    if isinstance(given, str):
        return [("user", given)]
    return [
        (str(item.get("role")), text_of(item.get("content")))
        for item in given or []
        if isinstance(item, Mapping) and item.get("role")
    ]


def input_tokens(request: Mapping[str, Any]) -> int:
    """What the simulator bills for a request's instructions, tools and messages."""
    tokens = sum(tokens_in(text) + TOKENS_PER_MESSAGE for _, text in messages_of(request))
    tokens += tokens_in(str(request.get("instructions") or ""))
    return tokens + sum(tokens_in(json.dumps(tool)) for tool in request.get("tools") or [])


def spoken(persona: str, request: Mapping[str, Any]) -> str:
    """What `persona` answers: who it is, the last user message in quotes, and how its instructions begin."""
    messages = messages_of(request)
    latest = list(itertools.takewhile(lambda message: message[0] == "user", reversed(messages)))
    users = [text for _, text in latest] or [text for role, text in messages if role == "user"][-1:]
    sentence = f'[{persona}] You said: "{users[0] if users else ""}"'
    if len(users) > 1:
        sentence += " Before that: " + ", ".join(f'"{text}"' for text in reversed(users[1:])) + "."
    instructions = str(request.get("instructions") or "").strip()
    if instructions:
        first_line = instructions.splitlines()[0]
        shown = first_line if len(first_line) <= 80 else first_line[:79] + "…"
        sentence += f' I follow my instructions: "{shown}"'
    return sentence


def essay(persona: str) -> str:
    """About 10,000 characters in paragraphs of eight sentences."""
    sentences = [
        f"This is sentence {number} of what [{persona}] has to say about it."
        for number in range(1, ESSAY_SENTENCES + 1)
    ]
    return "\n\n".join(" ".join(sentences[start : start + 8]) for start in range(0, ESSAY_SENTENCES, 8))


def message_item(text: str, *, status: str = "completed", phase: str | None = None) -> Body:
    """An assistant message with one text part."""
    item: Body = {
        "id": f"msg_{secrets.token_hex(24)}",
        "type": "message",
        "status": status,
        "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
        "role": "assistant",
    }
    return item if phase is None else {**item, "phase": phase}


def refusal_item(text: str) -> Body:
    """An assistant message that refuses."""
    return {**message_item(""), "content": [{"type": "refusal", "refusal": text}]}


def tool_items(request: Mapping[str, Any], query: str) -> list[Body]:
    """The calls of hosted tools that precede an answer, one per configured tool we know."""
    items: list[Body] = []
    for tool in request.get("tools") or []:
        if tool.get("type") == "file_search":
            items.append(
                {
                    "id": f"fs_{secrets.token_hex(24)}",
                    "type": "file_search_call",
                    "status": "completed",
                    "queries": [query],
                    "results": None,
                }
            )
        elif str(tool.get("type")).startswith("web_search"):
            items.append(
                {
                    "id": f"ws_{secrets.token_hex(24)}",
                    "type": "web_search_call",
                    "status": "completed",
                    "action": {"type": "search", "query": query},
                }
            )
    return items


def annotate(item: Body, request: Mapping[str, Any]) -> Body:
    """Adds the file citation that file search leaves beside, not in, the text."""
    uses_files = any(tool.get("type") == "file_search" for tool in request.get("tools") or [])
    for part in item["content"] if uses_files else []:
        if part["type"] == "output_text":
            part["annotations"].append(
                {
                    "type": "file_citation",
                    "file_id": "file-simulated",
                    "filename": "knowledge.md",
                    "index": max(0, len(part["text"]) - 1),
                }
            )
    return item


def reasoning_tokens(request: Mapping[str, Any]) -> int:
    """What the model would spend on thinking before it writes."""
    if not REASONING_MODELS.match(str(request.get("model"))):
        return 0
    effort = (request.get("reasoning") or {}).get("effort") or "medium"
    return REASONING_TOKENS.get(effort, 0)


def response_body(
    request: Mapping[str, Any],
    output: list[Body],
    *,
    now: int,
    status: str = "completed",
    reason: str | None = None,
    error: Body | None = None,
    thought: int = 0,
) -> Body:
    """A whole `response` object; `thought` is the number of reasoning tokens."""
    written = sum(tokens_in(text_of(item.get("content"))) for item in output)
    used = input_tokens(request)
    usage = {
        "input_tokens": used,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written + thought,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": used + written + thought,
    }
    searches = sum(item["type"] == "web_search_call" for item in output)
    return {
        "id": f"resp_{secrets.token_hex(24)}",
        "object": "response",
        "created_at": now,
        "status": status,
        "background": False,
        "billing": {"payer": "developer"},
        "completed_at": now if status == "completed" else None,
        "error": error,
        "frequency_penalty": 0.0,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": request.get("max_tool_calls"),
        "model": request["model"],
        "moderation": None,
        "output": output,
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": request.get("prompt_cache_key"),
        "prompt_cache_retention": "in_memory",
        "reasoning": {
            "context": None,
            "effort": (request.get("reasoning") or {}).get("effort"),
            "summary": None,
        },
        "safety_identifier": request.get("safety_identifier"),
        "service_tier": "default",
        "store": request.get("store", True),
        "temperature": request.get("temperature", 1.0),
        "text": {
            "format": {"type": "text"},
            "verbosity": (request.get("text") or {}).get("verbosity") or "medium",
        },
        "tool_choice": "auto",
        "tool_usage": {
            "image_gen": {
                "input_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "output_tokens": 0,
                "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "total_tokens": 0,
            },
            "web_search": {"num_requests": searches},
        },
        "tools": request.get("tools") or [],
        "top_logprobs": 0,
        "top_p": request.get("top_p", 1.0),
        "truncation": request.get("truncation", "disabled"),
        "usage": usage,
        "user": None,
        "metadata": request.get("metadata") or {},
    }


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


def frame(event: Body) -> bytes:
    """One server-sent event as OpenAI frames it."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
