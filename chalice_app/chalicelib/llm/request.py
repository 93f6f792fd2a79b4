"""The request to the Responses API: one function builds it, for a reply as for a check of the settings."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chalicelib.model import Assistant, ChatLine
from chalicelib.model.assistant import effort_of
from chalicelib.model.assistants.instructions import complete_instructions
from chalicelib.model.messages.token_estimate import estimate_tokens
from chalicelib.model.openai_servers import Server

#: OpenAI accepts no smaller limit.
MIN_OUTPUT_TOKENS: Final = 16
#: What OpenAI has and compatible servers lack: a parameter that they do not know is ignored by some and refused by
#: others, and a tool that they do not host cannot be called.
OPENAI_ONLY_PARAMETERS: Final = frozenset({"truncation", "safety_identifier", "prompt_cache_key", "max_tool_calls"})
OPENAI_ONLY_TOOLS: Final = frozenset({"file_search", "web_search"})
#: So often a reply may search, in files and in the web together: each search costs money and time.
MAX_TOOL_CALLS: Final = 5
#: The share of the earlier lines, by characters, that each further attempt sends when a request is too large.
SHORTENED_TO: Final = (1 / 2, 1 / 4, 0.0)
#: The output of a call without a limit, of which nobody knows how long it went on.
ASSUMED_OUTPUT_TOKENS: Final = 1_000


def build_request(
    assistant: Assistant, server: Server, lines: Sequence[ChatLine], *, contact: str, cache_key: str
) -> dict[str, Any]:
    """Returns the body of a request; settings that the assistant leaves open are OpenAI's defaults.

    Args:
        contact: a hash, so that OpenAI's abuse detection can distinguish contacts.
        cache_key: groups OpenAI's prompt cache.
    """
    request: dict[str, Any] = {
        "model": assistant.model,
        "instructions": clean(complete_instructions(assistant)),
        "store": False,
        "input": input_of(lines),
        "safety_identifier": contact,
        "prompt_cache_key": cache_key,
        "truncation": "auto",
    }
    if assistant.max_output_tokens:
        request["max_output_tokens"] = max(MIN_OUTPUT_TOKENS, assistant.max_output_tokens)
    request |= reasoning_of(effort_of(assistant, compatible=server.compatible))
    if assistant.verbosity:
        request["text"] = {"verbosity": assistant.verbosity}
    if assistant.temperature is not None:
        request["temperature"] = assistant.temperature
    tools: list[dict[str, Any]] = []
    if assistant.vector_store_ids:
        tools.append({"type": "file_search", "vector_store_ids": list(assistant.vector_store_ids)})
    if assistant.web_search:
        tools.append(web_search_of(assistant))
    if tools:
        request["max_tool_calls"] = MAX_TOOL_CALLS
    if server.compatible:
        request = {name: value for name, value in request.items() if name not in OPENAI_ONLY_PARAMETERS}
        tools = [tool for tool in tools if tool["type"] not in OPENAI_ONLY_TOOLS]
    return request | ({"tools": tools, "tool_choice": "auto"} if tools else {})


def web_search_of(assistant: Assistant) -> dict[str, Any]:
    """Returns the tool that searches the web. Without a location of ours, OpenAI searches as if from the USA."""
    tool: dict[str, Any] = {"type": "web_search", "user_location": {"type": "approximate"}}
    if assistant.web_domains:
        tool["filters"] = {"allowed_domains": list(assistant.web_domains)}
    return tool


def as_check(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the request of a reply as a check sends it: for the fewest tokens, and with no tool used."""
    tools = {"tool_choice": "none"} if "tools" in request else {}
    return {**request, "max_output_tokens": MIN_OUTPUT_TOKENS, **tools}


def reasoning_of(effort: str) -> dict[str, Any]:
    """Returns the part of a request that sets the effort; empty for a model without one."""
    return {"reasoning": {"effort": effort}} if effort else {}


def input_of(lines: Sequence[ChatLine]) -> list[dict[str, str]]:
    """Returns the lines of a chat as the request carries them."""
    return [{"type": "message", "role": line.role, "content": clean(line.text)} for line in lines]


def shorten(lines: Sequence[ChatLine], share: float) -> tuple[ChatLine, ...]:
    """Returns the lines without the oldest ones; the messages that wait for an answer stay.

    Args:
        share: of the characters of the earlier lines, at most so much is kept.
    """
    waiting = first_waiting(lines)
    earlier, kept = lines[:waiting], list(lines[waiting:])
    room = share * sum(len(line.text) for line in earlier)
    for line in reversed(earlier):
        room -= len(line.text)
        if room < 0 or share == 0:
            break
        kept.insert(0, line)
    return tuple(kept)


def first_waiting(lines: Sequence[ChatLine]) -> int:
    """Returns the place of the first message that waits: it is marked, or follows the last line of the assistant."""
    marked = next((place for place, line in enumerate(lines) if line.waiting), None)
    if marked is not None:
        return marked
    answered = max((place for place, line in enumerate(lines) if line.role == "assistant"), default=-1)
    return min(answered + 1, len(lines) - 1)


def estimate_cost(request: Mapping[str, Any]) -> tuple[int, int]:
    """Returns about how many tokens, in and out, a call costs whose answer never came: it is paid to its limit."""
    texts = [request["instructions"], *(line["content"] for line in request["input"])]
    return sum(map(estimate_tokens, texts)), request.get("max_output_tokens") or ASSUMED_OUTPUT_TOKENS


def clean(text: str) -> str:
    """Returns the text without half surrogates, which JSON cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
