"""Builds what the Responses API answers: output items and the response object."""

import itertools
import json
import secrets
from collections.abc import Mapping
from typing import Any

from tests.simulators.openai import web_search
from tests.simulators.openai.models import Model
from tests.simulators.openai.tokens import input_tokens, messages_of, text_of, tokens_in

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


def spoken(persona: str, request: Mapping[str, Any]) -> str:
    """What `persona` answers: who it is, the last user message and what that quotes, how its instructions begin."""
    messages = [(role, text) for role, text in messages_of(request) if role in ("user", "assistant")]
    latest = list(itertools.takewhile(lambda message: message[0] == "user", reversed(messages)))
    users = [text for _, text in latest] or [text for role, text in messages if role == "user"][-1:]
    sentence = f'[{persona}] You said: "{users[0] if users else ""}"'
    if len(users) > 1:
        sentence += " Before that: " + ", ".join(f'"{text}"' for text in reversed(users[1:])) + "."
    if quoted := quotes_in(request):
        sentence += f' It quotes: "{quoted[-1]}".'
    instructions = str(request.get("instructions") or "").strip()
    if instructions:
        first_line = instructions.splitlines()[0]
        shown = first_line if len(first_line) <= 80 else first_line[:79] + "…"
        sentence += f' I follow my instructions: "{shown}"'
    return sentence


def quotes_in(request: Mapping[str, Any]) -> list[str]:
    """What the last user messages quote, as the facts of a developer message say."""
    told = [text for role, text in messages_of(request) if role == "developer" and "\n{" in text]
    if not told:
        return []
    facts = json.loads(told[-1].partition("\n")[2])
    return [str(quote["quotes"]).partition("\n")[0] for quote in facts.get("quotes", ())]


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


def refusal_item(text: str, *, phase: str | None = None) -> Body:
    """An assistant message that refuses."""
    return {**message_item("", phase=phase), "content": [{"type": "refusal", "refusal": text}]}


def tool_items(request: Mapping[str, Any], query: str) -> list[Body]:
    """The calls of hosted tools that precede an answer, at most as many as the request allows."""
    items: list[Body] = []
    for tool in request.get("tools") or [] if request.get("tool_choice") != "none" else []:
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
        elif web_search.is_web_search(tool):
            items += web_search.calls(request, query)
    return items[: request.get("max_tool_calls")]


def annotate(item: Body, request: Mapping[str, Any]) -> Body:
    """Adds the citations that searches leave beside the text; one of the web stands in the text too."""
    site = web_search.site_of(request)
    for part in item["content"]:
        if site is not None and part["type"] == "output_text":
            part["annotations"] += web_search.citations(part["text"], site)
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


def reasoning_item() -> Body:
    """A reasoning item as it comes without a summary."""
    return {
        "id": f"rs_{secrets.token_hex(24)}",
        "type": "reasoning",
        "summary": [],
        "encrypted_content": f"gAAAA{secrets.token_urlsafe(24)}",
    }


def response_body(
    request: Mapping[str, Any],
    model: Model,
    output: list[Body],
    *,
    now: int,
    status: str = "completed",
    reason: str | None = None,
    error: Body | None = None,
    thought: int = 0,
) -> Body:
    """A whole `response` object; `thought` is the number of reasoning tokens."""
    wanted = request.get("reasoning") or {}
    written = sum(tokens_in(text_of(item.get("content"))) for item in output)
    searches = web_search.searches_in(output)
    used = input_tokens(request) + searches * web_search.TOKENS_PER_SEARCH
    usage = {
        "input_tokens": used,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written + thought,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": used + written + thought,
    }
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
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": request.get("prompt_cache_key"),
        "prompt_cache_retention": "in_memory",
        "reasoning": {
            "context": "current_turn" if model.efforts else None,
            "effort": wanted.get("effort") or model.default_effort,
            "summary": wanted.get("summary"),
        },
        "safety_identifier": request.get("safety_identifier"),
        "service_tier": "default",
        "store": request.get("store", True),
        "temperature": request.get("temperature", 1.0),
        "text": {
            "format": {"type": "text"},
            "verbosity": (request.get("text") or {}).get("verbosity") or "medium",
        },
        "tool_choice": request.get("tool_choice", "auto"),
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
