"""The simulator's server: OpenAI's routes, the control routes beside them, and what it remembers."""

import asyncio
import json
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from aiohttp import BodyPartReader, web

from tests.simulators.openai import answers, catalogue, control
from tests.simulators.openai.answers import Body
from tests.simulators.openai.faults import FAULTS, Fault, special_fault
from tests.simulators.openai.recording import EVERY_KEY, RecordedRequest, ScriptedFault, fingerprint, reaches
from tests.simulators.openai.refusals import ApiError, refusal, validate, validate_model

LARGEST_BODY = 64 * 1024 * 1024
REMEMBERED_REQUESTS = 20_000
HANG_SECONDS = 600.0
AUDIO_ENDINGS = (".flac", ".m4a", ".mp3", ".mp4", ".mpeg", ".mpga", ".ogg", ".wav", ".webm")


class OpenAISimulator:
    """A local OpenAI: `async with` runs it in this event loop, `with` in a thread of its own.

    Everything can be called from any thread while it runs. It answers on 127.0.0.1 only.

    Args:
        port: where to listen; 0 takes a free port.
        delay_ms: how long every answer of `/v1/responses` takes.
    """

    def __init__(self, port: int = 0, *, delay_ms: int = 0) -> None:
        self.port = port
        self.delay_ms = delay_ms
        #: what was asked, oldest first; the last 20,000
        self.requests: deque[RecordedRequest] = deque(maxlen=REMEMBERED_REQUESTS)
        self.received = 0
        self._personas: dict[str, str] = {}
        self._stores: dict[str, dict[str, str]] = {}
        self.faults: dict[str, deque[ScriptedFault]] = {}
        self._retired: set[str] = set(catalogue.RETIRED)
        self._runner: web.AppRunner | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # What tests say

    @property
    def base_url(self) -> str:
        """What to give the SDK, such as http://127.0.0.1:40123/v1."""
        return f"{self.origin}/v1"

    @property
    def origin(self) -> str:
        """The server without a path; the control routes are under `{origin}/control`."""
        return f"http://127.0.0.1:{self.port}"

    def persona(self, key: str, name: str) -> None:
        """From now on `key` answers as `name`."""
        self._personas[key] = name

    def persona_of(self, key: str) -> str:
        """Who answers for `key`; by default named after the key's last four characters."""
        return self._personas.get(key) or f"Assistant {key[-4:]}"

    def vector_store(self, key: str, store_id: str, name: str) -> None:
        """Gives `key` a vector store, so that listing shows it."""
        self._stores.setdefault(key, {})[store_id] = name

    def retire(self, model: str) -> None:
        """From now on OpenAI does not know `model` any more."""
        self._retired.add(model)

    def fault(self, key: str, name: str, times: int | None = 1, *, path: str | None = None, **options: Any) -> None:
        """Spoils the next calls with `key`.

        Args:
            key: whose calls; "*" means everybody's.
            name: one of `FAULTS`.
            times: how many calls; None until `clear`.
            path: only calls to this path, such as "/v1/responses".
            options: `delay_ms`, `seconds`, `retry_after`, `text`, `code`, `message`, as the fault takes them.

        Raises:
            ValueError: there is no fault of that name.
        """
        if name not in FAULTS:
            raise ValueError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
        scripted = ScriptedFault(FAULTS[name], times, path, options)
        self.faults.setdefault(key, deque()).append(scripted)

    def say(self, key: str, text: str, times: int | None = 1) -> None:
        """The next answers for `key` are exactly `text`."""
        self.fault(key, "say", times, text=text)

    def clear(self, key: str | None = None) -> None:
        """Forgets the scripted faults of `key`, or all of them."""
        if key is None:
            self.faults.clear()
        else:
            self.faults.pop(key, None)

    def requests_of(self, key: str) -> list[RecordedRequest]:
        """The recorded calls that used `key`."""
        return [request for request in list(self.requests) if request.key_fingerprint == fingerprint(key)]

    # Starting and stopping

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        started = threading.Event()
        trouble: list[BaseException] = []

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            try:
                self._loop.run_until_complete(self.start())
            except BaseException as error:
                trouble.append(error)
            finally:
                started.set()
            if not trouble:
                self._loop.run_forever()
                self._loop.run_until_complete(self.stop())
            self._loop.close()

        self._thread = threading.Thread(target=run, name="openai-simulator", daemon=True)
        self._thread.start()
        started.wait()
        if trouble:
            raise trouble[0]
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)

    async def start(self) -> None:
        """Listens on 127.0.0.1; raises OSError when the port is taken."""
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_routes(control.routes(self))
        application.router.add_route("*", "/{rest:.*}", self._openai)
        # A client that hangs up ends its handler: otherwise `hang` would keep the server from stopping.
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stops listening and drops open connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    # OpenAI

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        key = _key_of(request)
        self.received += 1
        record = RecordedRequest(
            number=self.received,
            at=time.time(),
            method=request.method,
            path=request.path,
            key_fingerprint=fingerprint(key) if key else None,
            persona=self.persona_of(key) if key else None,
            headers={
                name.lower(): value
                for name, value in request.headers.items()
                if name.lower() not in ("authorization", "cookie", "api-key")
            },
            body=await _body_of(request),
        )
        self.requests.append(record)
        try:
            response = await self._answer(request, key, record)
        except ApiError as error:
            response = web.json_response(error.body, status=error.status, headers=error.headers)
        record.status = response.status
        if not response.prepared:
            response.headers.update(self._headers(started))
        return response

    async def _answer(self, request: web.Request, key: str, record: RecordedRequest) -> web.StreamResponse:
        if not key:
            raise ApiError(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header "
                "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        if not key.startswith("sk-"):
            raise refusal(FAULTS["invalid_api_key"], key, record.body, {})
        fault, options = self._take_fault(key, request.path)
        if fault is not None:
            record.fault = fault.name
            early = await self._play(fault, options, request, key, record.body)
            if early is not None:
                return early
        handler = self._route(request)
        return await handler(request, key, record.body, fault, options)

    def _take_fault(self, key: str, path: str) -> tuple[Fault | None, Mapping[str, Any]]:
        for owner in (key, EVERY_KEY):
            waiting = self.faults.get(owner, ())
            for scripted in list(waiting):
                if not scripted.reaches(path):
                    continue
                if scripted.left is not None:
                    scripted.left -= 1
                    if scripted.left <= 0:
                        self.faults[owner].remove(scripted)
                return scripted.fault, scripted.options
        special = special_fault(key)
        if special is not None and reaches(special[0], path):
            return special
        return None, {}

    async def _play(
        self, fault: Fault, options: Mapping[str, Any], request: web.Request, key: str, body: Body
    ) -> web.StreamResponse | None:
        """Plays a fault that comes before any answer; None lets the call go on."""
        if "delay_ms" in options or fault.name == "delay":
            await asyncio.sleep(float(options.get("delay_ms", 1000)) / 1000)
        if fault.status is not None:
            raise refusal(fault, key, body, options)
        match fault.name:
            case "bad_gateway":
                page = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
                return web.Response(status=502, text=page, content_type="text/html")
            case "not_json":
                return web.Response(text="{ this is not json", content_type="application/json")
            case "connection_reset":
                _reset(request)
                return web.Response(status=500)
            case "hang":
                await asyncio.sleep(float(options.get("seconds", HANG_SECONDS)))
        return None

    def _route(self, request: web.Request) -> Callable[..., Awaitable[web.StreamResponse]]:
        match request.method, request.path.rstrip("/").split("/")[1:]:
            case "POST", ["v1", "responses"]:
                return self._responses
            case "POST", ["v1", "responses", "input_tokens"]:
                return self._input_tokens
            case "GET", ["v1", "responses", response_id]:
                raise ApiError(404, f"Response with id '{response_id}' not found.")
            case "GET", ["v1", "models"]:
                return self._models
            case "GET", ["v1", "models", _]:
                return self._model
            case "POST", ["v1", "audio", "transcriptions"]:
                return self._transcriptions
            case "GET", ["v1", "vector_stores"]:
                return self._vector_stores
            case "GET", ["v1", "vector_stores", _]:
                return self._vector_store
        raise ApiError(404, f"Invalid URL ({request.method} {request.path})")

    async def _responses(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        validate(body, self._retired)
        if self.delay_ms:
            await asyncio.sleep(self.delay_ms / 1000)
        response = self._respond(key, body, fault.name if fault else None, options)
        if not body.get("stream"):
            return web.json_response(response)
        return await self._stream(request, response, fault.name if fault else None)

    def _respond(self, key: str, body: Body, fault: str | None, options: Mapping[str, Any]) -> Body:
        persona = self.persona_of(key)
        text = str(options.get("text") or answers.spoken(persona, body))
        status: str = "completed"
        reason: str | None = None
        error: Body | None = None
        query = next((said for role, said in reversed(answers.messages_of(body)) if role == "user"), "")
        thought = answers.reasoning_tokens(body)
        items: list[Body] = [_reasoning_item()] if thought else []
        items += answers.tool_items(body, query)
        match fault:
            case "status_failed":
                status, items, thought = "failed", [], 0
                code = str(options.get("code", "server_error"))
                error = {"code": code, "message": str(options.get("message", "The model failed."))}
            case "status_cancelled":
                status, items, thought = "cancelled", [], 0
            case "incomplete_empty":
                status, reason, items = "incomplete", "max_output_tokens", [_reasoning_item()]
                thought = body.get("max_output_tokens") or 1024
            case "incomplete_max_output_tokens":
                status, reason = "incomplete", "max_output_tokens"
                items.append(answers.message_item(text[: max(1, len(text) * 2 // 3)], status="incomplete"))
            case "incomplete_content_filter":
                status, reason = "incomplete", "content_filter"
                items.append(answers.message_item(text[: len(text) // 3], status="incomplete"))
            case "empty_text":
                items.append(answers.message_item(""))
            case "refusal":
                refusal = str(options.get("text", "I'm sorry, but I can't help with that."))
                items.append(answers.refusal_item(refusal))
            case "commentary":
                items.append(answers.message_item("Let me check that for you…", phase="commentary"))
                items.append(answers.message_item(text, phase="final_answer"))
            case "only_commentary":
                items.append(answers.message_item(text, phase="commentary"))
            case "citation_markers":
                items.append(answers.message_item(f"{text}【4:0†source】 \ue200filecite\ue202turn0file0\ue201Truly."))
            case "markdown":
                items.append(answers.message_item(f"{text}\n\n{answers.MARKDOWN}"))
            case "essay":
                items.append(answers.message_item(f"{text}\n\n{answers.essay(persona)}"))
            case _:
                items, status, reason, thought = _within_limit(body, items, text, thought)
                if items and items[-1]["type"] == "message":
                    answers.annotate(items[-1], body)
        return answers.response_body(
            body, items, now=int(time.time()), status=status, reason=reason, error=error, thought=thought
        )

    async def _stream(self, request: web.Request, body: Body, fault: str | None) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        response.headers.update(self._headers(time.monotonic()))
        await response.prepare(request)
        deltas = 0
        for event in answers.events(body):
            deltas += event["type"] == "response.output_text.delta"
            if fault == "truncated_stream" and deltas >= 2:
                break
            if fault == "stream_error" and deltas >= 2:
                trouble = {"type": "error", "sequence_number": event["sequence_number"], "param": None}
                trouble |= {"code": "server_error", "message": FAULTS["server_error"].message}
                await response.write(answers.frame(trouble))
                break
            await response.write(answers.frame(event))
        await response.write_eof()
        return response

    async def _input_tokens(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        validate_model(str(body.get("model")), self._retired)
        return web.json_response({"object": "response.input_tokens", "input_tokens": answers.input_tokens(body)})

    async def _models(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        living = [name for name in catalogue.MODELS if name not in self._retired]
        return web.json_response({"object": "list", "data": [catalogue.model_body(name) for name in living]})

    async def _model(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        model = request.path.rsplit("/", 1)[1]
        validate_model(model, self._retired)
        return web.json_response(catalogue.model_body(model))

    async def _transcriptions(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        model, file = str(body.get("model")), body.get("file")
        validate_model(model, self._retired)
        if not isinstance(file, Mapping):
            raise ApiError(400, "Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
        name, size = str(file["filename"]), int(file["bytes"])
        if not name.lower().endswith(AUDIO_ENDINGS):
            # The ending decides, not the bytes: the same Opus named .opus is refused and named .ogg is not.
            raise ApiError(400, f"Unsupported file format {name}", param="file", code="unsupported_value")
        text = str(options.get("text") or f"[{self.persona_of(key)}] heard {name}, {size} bytes.")
        if model == "whisper-1":
            return web.json_response({"text": text, "usage": {"type": "duration", "seconds": 2}})
        written = answers.tokens_in(text)
        answer: Body = {
            "text": text,
            "usage": {
                "type": "tokens",
                "total_tokens": 17 + written,
                "input_tokens": 17,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 17},
                "output_tokens": written,
            },
        }
        if model == "gpt-transcribe":
            answer["languages"] = [{"code": "en"}]
        return web.json_response(answer)

    async def _vector_stores(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        stores = [_vector_store_body(store_id, name) for store_id, name in self._stores_of(key).items()]
        return web.json_response(
            {
                "object": "list",
                "data": stores,
                "first_id": stores[0]["id"],
                "last_id": stores[-1]["id"],
                "has_more": False,
            }
        )

    async def _vector_store(
        self, request: web.Request, key: str, body: Body, fault: Fault | None, options: Mapping[str, Any]
    ) -> web.StreamResponse:
        store_id = request.path.rsplit("/", 1)[1]
        if not store_id.startswith("vs_") or store_id.startswith("vs_missing"):
            raise ApiError(404, f"Vector store with id '{store_id}' not found.")
        name = self._stores_of(key).get(store_id, f"Store {store_id}")
        return web.json_response(_vector_store_body(store_id, name))

    def _stores_of(self, key: str) -> Mapping[str, str]:
        default = {f"vs_{fingerprint(key)}": f"Knowledge of {self.persona_of(key)}"}
        return self._stores.get(key) or default

    def _headers(self, started: float) -> dict[str, str]:
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


async def _body_of(request: web.Request) -> Body:
    if request.content_type == "multipart/form-data":
        return await _form_of(request)
    if not request.can_read_body:
        return {}
    try:
        body = json.loads(await request.read())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


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


def _reset(request: web.Request) -> None:
    """Closes the connection with RST, so that the client sees a reset and not an orderly end."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _reasoning_item() -> Body:
    encrypted = f"gAAAA{secrets.token_urlsafe(24)}"
    return {
        "id": f"rs_{secrets.token_hex(24)}",
        "type": "reasoning",
        "summary": [],
        "encrypted_content": encrypted,
    }


def _within_limit(body: Body, items: list[Body], text: str, thought: int) -> tuple[list[Body], str, str | None, int]:
    """The answer as far as `max_output_tokens` lets it come: thinking is paid first, then the text."""
    limit = body.get("max_output_tokens")
    if limit is None or thought + answers.tokens_in(text) <= limit:
        return [*items, answers.message_item(text)], "completed", None, thought
    left = limit - thought
    if left <= 0:
        return items, "incomplete", "max_output_tokens", limit
    cut = text[: left * answers.CHARACTERS_PER_TOKEN]
    return (
        [*items, answers.message_item(cut, status="incomplete")],
        "incomplete",
        "max_output_tokens",
        thought,
    )


def _vector_store_body(store_id: str, name: str) -> Body:
    return {
        "id": store_id,
        "object": "vector_store",
        "created_at": 1_780_000_000,
        "name": name,
        "usage_bytes": 4096,
        "file_counts": {"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1},
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": 1_780_000_000,
        "metadata": {},
    }
