"""All that we send: `reply` and `check` of the client, for each model with each setting of an assistant."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx2

from chalicelib.model import Assistant, ChatLine
from chalicelib.model.assistant import AnswerLength
from tests.simulators.openai.models import EFFORTS, VERBOSITIES, Model, Sampling
from tests.unit.support.openai_calls import KEY, answering, ask, response_body

INSTRUCTIONS = "You are the bakery's helper.\n\n* Be kind. \ud83d"
HISTORIES: tuple[tuple[ChatLine, ...], ...] = (
    (ChatLine("user", "Do you deliver?"),),
    (
        ChatLine("user", "Hello"),
        ChatLine("assistant", "**Hi!**"),
        ChatLine("user", "a broken \ud83d half"),
        ChatLine("user", "Привет, вы открыты?"),
        ChatLine("developer", "It is Monday, 30 November 2026, 09:15 in Berlin."),
    ),
)
#: Limits and tools, which no model decides about: they take turns, so that each meets every other setting.
EXTRAS: tuple[dict[str, Any], ...] = (
    {"max_output_tokens": 1_000},
    {"max_output_tokens": 0, "vector_store_ids": ("vs_menu", "vs_hours")},
    {"max_output_tokens": 1, "web_search": True},
    {
        "max_output_tokens": 16_000,
        "vector_store_ids": ("vs_menu",),
        "web_search": True,
        "web_domains": ("bakery.example", "xn--bckerei-5wa.example"),
        "languages": ("German", "English"),
        "answer_length": AnswerLength.SHORT,
    },
)


class Client:
    """Our client of OpenAI in front of a network that keeps what it is sent."""

    def __init__(self) -> None:
        self._sent: list[dict[str, Any]] = []
        self._llm = answering(self._answer)

    def sent_for(self, assistant: Assistant) -> Iterator[tuple[str, dict[str, Any]]]:
        """What `check` and `reply` send for an assistant, each with its name."""
        self._llm.check(KEY, assistant)
        yield from (("check", body) for body in self._taken())
        for history in HISTORIES:
            ask(self._llm, assistant=assistant, said=history)
            yield from (("reply", body) for body in self._taken())

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self._sent.append(json.loads(request.content))
        return httpx2.Response(200, json=response_body())

    def _taken(self) -> list[dict[str, Any]]:
        taken, self._sent = self._sent, []
        return taken


def assistants(model: Model) -> Iterator[Assistant]:
    """An assistant for each setting that an operator can give a model, be it one that the model refuses."""
    settings = itertools.product(
        enumerate((None, *EFFORTS)), enumerate((None, *VERBOSITIES)), enumerate((None, 0.0, 0.7))
    )
    for (first, effort), (second, verbosity), (third, temperature) in settings:
        yield Assistant(
            version=1,
            model=model.name,
            instructions=INSTRUCTIONS,
            reasoning_effort=effort,
            verbosity=verbosity,
            temperature=temperature,
            **EXTRAS[(first + second + third) % len(EXTRAS)],
        )


def allows(model: Model, assistant: Assistant) -> bool:
    """Whether OpenAI would take these settings with this model."""
    effort = assistant.reasoning_effort
    thinks = (effort or model.default_effort or "none") != "none"
    samples = model.sampling is Sampling.ALWAYS or (model.sampling is Sampling.WITHOUT_REASONING and not thinks)
    searched = not (assistant.web_search and effort == "minimal")
    return (
        searched
        and (effort is None or effort in model.efforts)
        and (assistant.verbosity is None or assistant.verbosity in model.verbosities)
        and (assistant.temperature is None or samples)
    )
