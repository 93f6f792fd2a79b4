"""What OpenAI, servers like it, and proxies in between answer: a reply, or one of three kinds of error.

A case of ``openai.yaml`` has these parts, all optional but ``is``:

- ``input``: ``answers``, one for each call in order, the last one for all that follow. An answer has ``status`` (200 if
  none is given), ``headers``, and one of ``error`` (OpenAI's object), ``json`` (a whole body), ``text`` (a body that
  may be no JSON), ``output`` (the items of a response; ``response`` has further fields of it), or ``raises`` (what
  the network does instead: an error of httpx2). ``assistant`` has names of ``Assistant``; ``earlier`` is a number of
  lines before the question; ``servers`` is the operator's list.
- ``expected``: ``is`` (``a reply``, ``try again``, ``ask someone``, ``give up``), ``problem`` or ``reason``, ``says``
  (parts of the sentence), ``never_says``, ``text`` of the reply, ``calls``, ``retry_after_seconds``, ``paid`` (whether
  tokens count although no answer came), ``efforts`` and ``lines`` of each request, ``host`` of the last one.

A check of the same assistant gets the same answers, and must agree with the reply about each error that is not about
the contact's words.
"""

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from chalicelib.errors import ActionRequired, AnswerlineError, PermanentError, TransientError
from chalicelib.llm.client import OPENAI, LlmClient, Reply
from chalicelib.model import Assistant, ChatLine
from tests.corpus.cases import Case, parameters
from tests.unit.support.openai_calls import KEY, QUESTION, nothing_private_in, response_body

KINDS: Mapping[str, type[AnswerlineError]] = {
    "try again": TransientError,
    "ask someone": ActionRequired,
    "give up": PermanentError,
}
REQUEST_ID = "req_0123456789abcdef"


@pytest.mark.parametrize("case", parameters("openai"))
def test_an_answer(case: Case) -> None:
    network, assistant = Network(case.input["answers"]), read_assistant(case.input)
    llm = network.client(case.input.get("servers", ()))
    expected = dict(case.expected)
    kind = expected.pop("is")
    if kind == "a reply":
        compare_reply(ask(llm, assistant, case.input.get("earlier", 0)), expected)
    else:
        with pytest.raises(KINDS[kind]) as caught:
            ask(llm, assistant, case.input.get("earlier", 0))
        nothing_private_in(caught.value)
        compare_error(caught.value, expected)
    network.compare(expected)
    assert not expected, "unknown expectation"


#: What a check meets too: it makes no reply, and waits for no text about the contact's words.
CHECKED = [each for each in parameters("openai") if each.values[0].expected["is"] in ("try again", "ask someone")]


@pytest.mark.parametrize("case", CHECKED)
def test_a_check_agrees(case: Case) -> None:
    expected, network = case.expected, Network(case.input["answers"])
    checked = network.client(case.input.get("servers", ())).check(KEY, read_assistant(case.input))
    assert checked.transient is (expected["is"] == "try again")
    assert checked.problem == expected.get("problem")
    for part in expected.get("says", ()):
        assert part in checked.sentence


class Network:
    """The network of one case: it answers in order, and keeps what it was asked."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self._answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.hosts: list[str] = []

    def client(self, servers: tuple[str, ...]) -> LlmClient:
        return LlmClient(OPENAI, servers=servers, transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(json.loads(request.content))
        self.hosts.append(request.url.host)
        answer = dict(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
        if "raises" in answer:
            raise getattr(httpx2, answer["raises"])("no text of ours")
        status, headers = answer.get("status", 200), {"x-request-id": REQUEST_ID, **answer.get("headers", {})}
        if "text" in answer:
            return httpx2.Response(status, headers=headers, content=answer["text"].encode())
        if "output" in answer:
            body = response_body(output=answer["output"], **answer.get("response", {}))
        else:
            body = {"error": answer["error"]} if "error" in answer else answer["json"]
        return httpx2.Response(status, headers=headers, json=body)

    def compare(self, expected: dict[str, Any]) -> None:
        """Takes out of ``expected`` what is about the requests, and compares it."""
        if "calls" in expected:
            assert len(self.bodies) == expected.pop("calls")
        if "efforts" in expected:
            efforts = [body.get("reasoning", {}).get("effort") for body in self.bodies]
            assert efforts == expected.pop("efforts")
        if "lines" in expected:
            assert [len(body["input"]) for body in self.bodies] == expected.pop("lines")
        if "host" in expected:
            assert self.hosts[-1] == expected.pop("host")


def read_assistant(given: Mapping[str, Any]) -> Assistant:
    return Assistant(**{"version": 1, "model": "gpt-6-luna", "instructions": "Be kind.", **given.get("assistant", {})})


def ask(llm: LlmClient, assistant: Assistant, earlier: int) -> Reply:
    said = [ChatLine("assistant" if number % 2 else "user", "x" * 50) for number in range(earlier)]
    lines = (*said, ChatLine("user", QUESTION, waiting=True))
    return llm.reply(KEY, assistant, lines, tenant="bakery0001", chat="4917@c.us", turn="turn-0001")


def compare_reply(reply: Reply, expected: dict[str, Any]) -> None:
    assert reply.text == expected.pop("text")


def compare_error(error: AnswerlineError, expected: dict[str, Any]) -> None:
    """Takes out of ``expected`` what is about the error, and compares it."""
    for part in expected.pop("says", ()):
        assert part in error.message
    for part in expected.pop("never_says", ()):
        assert part not in error.message
    for name in ("problem", "reason", "retry_after_seconds"):
        assert getattr(error, name, None) == expected.pop(name, None), name
    assert any(error.tokens) is expected.pop("paid", any(error.tokens))
