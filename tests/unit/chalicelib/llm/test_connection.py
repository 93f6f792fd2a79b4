"""The connection to OpenAI sends only allowed headers, ends each call by its deadline, and keeps the log silent."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx2
import pytest

from chalicelib.errors import ActionRequired, AnswerlineError, TransientError
from chalicelib.llm.client import LlmClient
from infrastructure.checkout import REPOSITORY
from tests.simulators.openai import OpenAISimulator
from tests.unit.support.openai_calls import ASSISTANT, KEY, QUESTION, answering, ask, nothing_private_in, response_body

CHALICE_APP = REPOSITORY / "chalice_app"


def test_a_redirect_does_not_take_the_key_along() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        return httpx2.Response(307, headers={"location": "https://elsewhere.example/v1/responses"})

    with pytest.raises(TransientError):
        ask(answering(answer))
    assert asked == ["openai.example"]


# --- Deadlines ----------------------------------------------------------------------------------------------


def test_a_silent_server_times_out(simulator: OpenAISimulator) -> None:
    llm = LlmClient(simulator.base_url, reply_timeout=timedelta(seconds=7))  # of which 1 is for reading
    simulator.fault(KEY, "hang")
    started = time.monotonic()
    with pytest.raises(TransientError, match="in time") as caught:
        ask(llm)
    assert time.monotonic() - started < 3
    nothing_private_in(caught.value)
    llm.close()


def test_a_body_that_trickles_is_left_at_the_deadline() -> None:
    now = [0.0]

    class Trickle(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(1_000):
                now[0] += 1
                yield b" "

    llm = answering(
        lambda request: httpx2.Response(200, headers={"content-type": "application/json"}, stream=Trickle()),
        monotonic=lambda: now[0],
    )
    with pytest.raises(TransientError):
        ask(llm)
    assert 90 <= now[0] <= 92


def test_the_waits_of_a_call_add_up_to_its_deadline() -> None:
    seen: list[dict[str, float]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(dict(request.extensions["timeout"]))
        return httpx2.Response(200, json=response_body())

    llm = answering(answer, monotonic=lambda: 0.0)
    ask(llm)
    llm.check(KEY, ASSISTANT)
    # connecting is two waits: TCP and TLS
    assert [sum(waits.values()) + waits["connect"] for waits in seen] == pytest.approx([90, 15])


# --- Nothing of the environment, nothing in the logs ----------------------------------------------------------


def test_no_openai_variable_changes_what_is_sent(simulator: OpenAISimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENAI_API_KEY": "sk-environment",
        "OPENAI_ADMIN_KEY": "sk-admin-environment",
        "OPENAI_ORG_ID": "org-environment",
        "OPENAI_PROJECT_ID": "proj-environment",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_CUSTOM_HEADERS": "X-Poison: yes\nAuthorization: Bearer sk-poison\nOpenAI-Organization: org-poison",
        "OPENAI_WEBHOOK_SECRET": "whsec-environment",
    }.items():
        monkeypatch.setenv(name, value)
    llm = LlmClient(simulator.base_url)
    assert ask(llm).text.startswith("[Anna]")
    assert llm.check(KEY, ASSISTANT).ok
    for recorded in simulator.requests:
        assert recorded.persona == "Anna"
        assert not any("organization" in name or "project" in name or "poison" in name for name in recorded.headers)
        assert "environment" not in json.dumps(recorded.headers)
        assert "poison" not in json.dumps(recorded.headers)
    with pytest.raises(ActionRequired):
        ask(llm, "")  # never falls back to another key
    llm.close()


def test_importing_the_client_does_not_import_openai_and_openai_log_stays_off() -> None:
    script = f"""
import sys
import chalicelib.llm.client as llm
from chalicelib.errors import AnswerlineError
from chalicelib.model import Assistant, ChatLine
ours = llm.LlmClient("http://127.0.0.1:9/v1")
assert not {{"openai", "httpx2"}} & set(sys.modules), "imported too early"
try:
    ours.reply({KEY!r}, Assistant(1, "m", "i"), [ChatLine("user", {QUESTION!r})], tenant="t", chat="c", turn="u")
except AnswerlineError as error:
    print(type(error).__name__)
assert "openai" in sys.modules
"""
    paths = os.pathsep.join([str(CHALICE_APP), str(CHALICE_APP / "vendor")])
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths, "OPENAI_LOG": "debug"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "TransientError"), ran.stderr
    assert ran.stderr == ""


def test_neither_keys_nor_texts_reach_the_log(simulator: OpenAISimulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("openai").setLevel(logging.DEBUG)
    llm = LlmClient(simulator.base_url)
    ask(llm)
    for fault in ("invalid_api_key", "server_error", "connection_reset"):
        simulator.fault(KEY, fault)
        with pytest.raises(AnswerlineError):
            ask(llm)
    logged = [record for record in caplog.records if record.name.startswith(("openai", "httpx2", "httpcore2"))]
    assert not [record for record in logged if record.levelno < logging.WARNING], "the SDK's own log must stay off"
    assert not any(word in record.getMessage() for record in caplog.records for word in ("parcel", KEY[-4:], "sk-"))
    assert KEY not in repr(llm) + repr(vars(llm))
    llm.close()
