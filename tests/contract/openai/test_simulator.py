"""The simulator speaks the wire OpenAI's own SDK expects, checked with the SDK's strict validation."""

import json
import urllib.request
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.contract.openai.sdk import KEY, MODEL, client_for
from tests.simulators.openai import OpenAISimulator


async def test_a_reply_names_the_persona_and_quotes_the_user(client: AsyncOpenAI) -> None:
    response = await client.responses.create(
        model=MODEL, instructions="You are the bakery's helper.\nBe kind.", input="Do you deliver?", store=False
    )
    assert response.output_text == (
        '[Anna] You said: "Do you deliver?" I follow my instructions: "You are the bakery\'s helper."'
    )
    assert (response.status, response.model, response.store) == ("completed", MODEL, False)  # type: ignore[attr-defined]
    assert response.usage is not None
    assert response.usage.output_tokens > 0
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


async def test_a_reply_quotes_the_last_of_a_history(client: AsyncOpenAI) -> None:
    response = await client.responses.create(
        model=MODEL,
        input=[
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello! How can I help?"},
            {"role": "user", "content": "Are you open?"},
            {"role": "user", "content": [{"type": "input_text", "text": "On Sunday?"}]},
        ],
    )
    assert response.output_text == '[Anna] You said: "On Sunday?" Before that: "Are you open?".'


async def test_each_key_answers_as_somebody_else(simulator: OpenAISimulator) -> None:
    for key, name in (("sk-some-key-1234", "Assistant 1234"), (KEY, "Anna")):
        async with client_for(simulator, key) as client:
            response = await client.responses.create(model=MODEL, input="Who is there?")
        assert response.output_text.startswith(f"[{name}] You said:")


async def test_headers_are_openais(client: AsyncOpenAI) -> None:
    raw = await client.responses.with_raw_response.create(model=MODEL, input="Hi")
    for header in (
        "x-request-id",
        "openai-processing-ms",
        "openai-organization",
        "openai-project",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
    ):
        assert raw.headers.get(header), header
    assert raw.headers["openai-version"] == "2020-10-01"
    assert raw.headers["content-type"].startswith("application/json")


async def test_a_stream_has_openais_events_in_openais_order(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(
        model="gpt-4o",
        input="Hi",
        stream=True,
        tools=[{"type": "file_search", "vector_store_ids": ["vs_menu"]}],
    )
    check: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    events = []
    async for event in stream:
        check.validate_python(event.model_dump())
        events.append(event)
    kinds = [event.type for event in events]
    without_repeats = [kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before]
    assert without_repeats == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
        "response.file_search_call.completed",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == said


async def test_a_stream_is_framed_as_openai_frames_it(simulator: OpenAISimulator) -> None:
    async with httpx2.AsyncClient() as http:
        answer = await http.post(
            f"{simulator.base_url}/responses",
            headers={"Authorization": f"Bearer {KEY}"},
            json={"model": MODEL, "input": "Hi", "stream": True},
        )
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    frames = answer.text.split("\n\n")
    assert frames.pop() == ""
    for frame in frames:
        name, data = frame.split("\n")
        assert name.removeprefix("event: ") == json.loads(data.removeprefix("data: "))["type"]
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("status_failed", "response.failed"),
        ("incomplete_content_filter", "response.incomplete"),
        ("refusal", "response.completed"),
        ("truncated_stream", "response.output_text.delta"),
    ],
)
async def test_a_stream_can_end_otherwise(
    simulator: OpenAISimulator, client: AsyncOpenAI, fault: str, last: str
) -> None:
    simulator.fault(KEY, fault)
    stream = await client.responses.create(model=MODEL, input="Hi", stream=True)
    assert [event.type async for event in stream][-1] == last


