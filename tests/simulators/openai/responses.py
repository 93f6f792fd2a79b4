"""What `POST /v1/responses` answers: the usual answer, or that of a fault."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.simulators.openai import answers, web_search
from tests.simulators.openai.answers import Body
from tests.simulators.openai.models import Model
from tests.simulators.openai.refusals import ApiError
from tests.simulators.openai.tokens import cut, input_tokens, messages_of, question_tokens, tokens_in

#: The tokens a minute of a small account.
TOKENS_PER_MINUTE = 30_000
#: What `incomplete_empty` and `incomplete_thinking` spend where the request has no limit.
USUAL_LIMIT = 1_024
#: The room that `incomplete_thinking` leaves for the text: one part in so many.
STUMP = 20


@dataclass
class Answer:
    """An answer while it is made."""

    request: Body
    model: Model
    persona: str
    text: str
    options: Mapping[str, Any]
    items: list[Body]
    thought: int
    status: str = "completed"
    reason: str | None = None
    error: Body | None = None

    @property
    def limit(self) -> int | None:
        """The most output tokens, thinking included."""
        return self.request.get("max_output_tokens")

    def write(self, text: str, *, status: str = "completed", phase: str | None = "final_answer") -> None:
        """Adds a message; only GPT-6 and scripted commentary carry a phase."""
        phased = phase if self.model.phased or phase == "commentary" else None
        self.items.append(answers.message_item(text, status=status, phase=phased))

    def end_early(self, reason: str) -> None:
        """Marks the answer as incomplete."""
        self.status, self.reason = "incomplete", reason


def respond(request: Body, model: Model, persona: str, fault: str | None, options: Mapping[str, Any]) -> Body:
    """The `response` object for a valid request, as the fault of that name changes it."""
    effort = (request.get("reasoning") or {}).get("effort")
    thought = model.thinking_tokens(effort, question_tokens(request)) if model.efforts else 0
    query = next((said for role, said in reversed(messages_of(request)) if role == "user"), "")
    items = [answers.reasoning_item()] if thought else []
    items += answers.tool_items(request, query)
    site = web_search.site_of(request)
    text = str(options.get("text") or answers.spoken(persona, request) + (web_search.source(site) if site else ""))
    answer = Answer(request, model, persona, text, options, items, thought)
    _BEHAVIOURS.get(fault or "", _answer_within_limit)(answer)
    return answers.response_body(
        request,
        model,
        answer.items,
        now=int(time.time()),
        status=answer.status,
        reason=answer.reason,
        error=answer.error,
        thought=answer.thought,
    )


def tokens_wanted(request: Body) -> int:
    """What a request counts against the tokens a minute: its input, and all the room it asks for."""
    return input_tokens(request) + int(request.get("max_output_tokens") or 0)


def is_too_large(request: Body, options: Mapping[str, Any]) -> bool:
    """Whether `request_too_large` hits this request; a shorter one passes."""
    return tokens_wanted(request) > int(options.get("limit", TOKENS_PER_MINUTE))


def too_large(request: Body, options: Mapping[str, Any]) -> ApiError:
    """The 429 of a request that no waiting makes fit into the tokens a minute."""
    limit, wanted = int(options.get("limit", TOKENS_PER_MINUTE)), tokens_wanted(request)
    message = (
        f"Request too large for {request.get('model')} in organization org-simulated on tokens per min (TPM): Limit "
        f"{limit}, Requested {wanted}. The input or output tokens must be reduced in order to run successfully. Visit "
        "https://platform.openai.com/account/rate-limits to learn more."
    )
    return ApiError(429, message, type="tokens", code="rate_limit_exceeded")


def _answer_within_limit(answer: Answer) -> None:
    """The usual answer as far as the limit lets it come: thinking is paid first, then the text."""
    limit, text = answer.limit, answer.text
    if limit is None or answer.thought + tokens_in(text) <= limit:
        answer.write(text)
    else:
        left, answer.thought = limit - answer.thought, min(limit, answer.thought)
        answer.end_early("max_output_tokens")
        if left > 0:
            answer.write(cut(text, left), status="incomplete")
    if answer.items and answer.items[-1]["type"] == "message":
        answers.annotate(answer.items[-1], answer.request)


def _fail(answer: Answer) -> None:
    answer.status, answer.items, answer.thought = "failed", [], 0
    code = str(answer.options.get("code", "server_error"))
    answer.error = {"code": code, "message": str(answer.options.get("message", "The model failed."))}


def _cancel(answer: Answer) -> None:
    answer.status, answer.items, answer.thought = "cancelled", [], 0


def _only_think(answer: Answer) -> None:
    answer.items, answer.thought = [answers.reasoning_item()], answer.limit or USUAL_LIMIT
    answer.end_early("max_output_tokens")


def _think_too_long(answer: Answer) -> None:
    room = answer.limit or USUAL_LIMIT
    stump = cut(answer.text, max(2, room // STUMP))
    answer.items = [answers.reasoning_item()]
    answer.thought = room - tokens_in(stump)
    answer.end_early("max_output_tokens")
    answer.write(stump, status="incomplete")


def _stop_in_the_middle(answer: Answer) -> None:
    answer.end_early("max_output_tokens")
    answer.write(answer.text[: max(1, len(answer.text) * 2 // 3)], status="incomplete")


def _filter(answer: Answer) -> None:
    answer.end_early("content_filter")
    answer.write(answer.text[: len(answer.text) // 3], status="incomplete")


def _refuse(answer: Answer) -> None:
    text = str(answer.options.get("text", "I'm sorry, but I can't help with that."))
    answer.items.append(answers.refusal_item(text, phase="final_answer" if answer.model.phased else None))


def _refuse_in_commentary(answer: Answer) -> None:
    answer.items.append(answers.refusal_item("I will not look that up.", phase="commentary"))
    answer.items.append(answers.message_item(answer.text, phase="final_answer"))


def _comment(answer: Answer) -> None:
    answer.write("Let me check that for you…", phase="commentary")
    answer.items.append(answers.message_item(answer.text, phase="final_answer"))


def _write_bare_strings(answer: Answer) -> None:
    answer.write(answer.text)
    answer.items[-1]["content"] = [answer.text]


def _write_unknown_items(answer: Answer) -> None:
    answer.items.append({"id": "new_1", "type": "novelty", "status": "completed", "content": [None, 7]})
    answer.write(answer.text)
    answer.items[-1]["content"] += [{"type": "novelty", "text": "unknown"}, {"type": "output_text", "text": None}]


_BEHAVIOURS: Mapping[str, Callable[[Answer], None]] = {
    "status_failed": _fail,
    "status_cancelled": _cancel,
    "incomplete_empty": _only_think,
    "incomplete_thinking": _think_too_long,
    "incomplete_max_output_tokens": _stop_in_the_middle,
    "incomplete_content_filter": _filter,
    "empty_text": lambda answer: answer.write(""),
    "refusal": _refuse,
    "refusal_in_commentary": _refuse_in_commentary,
    "commentary": _comment,
    "only_commentary": lambda answer: answer.write(answer.text, phase="commentary"),
    "citation_markers": lambda answer: answer.write(
        f"{answer.text}【4:0†source】 \ue200filecite\ue202turn0file0\ue201Truly."
    ),
    "markdown": lambda answer: answer.write(f"{answer.text}\n\n{answers.MARKDOWN}"),
    "essay": lambda answer: answer.write(f"{answer.text}\n\n{answers.essay(answer.persona)}"),
    "bare_strings": _write_bare_strings,
    "unknown_items": _write_unknown_items,
}
