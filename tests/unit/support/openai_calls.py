"""Calls of the client of OpenAI, with a private key and question that no error may quote."""

import traceback
from collections.abc import Callable
from typing import Any

import httpx2

from chalicelib.llm.client import LlmClient, Reply
from chalicelib.model import Assistant, ChatLine

KEY = "sk-proj-tenant-secret-zqxw"
QUESTION = "Where is my private parcel?"
ASSISTANT = Assistant(
    version=1, model="gpt-6-luna", instructions="You are the bakery's helper.", reasoning_effort="none"
)


def ask(
    llm: LlmClient, key: str = KEY, assistant: Assistant = ASSISTANT, said: tuple[ChatLine, ...] | None = None
) -> Reply:
    history = said or (ChatLine("user", QUESTION),)
    return llm.reply(key, assistant, history, tenant="bakery0001", chat="4917@c.us", turn="turn-0001")


def answering(answer: Callable[[httpx2.Request], httpx2.Response], **options: Any) -> LlmClient:
    """A client whose every call is answered by `answer`."""
    return LlmClient("https://openai.example/v1", transport=httpx2.MockTransport(answer), **options)


def response_body(**changes: Any) -> dict[str, Any]:
    message = {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "annotations": [], "text": "Hello."}],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-6-luna",
        "output": [message],
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        **changes,
    }


def nothing_private_in(error: BaseException) -> None:
    """No key, no masked key, no message text: neither in the exception nor in its causes."""
    shown = [str(error), repr(error), repr(error.args), repr(vars(error))]
    shown += traceback.format_exception(error, chain=True)
    assert error.__cause__ is None
    assert error.__context__ is None
    for text in shown:
        assert KEY[-4:] not in text  # OpenAI shows it; no letters of an id
        assert "sk-" not in text.replace("task-", "").replace("ask-", "")
        assert "parcel" not in text
