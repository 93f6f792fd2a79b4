"""A rough count of tokens: four Latin characters, or two of any other script, are one."""

import json
from collections.abc import Mapping
from typing import Any

CHARACTERS_PER_TOKEN = 4
FOREIGN_CHARACTERS_PER_TOKEN = 2
TOKENS_PER_MESSAGE = 7


def tokens_in(text: str) -> int:
    """The tokens of `text`, never zero for a text that is not empty."""
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    weighed = (len(text) - foreign) * FOREIGN_CHARACTERS_PER_TOKEN + foreign * CHARACTERS_PER_TOKEN
    return -(-weighed // (CHARACTERS_PER_TOKEN * FOREIGN_CHARACTERS_PER_TOKEN))


def cut(text: str, tokens: int) -> str:
    """The longest beginning of `text` of at most `tokens` tokens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tokens_in(text[:middle]) <= tokens else (low, middle - 1)
    return text[:low]


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


def question_tokens(request: Mapping[str, Any]) -> int:
    """The tokens of the last message of the user: what the model thinks about."""
    return next((tokens_in(text) for role, text in reversed(messages_of(request)) if role == "user"), 0)