async def test_an_error_event_ends_a_stream(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.fault(KEY, "stream_error")
    stream = await client.responses.create(model=MODEL, input="Hi", stream=True)
    try:
        last = [event.type async for event in stream][-1]
    except openai.APIError:
        last = "error"
    assert last == "error"


async def test_tokens_are_counted(client: AsyncOpenAI) -> None:
    count = await client.responses.input_tokens.count(model=MODEL, instructions="Be kind.", input="ping")
    assert count.object == "response.input_tokens"
    assert count.input_tokens > 0


async def test_models_say_when_they_end(client: AsyncOpenAI) -> None:
    assert (await client.models.retrieve("gpt-4o")).shutdown_date == "2027-01-14"
    assert (await client.models.retrieve(MODEL)).shutdown_date is None
    listed = {model.id async for model in client.models.list()}
    assert MODEL in listed
    assert "gpt-4" not in listed


@pytest.mark.parametrize("model", ["gpt-4", "gpt-3.5-turbo", "o4-mini", "gpt-nonsense"])
async def test_retired_models_are_unknown(client: AsyncOpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve(model)
    assert caught.value.body == {
        "message": f"The model '{model}' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    with pytest.raises(openai.NotFoundError):
        await client.responses.input_tokens.count(model=model, input="Hi")
    with pytest.raises(openai.NotFoundError) as caught:
        await client.responses.create(model=model, input="Hi")
    if model == "gpt-nonsense":
        assert (caught.value.code, caught.value.param) == ("model_not_found", None)
        assert f"The model `{model}` does not exist or you do not have access to it." in caught.value.message
    else:
        assert (caught.value.code, caught.value.param) == (None, "model")
        assert f"Model not found {model}" in caught.value.message


async def test_a_model_can_retire_while_we_watch(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.retire("gpt-4o")
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="gpt-4o", input="Hi")


async def test_a_voice_note_is_transcribed(client: AsyncOpenAI) -> None:
    heard = await client.audio.transcriptions.create(
        model="gpt-transcribe", file=("voice.ogg", b"OggS" * 10, "audio/ogg")
    )
    assert heard.text == "[Anna] heard voice.ogg, 40 bytes."
    assert heard.languages is not None
    assert heard.languages[0].code == "en"
    assert heard.usage is not None
    assert heard.usage.type == "tokens"
    old = await client.audio.transcriptions.create(model="whisper-1", file=("voice.mp3", b"x", "audio/mpeg"))
    assert old.usage is not None
    assert old.usage.type == "duration"


@pytest.mark.parametrize("name", ["voice.opus", "voice.oga"])
async def test_the_ending_of_a_voice_note_decides(client: AsyncOpenAI, name: str) -> None:
    with pytest.raises(openai.BadRequestError, match="Unsupported file format"):
        await client.audio.transcriptions.create(model="gpt-transcribe", file=(name, b"OggS", "audio/ogg"))


async def test_vector_stores_can_be_read(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    assert [store.name async for store in client.vector_stores.list()] == ["Knowledge of Anna"]
    simulator.vector_store(KEY, "vs_menu", "Menu")
    assert [store.id async for store in client.vector_stores.list()] == ["vs_menu"]
    assert (await client.vector_stores.retrieve("vs_menu")).name == "Menu"
    with pytest.raises(openai.NotFoundError, match="Vector store with id 'vs_missing' not found"):
        await client.vector_stores.retrieve("vs_missing")


async def test_tools_leave_their_calls_before_the_answer(client: AsyncOpenAI) -> None:
    response = await client.responses.create(
        model=MODEL,
        input="What is on the menu?",
        reasoning={"effort": "low"},
        tools=[
            {"type": "file_search", "vector_store_ids": ["vs_menu"]},
            {"type": "web_search"},
        ],
    )
    assert [item.type for item in response.output] == [
        "reasoning",
        "file_search_call",
        "web_search_call",
        "message",
    ]


async def test_a_search_of_the_web_is_cited_and_only_searches_are_billed(client: AsyncOpenAI) -> None:
    tools: list[Any] = [{"type": "web_search", "filters": {"allowed_domains": ["bakery.example"]}}]
    response = await client.responses.create(
        model=MODEL, input="Is it open?", reasoning={"effort": "none"}, tools=tools
    )
    assert [item.type for item in response.output] == ["web_search_call", "web_search_call", "message"]
    body = response.model_dump()
    assert body["tool_usage"]["web_search"]["num_requests"] == 1
    assert body["usage"]["input_tokens"] > 2_000
    (cited,) = body["output"][-1]["content"][0]["annotations"]
    assert cited["type"] == "url_citation"
    assert response.output_text[cited["start_index"] : cited["end_index"]] == f"([bakery.example]({cited['url']}))"
    once = await client.responses.create(
        model=MODEL, input="Is it open?", reasoning={"effort": "none"}, tools=tools, max_tool_calls=1
    )
    assert [item.type for item in once.output] == ["web_search_call", "message"]


async def test_a_model_that_thinks_minimally_does_not_search(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="cannot be used with reasoning") as refused:
        await client.responses.create(
            model="gpt-5-mini", input="Hi", reasoning={"effort": "minimal"}, tools=[{"type": "web_search"}]
        )
    assert (refused.value.param, refused.value.code) == ("tools", None)


async def test_assistants_are_gone(simulator: OpenAISimulator) -> None:
    async with httpx2.AsyncClient() as http:
        answer = await http.post(
            f"{simulator.base_url}/assistants", headers={"Authorization": f"Bearer {KEY}"}, json={}
        )
    assert answer.status_code == 404


async def test_legacy_citation_markers_leak(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.fault(KEY, "citation_markers")
    text = (await client.responses.create(model=MODEL, input="Hi")).output_text
    assert "【4:0†source】" in text
    assert "\ue200filecite\ue202turn0file0\ue201" in text


async def test_few_output_tokens_cut_the_answer(client: AsyncOpenAI) -> None:
    response = await client.responses.create(
        model=MODEL, input="Hi", max_output_tokens=16, reasoning={"effort": "none"}, instructions="x" * 100
    )
    assert (response.status, len(response.output_text)) == ("incomplete", 64)
    response = await client.responses.create(model=MODEL, input="Hi", max_output_tokens=16)
    assert (response.status, response.output_text) == ("incomplete", "")


async def test_requests_are_recorded_without_their_keys(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    await client.responses.create(model=MODEL, input="Hi", prompt_cache_key="tenant-1")
    recorded = simulator.requests[-1]
    assert (recorded.method, recorded.path, recorded.status) == ("POST", "/v1/responses", 200)
    assert (recorded.persona, recorded.body["prompt_cache_key"]) == ("Anna", "tenant-1")
    assert simulator.requests_of(KEY) == [recorded]
    async with httpx2.AsyncClient() as http:
        answer = await http.get(f"{simulator.origin}/control/requests", params={"key": KEY})
    assert answer.json()["requests"][0]["body"]["input"] == "Hi"
    assert KEY not in answer.text


def test_a_synchronous_test_can_use_it_too() -> None:
    with OpenAISimulator() as simulator:
        simulator.persona(KEY, "Anna")
        with OpenAI(api_key=KEY, base_url=simulator.base_url, _strict_response_validation=True) as client:
            assert "[Anna]" in client.responses.create(model=MODEL, input="Hi").output_text
        with urllib.request.urlopen(f"{simulator.origin}/control/health") as answer:
            assert json.load(answer)["status"] == "ok"
