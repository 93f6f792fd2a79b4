"""One call of the API: recorded, spoiled by a fault or answered."""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from tests.simulators.openai import endpoints, models, stream, transport
from tests.simulators.openai.answers import Body
from tests.simulators.openai.fault import Fault
from tests.simulators.openai.faults import ERROR_OPTIONS, FAULTS
from tests.simulators.openai.recording import RecordedRequest, fingerprint
from tests.simulators.openai.refusals import ApiError, living_model, refusal
from tests.simulators.openai.responses import respond, too_large
from tests.simulators.openai.tokens import input_tokens
from tests.simulators.openai.validation import validate

if TYPE_CHECKING:
    from tests.simulators.openai.simulator import OpenAISimulator

#: Headers that records leave out.
SECRET_HEADERS = frozenset({"authorization", "cookie", "api-key"})


class Server:
    """Answers as OpenAI does, for the keys, stores and faults of a simulator."""

    def __init__(self, simulator: "OpenAISimulator") -> None:
        self._simulator = simulator

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers any call that is not one to /control."""
        started = time.monotonic()
        key = _key_of(request)
        body, readable = await _body_of(request)
        record = RecordedRequest(
            number=self._simulator.count(),
            at=time.time(),
            method=request.method,
            path=request.path,
            key_fingerprint=fingerprint(key) if key else None,
            persona=self._simulator.persona_of(key) if key else None,
            headers={
                name.lower(): value for name, value in request.headers.items() if name.lower() not in SECRET_HEADERS
            },
            body=body,
        )
        self._simulator.requests.append(record)
        try:
            response = await self._answer(request, key, record, readable)
        except ApiError as error:
            response = web.json_response(error.body, status=error.status, headers=error.headers)
        record.status = response.status
        if not response.prepared:
            response.headers.update(_headers(started))
        return response

    async def _answer(
        self, request: web.Request, key: str, record: RecordedRequest, readable: bool
    ) -> web.StreamResponse:
        model = str(record.body.get("model", ""))
        if not key:
            raise ApiError(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header "
                "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        if not key.startswith("sk-"):
            raise refusal(FAULTS["invalid_api_key"], key, model, {})
        fault, options = self._simulator.take_fault(key, request.path, record.body)
        if fault is not None:
            record.fault = fault.name
            if fault.status is not None:
                await _delay(options)
                raise refusal(fault, key, model, {name: options[name] for name in options.keys() & ERROR_OPTIONS})
            if fault.name == "request_too_large":
                raise too_large(record.body, options)
            early = await transport.play(fault, options, request)
            if early is not None:
                return early
        if not readable:
            raise refusal(FAULTS["body_not_parsed"], key, model, {})
        return await self._route(request, key, record.body, fault, options)

    async def _route(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        simulator = self._simulator
        match request.method, request.path.rstrip("/").split("/")[1:]:
            case "POST", ["v1", "responses"]:
                return await self._respond(request, key, body, fault, options)
            case "POST", ["v1", "responses", "input_tokens"]:
                living_model(str(body.get("model")), simulator.retired)
                return web.json_response({"object": "response.input_tokens", "input_tokens": input_tokens(body)})
            case "GET", ["v1", "responses", response_id]:
                raise ApiError(404, f"Response with id '{response_id}' not found.")
            case "GET", ["v1", "models"]:
                return web.json_response(endpoints.list_models(simulator.retired))
            case "GET", ["v1", "models", name]:
                living_model(name, simulator.retired)
                return web.json_response(models.model_body(name))
            case "POST", ["v1", "audio", "transcriptions"]:
                persona = simulator.persona_of(key)
                return web.json_response(endpoints.transcribe(body, persona, simulator.retired, options))
            case "GET", ["v1", "vector_stores"]:
                return web.json_response(endpoints.list_vector_stores(simulator.stores_of(key)))
            case "GET", ["v1", "vector_stores", store_id]:
                return web.json_response(endpoints.vector_store(store_id, simulator.stores_of(key)))
        raise ApiError(404, f"Invalid URL ({request.method} {request.path})")

    async def _respond(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        model = validate(body, self._simulator.retired)
        if self._simulator.delay_ms:
            await asyncio.sleep(self._simulator.delay_ms / 1000)
        name = fault.name if fault else None
        response = respond(body, model, self._simulator.persona_of(key), name, options)
        if not body.get("stream"):
            return web.json_response(response)
        return await _stream(request, response, name)


async def _stream(request: web.Request, body: Body, fault: str | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    response.headers.update(_headers(time.monotonic()))
    await response.prepare(request)
    for event in stream.spoiled(stream.events(body), fault):
        await response.write(stream.frame(event))
    await response.write_eof()
    return response


async def _delay(options: Mapping[str, Any]) -> None:
    if "delay_ms" in options:
        await asyncio.sleep(float(options["delay_ms"]) / 1000)


def _headers(started: float) -> dict[str, str]:
    return {
        "x-request-id": f"req_{secrets.token_hex(16)}",
        "openai-processing-ms": str(int((time.monotonic() - started) * 1000)),
        "openai-organization": "org-simulated",
        "openai-project": "proj_simulated",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "30000",
        "x-ratelimit-remaining-requests": "29999",
        "x-ratelimit-reset-requests": "2ms",
        "x-ratelimit-limit-tokens": "150000000",
        "x-ratelimit-remaining-tokens": "149999000",
        "x-ratelimit-reset-tokens": "0s",
    }


def _key_of(request: web.Request) -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


async def _body_of(request: web.Request) -> tuple[Body, bool]:
    """The body as an object, empty without one; and whether it could be read."""
    if request.content_type == "multipart/form-data":
        return await _form_of(request), True
    if not request.can_read_body:
        return {}, request.method == "GET"
    try:
        body = json.loads(await request.read())
    except ValueError:
        return {}, False
    return (body, True) if isinstance(body, dict) else ({}, False)


async def _form_of(request: web.Request) -> Body:
    form: Body = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        content = bytes(await part.read())
        name = (part.name or "").removesuffix("[]")
        if part.filename:
            form[name] = {"filename": part.filename, "bytes": len(content)}
        elif (part.name or "").endswith("[]"):
            form.setdefault(name, []).append(content.decode())
        else:
            form[name] = content.decode()
    return form
