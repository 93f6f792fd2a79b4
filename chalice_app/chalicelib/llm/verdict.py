"""OpenAI's `error` object as a value: only its checked forms are ever quoted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.errors import ActionRequired
from chalicelib.model import Assistant
from chalicelib.model.openai_servers import Server
from wire import ProblemCode

#: The forms of a code, a parameter and a request id that our texts may quote; no key has such a form.
CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
PARAMETER: Final = re.compile(r"[a-z0-9_.\[\]]{1,64}")
REQUEST_ID: Final = re.compile(r"req_[A-Za-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """OpenAI's `error` object, with the status and headers that came with it; only checked forms are ever quoted."""

    status: int
    type: str
    code: str
    parameter: str
    message: str = field(repr=False)
    assistant: Assistant
    server: Server
    request_id: str = ""
    retry_after_seconds: float | None = None

    def named(self, *words: str) -> bool:
        """Returns whether type or code is one of these words."""
        return self.type in words or self.code in words

    def matches(self, pattern: re.Pattern[str]) -> bool:
        """Returns whether type or code has this form."""
        return bool(pattern.fullmatch(self.code) or pattern.fullmatch(self.type))

    def ask(self, problem: ProblemCode, sentence: str) -> ActionRequired:
        """Returns the error that a person must fix, with the facts that OpenAI's support asks for."""
        return ActionRequired(problem, self.with_facts(sentence))

    def with_facts(self, sentence: str) -> str:
        """Returns the sentence with status, code (or type) and request id."""
        return with_facts(sentence, self.status, self.code or self.type, self.request_id)


def verdict_of(
    error: Mapping[str, Any],
    status: int,
    assistant: Assistant,
    server: Server,
    request_id: str = "",
    retry_after_seconds: float | None = None,
) -> Verdict:
    """Returns an `error` object as what may be judged and quoted."""
    code = error.get("code")
    if status < 400 and re.fullmatch(r"[45]\d\d", str(code)):
        status = int(str(code))  # some compatible servers answer 200 and write the status there
    return Verdict(
        status=status,
        type=safe(CODE, error.get("type")),
        code=safe(CODE, code),
        parameter=safe(PARAMETER, error.get("param")),
        message=str(error.get("message") or "")[:4_000],
        assistant=assistant,
        server=server,
        request_id=request_id,
        retry_after_seconds=retry_after_seconds,
    )


def read_error(body: object) -> Mapping[str, Any] | None:
    """Returns the `error` object of a body; None if it has none that says anything."""
    if not isinstance(body, Mapping):
        return None
    # vLLM of before 2026 writes the object without its envelope.
    error = body if body.get("object") == "error" else body.get("error")
    said = isinstance(error, Mapping) and any(error.get(name) for name in ("type", "code", "param", "message"))
    return error if said else None


def parse(content: bytes) -> object:
    """Returns the JSON of a body; None if it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def with_facts(sentence: str, status: int, code: str, request_id: str) -> str:
    """Returns the sentence with the facts that OpenAI's support asks for."""
    facts = ", ".join(filter(None, (f"HTTP {status}", code, request_id)))
    return f"{sentence} ({facts})"


def safe(pattern: re.Pattern[str], value: object) -> str:
    """Returns the value if it has the right form, else nothing: a server can write any text there, even the key."""
    return str(value) if value is not None and pattern.fullmatch(str(value)) else ""
