"""Authenticates runners: bearer token, wire version and body of their calls, and the JSON response."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chalice.app import Chalice, Response
from pydantic import ValidationError

from chalicelib import log_context
from chalicelib.errors import BadRequest, TooLarge, Unauthorised
from chalicelib.model import Runner, RunnerState
from chalicelib.tokens import hand_in_capability, secrets_match, sha256
from chalicelib.web.responses import handle_json_errors, json_response
from chalicelib.wiring import Services
from wire import MAX_TEXT_BYTES, WIRE_VERSION, Message, MessageKind, MessagesRequest, Wire

#: Lambda accepts 6 MB; a full batch of the longest texts fits.
MAX_BODY_BYTES = 5_500_000
#: A token that the cache does not know may be newer than the cache: it is compared with one that is no older than this.
BOOTSTRAP_TOKEN_MAX_AGE_MS = 10_000
SHAPE_OF_RUNNER = re.compile(r"[0-9a-f]{20}", re.ASCII)
#: The optional fields of a message that say who wrote it.
NAMES_OF_PEOPLE = frozenset({"chat_alias", "phone", "sender"})

RequestModel = TypeVar("RequestModel", bound=Wire)


def mount_endpoint(
    app: Chalice,
    services: Services,
    path: str,
    model: type[RequestModel],
    handle: Callable[[Services, str, RequestModel], Wire],
) -> None:
    """Registers an endpoint of `wire.py`: POST of JSON with a bearer token, answered with a model.

    Args:
        handle: takes the services, the token and the request.
    """

    def view() -> Response:
        token, request = _read_request(app, model)
        runner = token.partition(".")[0]  # unproven: only for the log
        log_context.bind(
            runner=runner if SHAPE_OF_RUNNER.fullmatch(runner) else None,
            tenant=getattr(request, "tenant", None),
            turn=getattr(request, "turn", None),
        )
        return json_response(handle(services, token, request).model_dump_json(exclude_none=True))

    view.__name__ = path.strip("/").replace("/", "_")
    handled = handle_json_errors(app, view, lambda: services.proxies)
    app.route(path, methods=["POST"], content_types=["application/json"])(handled)


def authenticate(services: Services, token: str) -> Runner:
    """Returns the runner of this token, dead or alive. Raises Unauthorised."""
    runner = _named_runner(services, token)
    if not is_own_token(runner, token):
        raise Unauthorised("This token is unknown; register again.")
    return runner


def authenticate_alive(services: Services, token: str) -> Runner:
    """Returns the runner of this token. Raises Unauthorised also for one that was declared dead."""
    runner = authenticate(services, token)
    if runner.state is RunnerState.DEAD:
        raise Unauthorised("This runner was declared dead; register again.")
    return runner


def authenticate_hand_in(services: Services, token: str, tenant: str, epoch: int, now: int) -> Runner:
    """Returns the runner that may hand in messages and sent parts of this tenant: not fenced, and also a dead runner's.

    The token is the runner's own, or the capability for exactly this tenant and epoch. Raises Unauthorised.
    """
    runner = _named_runner(services, token)
    capability = hand_in_capability(runner.id, runner.token_sha256, tenant, epoch)
    if not is_own_token(runner, token) and not secrets_match(capability, token):
        raise Unauthorised("This token is not one for this tenant and epoch.")
    if not services.runners.may_hand_in(runner, tenant, now):
        raise Unauthorised("This runner never held this tenant, or it ended too long ago.")
    return runner


def is_bootstrap(services: Services, token: str) -> bool:
    """Compares with the stage's token; a rotated token counts as soon as a runner has it."""
    if secrets_match(token, services.runner_token()):
        return True
    if "." in token:
        return False  # a runner's own token: no need to read the parameter
    return secrets_match(token, services.runner_token(max_age_ms=BOOTSTRAP_TOKEN_MAX_AGE_MS))


def _named_runner(services: Services, token: str) -> Runner:
    """Returns the runner that the token names, which proves nothing yet. Raises Unauthorised if there is none."""
    name, _, rest = token.partition(".")
    # A name of another shape is never asked for: DynamoDB refuses keys above 2 KB with an error.
    runner = services.runners.get(name) if SHAPE_OF_RUNNER.fullmatch(name) and rest else None
    if runner is None:
        raise Unauthorised("This token is unknown; register again.")
    return runner


def is_own_token(runner: Runner, token: str) -> bool:
    """Returns whether the token is this runner's own."""
    return secrets_match(runner.token_sha256, sha256(token.partition(".")[2]))


def _read_request(app: Chalice, model: type[RequestModel]) -> tuple[str, RequestModel]:
    """Returns the bearer token and the parsed body."""
    request = app.current_request
    assert request is not None, "only called while a request is served"
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorised("This call needs a bearer token.")
    return token.strip(), _parse_body(model, request.raw_body)


def _parse_body(model: type[RequestModel], raw: bytes | str) -> RequestModel:
    if len(raw) > MAX_BODY_BYTES:
        raise TooLarge(f"At most {MAX_BODY_BYTES} bytes fit into one call; hand in fewer messages.")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.") from None
    if not isinstance(data, dict):
        raise BadRequest("The body is not a JSON object.")
    version = data.get("wire", WIRE_VERSION)
    if not isinstance(version, int) or not WIRE_VERSION - 1 <= version <= WIRE_VERSION:
        raise BadRequest(f"This control plane speaks wire version {WIRE_VERSION}; update the older side.")
    if model is MessagesRequest:
        data = {**data, "messages": list(_sanitize(data.get("messages")))}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{where}: {first['msg']}") from None


def _sanitize(entries: Any) -> Iterator[Any]:
    """Repairs what a page may produce: an odd field does not lose its message, nor an odd message hold up its chat."""
    if not isinstance(entries, list):
        raise BadRequest("messages: a list is expected")
    known = {kind.value for kind in MessageKind}
    for entry in entries:
        if not isinstance(entry, dict):
            raise BadRequest("messages: each is an object")
        kind = entry.get("kind")
        yield _without_odd_fields(
            {
                **entry,
                **{name: _cut(entry[name]) for name in ("text", "caption", "summary") if name in entry},
                "kind": kind if isinstance(kind, str) and kind in known else MessageKind.OTHER.value,
            }
        )


def _cut(text: Any) -> str:
    """Returns a text without half surrogates and zero bytes, at most MAX_TEXT_BYTES of it."""
    whole = text if isinstance(text, str) else ""
    return whole.encode("utf-8", "replace").replace(b"\0", b"")[:MAX_TEXT_BYTES].decode("utf-8", "ignore")


def _without_odd_fields(entry: dict[str, Any]) -> dict[str, Any]:
    """Returns a message without the optional fields, its own or of its quote or media, that are not as expected.

    Its author and chat stay, and are refused: by them the line knows whom it may not answer.
    """
    try:
        Message.model_validate(entry)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            name, *inner = map(str, each["loc"])
            if inner:
                entry = {**entry, name: {key: value for key, value in entry[name].items() if key != inner[0]}}
            elif name not in NAMES_OF_PEOPLE and not Message.model_fields[name].is_required():
                entry = {key: value for key, value in entry.items() if key != name}
    return entry
