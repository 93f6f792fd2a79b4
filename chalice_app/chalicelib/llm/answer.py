"""Reads the body of an answer: the text for the contact and its tokens, or the failure that a status 200 may hide."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.errors import PermanentError, TransientError
from chalicelib.llm.outcomes import Failure, judge, judge_failed
from chalicelib.llm.request import clean
from chalicelib.llm.verdict import read_error, verdict_of
from chalicelib.model import Assistant
from chalicelib.model.messages.words import is_blank
from chalicelib.model.openai_servers import Server

#: `【4:0†source】`, left over from the Assistants API, and the private-use marks some models leak around citations.
CITATION_MARKS: Final = re.compile(
    r"[ \t]?【[^【】]{0,200}†[^【】]{0,200}】|[ \t]?\ue200[^\ue200\ue201]{0,500}\ue201|[\ue200-\ue206]"
)
#: Of the tokens of an answer that was cut off, so much thinking means that the thinking cut it.
THINKING_SHARE: Final = 0.25
#: The types of a part that is text: OpenAI's, and that of some compatible servers.
TEXT_PARTS: Final = ("output_text", "text")
#: The states of a response that is not finished; none of them should ever reach us.
UNFINISHED: Final = ("cancelled", "queued", "in_progress")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a model; its text is empty if it wrote nothing for the contact."""

    text: str = field(repr=False)
    #: it was cut off by the limit of tokens
    cut: bool
    #: it was cut off, and thinking took a large share of the tokens: what is there is a stump
    stump: bool
    tokens: tuple[int, int]
    #: the searches of the web that OpenAI bills beside the tokens
    web_searches: int = 0


def read_answer(body: object, assistant: Assistant, server: Server) -> Answer | Failure:
    """Returns the answer in a body, or the failure that it stands for."""
    if not isinstance(body, Mapping) or not (body.keys() & {"output", "status"} or read_error(body)):
        return Failure(TransientError(f"The answer of {server.label} could not be read: try again in a minute."))
    read, written, thought = _tokens(body)
    searches = count_searches(body)
    failure = _hidden_failure(body, assistant, server)
    if failure is not None:
        failure.error.tokens, failure.error.web_searches = (read, written), searches
        return failure
    cut = body.get("status") == "incomplete"
    text = "\n\n".join(filter(None, (_text_of(message) for message in _final_messages(body, cut))))
    text = clean(CITATION_MARKS.sub("", text)).strip()
    stump = cut and thought >= max(1, THINKING_SHARE * written)
    return Answer("" if is_blank(text) else text, cut, stump, (read, written), searches)


def count_searches(body: Mapping[str, Any]) -> int:
    """Returns how many searches of the web an answer is billed for: to open a page that was found costs nothing."""
    usage = body.get("tool_usage")
    reported = usage.get("web_search") if isinstance(usage, Mapping) else None
    number = reported.get("num_requests") if isinstance(reported, Mapping) else None
    if isinstance(number, int) and not isinstance(number, bool):
        return max(0, number)
    output = body.get("output")
    calls = (item for item in output if isinstance(item, Mapping)) if isinstance(output, list) else ()
    return sum(each.get("type") == "web_search_call" and _is_search(each.get("action")) for each in calls)


def _is_search(action: object) -> bool:
    """Returns whether a call of the tool was a search; earlier answers do not say what it was."""
    return not isinstance(action, Mapping) or action.get("type") in (None, "search")


def _hidden_failure(body: Mapping[str, Any], assistant: Assistant, server: Server) -> Failure | None:
    status, error, details = body.get("status"), read_error(body), body.get("incomplete_details")
    if status == "failed":
        return judge_failed(verdict_of(error or {}, 200, assistant, server))
    if error is not None and not body.get("output"):
        return judge(verdict_of(error, 200, assistant, server))
    if status in UNFINISHED:
        return Failure(TransientError(f"{server.label} left the answer {status}: try again in a minute."))
    if status == "incomplete" and isinstance(details, Mapping) and details.get("reason") == "content_filter":
        return Failure(PermanentError("content_filter", f"The content filter of {server.label} stopped the answer."))
    refusals = (part for message in _final_messages(body, cut=False) for part in _parts(message))
    if any(isinstance(part, Mapping) and part.get("type") == "refusal" for part in refusals):
        return Failure(PermanentError("refusal", "The model refused to answer."))
    return None


def _final_messages(body: Mapping[str, Any], cut: bool) -> list[Mapping[str, Any]]:
    """Returns the messages that are the answer; what a model says while it works is one only where nothing else is."""
    output = body.get("output")
    items = output if isinstance(output, list) else []
    messages = [item for item in items if isinstance(item, Mapping) and item.get("type") == "message"]
    final = [message for message in messages if message.get("phase") != "commentary"]
    return final if final or cut else messages


def _parts(message: Mapping[str, Any]) -> list[Any]:
    content = message.get("content")
    return content if isinstance(content, list) else [content]


def _text_of(message: Mapping[str, Any]) -> str:
    """Returns the text of a message; compatible servers write parts, and whole contents, as bare strings."""
    texts = (
        part.get("text") if isinstance(part, Mapping) and part.get("type") in TEXT_PARTS else part
        for part in _parts(message)
    )
    return "".join(text for text in texts if isinstance(text, str))


def _tokens(body: Mapping[str, Any]) -> tuple[int, int, int]:
    """Returns the tokens that were read, written, and among the written ones thought."""
    usage = body.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    details = usage.get("output_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, Mapping) else 0
    return _count(usage.get("input_tokens")), _count(usage.get("output_tokens")), _count(thought)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
