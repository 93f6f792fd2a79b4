"""All that the OpenAI simulator answers: each model, each effort, each scripted shape, each error, each endpoint."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from tests.simulators.openai import FAULTS, MODELS, OpenAISimulator, Wire
from tests.simulators.openai.models import EFFORTS, Endpoint

KEY = "sk-proj-schema-0000"
TOOLS: tuple[list[dict[str, Any]], ...] = (
    [],
    [{"type": "file_search", "vector_store_ids": ["vs_menu"]}, {"type": "web_search"}],
    [{"type": "web_search", "filters": {"allowed_domains": ["bakery.example"]}}],
)
#: Shapes whose streams are only long: a thousand events of one kind.
LONG_STREAMS = ("essay",)
#: (the schema that describes it, the value, where it comes from)
Answered = tuple[str, Any, str]

#: Bodies that OpenAI refuses; each brings another error.
REFUSED: tuple[dict[str, Any], ...] = (
    {},
    {"model": "gpt-nope"},
    {"model": "gpt-4"},
    {"model": "whisper-1"},
    {"input": [{"role": "robot", "content": "Hi"}]},
    {"input": [{"role": "user", "content": [{"type": "output_text", "text": "Hi"}]}]},
    {"tools": [{"type": "telepathy"}]},
    {"tools": [{"type": "file_search", "vector_store_ids": ["vs_missing"]}]},
    {"tools": [{"type": "web_search", "filters": {"allowed_domains": ["https://bakery.example/"]}}]},
    {"tools": [{"type": "web_search", "domains": ["bakery.example"]}]},
    {"include": ["bogus"]},
    {"metadata": {"turn": "x" * 513}},
    {"store": "yes"},
    {"truncation": "bogus"},
    {"temperature": 7},
    {"max_output_tokens": 8},
    {"max_output_tokens": "many"},
    {"text": {"verbosity": "loud"}},
    {"reasoning": {"effort": "banana"}},
    {"conversation": "conv_1"},
    {"previous_response_id": "resp_1"},
    {"prompt": {"id": "pmpt_1"}},
    {"nonsense": 1},
)


def collect() -> Iterator[Answered]:
    """Asks a simulator for everything it can answer."""
    with (
        OpenAISimulator() as simulator,
        httpx2.Client(base_url=simulator.base_url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30) as http,
    ):
        for name, model in MODELS.items():
            if model.endpoint is not Endpoint.RESPONSES:
                continue
            # Each effort that the model refuses brings an error.
            for effort in (None, *EFFORTS):
                for tools in TOOLS:
                    yield from _respond(http, name, effort, tools)
            for scripted in _shapes():
                simulator.fault(KEY, scripted, times=2)
                yield from _respond(http, name, None, [], scripted)
                simulator.clear()
            yield from _errors(simulator, http, name)
        yield from _endpoints(http)


def _shapes() -> list[str]:
    """The faults that are answers of OpenAI's own, or events of its streams."""
    return [name for name, fault in FAULTS.items() if fault.status is None and fault.wire is Wire.OPENAI]


def _respond(
    http: httpx2.Client, model: str, effort: str | None, tools: list[dict[str, Any]], scripted: str = ""
) -> Iterator[Answered]:
    body: dict[str, Any] = {"model": model, "input": "Do you deliver?", "instructions": "Be kind."}
    body |= {"reasoning": {"effort": effort}} if effort else {}
    body |= {"tools": tools} if tools else {}
    where = f"{model} {effort or 'default'} {scripted}"
    answer = http.post("/responses", json=body)
    yield ("Response" if answer.status_code == 200 else "ErrorResponse", answer.json(), where)
    if answer.status_code != 200 or scripted in LONG_STREAMS:
        return
    for frame in http.post("/responses", json={**body, "stream": True}).text.split("\n\n"):
        if frame:
            yield ("ResponseStreamEvent", json.loads(frame.partition("data: ")[2]), f"{where}, streamed")


def _errors(simulator: OpenAISimulator, http: httpx2.Client, model: str) -> Iterator[Answered]:
    asked = {"model": model, "input": "Hi"}
    for name, fault in FAULTS.items():
        if fault.status is not None:
            simulator.fault(KEY, name)
            yield ("ErrorResponse", http.post("/responses", json=asked).json(), f"{model} {name}")
    simulator.fault(KEY, "request_too_large", limit=1)
    yield ("ErrorResponse", http.post("/responses", json=asked).json(), f"{model} request_too_large")
    simulator.clear()


def _endpoints(http: httpx2.Client) -> Iterator[Answered]:
    for body in REFUSED:
        asked = {"model": "gpt-4o", "input": "Hi"} | body if body else {}
        yield ("ErrorResponse", http.post("/responses", json=asked).json(), f"refused: {body}")
    yield ("ListModelsResponse", http.get("/models").json(), "models")
    for name in MODELS:
        yield ("Model", http.get(f"/models/{name}").json(), f"model {name}")
    yield ("ErrorResponse", http.get("/models/gpt-nope").json(), "unknown model")
    yield ("ErrorResponse", http.get("/nowhere").json(), "unknown address")
    yield ("ErrorResponse", http.get("/models", headers={"Authorization": ""}).json(), "no key")
    yield ("ErrorResponse", http.get("/responses/resp_1").json(), "unknown response")
    counted = http.post("/responses/input_tokens", json={"model": "gpt-4o", "input": "Hi"})
    yield ("TokenCountsResource", counted.json(), "input tokens")
    yield ("ListVectorStoresResponse", http.get("/vector_stores").json(), "vector stores")
    yield ("VectorStoreObject", http.get("/vector_stores/vs_menu").json(), "vector store")
    yield ("ErrorResponse", http.get("/vector_stores/vs_missing").json(), "unknown vector store")
    for name, model in MODELS.items():
        if model.endpoint is Endpoint.TRANSCRIPTIONS:
            for file in ("voice.ogg", "voice.opus"):
                answer = http.post("/audio/transcriptions", data={"model": name}, files={"file": (file, b"OggS")})
                kind = "CreateTranscriptionResponseJson" if answer.status_code == 200 else "ErrorResponse"
                yield (kind, answer.json(), f"{name} hears {file}")
