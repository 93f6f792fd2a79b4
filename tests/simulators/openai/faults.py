"""Every fault of the simulator by its name, and the keys that play one without a script."""

from collections.abc import Mapping

from tests.simulators.openai.errors import ERRORS
from tests.simulators.openai.fault import Fault, Reach, Wire

#: Options of a fault with a status that change its error.
ERROR_OPTIONS = frozenset({"status", "message", "type", "param", "code", "retry_after", "region"})

_TRANSPORT = tuple(
    Fault(name, happens, wire=Wire.OTHER)
    for name, happens in (
        ("bad_gateway", "an HTML page with `status` (default 502), as from a proxy in between"),
        ("cloudflare_page", "an HTML page of Cloudflare with `status` (default 403)"),
        ("plain_text", "`status` (default 429) with the text `error code: 1015`"),
        ("empty_body", "`status` (default 400) without a body"),
        ("foreign_json", "`status` (default 400) with JSON that has no `error` object, as from a proxy"),
        ("not_json", "200 with a body that is not JSON"),
        ("truncated_body", "200 with half of a JSON body, announced as whole"),
        ("broken_off", "200 whose connection ends in the middle of the body"),
        ("bad_gzip", "200 that is announced as gzip and is not"),
        ("deep_json", "200 with JSON nested 100,000 levels deep"),
        ("not_a_number", "200 with NaN where numbers belong"),
        ("error_in_200", "200 with an `error` object and nothing else, as from a compatible server"),
        ("redirect", "308 to another host"),
        ("connection_reset", "the connection is reset before any answer"),
        ("hang", "no answer for `seconds` (default 600), then the usual answer"),
        ("trickle", "200 whose body comes byte by byte for `seconds` (default 600)"),
        ("delay", "the usual answer after `delay_ms` (default 1000)"),
    )
)

_ANSWERS = (
    Fault("status_failed", "200, status failed, error.code = `code` (default server_error)", Reach.RESPONSES),
    Fault("status_cancelled", "200, status cancelled", Reach.RESPONSES),
    Fault("incomplete_max_output_tokens", "200, the text stops in the middle", Reach.RESPONSES),
    Fault("incomplete_empty", "200, all output tokens went into reasoning: no text", Reach.RESPONSES),
    Fault("incomplete_thinking", "200, reasoning left room for a stump of a text", Reach.RESPONSES),
    Fault("incomplete_content_filter", "200, the text was cut by the content filter", Reach.RESPONSES),
    Fault("empty_text", "200, completed, the text is empty", Reach.RESPONSES),
    Fault("refusal", "200, completed, the content is a refusal", Reach.RESPONSES),
    Fault("refusal_in_commentary", "200, a refusal in the commentary and a good final answer", Reach.RESPONSES),
    Fault("commentary", '200, a message of phase "commentary" before the answer', Reach.RESPONSES),
    Fault("only_commentary", '200, nothing but a message of phase "commentary"', Reach.RESPONSES),
    Fault("citation_markers", "200, the text carries legacy citation markers", Reach.RESPONSES),
    Fault("say", "200, the text is `text`", Reach.RESPONSES),
    Fault("markdown", "200, the text is full of Markdown", Reach.RESPONSES),
    Fault("essay", "200, the text is about 10,000 characters long", Reach.RESPONSES),
    Fault("bare_strings", "200, content parts are bare strings", Reach.RESPONSES, wire=Wire.OTHER),
    Fault("unknown_items", "200, items and parts of unknown types around the answer", Reach.RESPONSES, wire=Wire.OTHER),
    Fault("truncated_stream", "a stream that ends without its last event", Reach.RESPONSES),
    Fault("stream_error", "a stream that ends with an `error` event", Reach.RESPONSES),
    Fault(
        "request_too_large",
        "429, when input and room for the answer are more than `limit` tokens a minute (default 30000)",
        Reach.RESPONSES,
    ),
)

#: every fault by its name
FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in (*ERRORS, *_TRANSPORT, *_ANSWERS)}

#: how a key begins (after `sk-` or `sk-proj-`) → the fault it always has, and its options; first match wins
SPECIAL_KEYS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "wrong": ("invalid_api_key", {}),
    "scopes": ("missing_scopes", {}),
    "banned": ("unsupported_country", {}),
    "noaccess": ("model_access_denied", {}),
    "broken": ("server_error", {}),
    "broke": ("insufficient_quota", {}),
    "limited": ("rate_limit_requests", {}),
    "down": ("server_is_overloaded", {}),
    "reset": ("connection_reset", {}),
    "hang": ("hang", {}),
    "slow": ("delay", {"delay_ms": 5000}),
    "refuse": ("refusal", {}),
    "filter": ("incomplete_content_filter", {}),
    "empty": ("empty_text", {}),
    "markdown": ("markdown", {}),
    "essay": ("essay", {}),
}
#: `sk-fault-NAME…` plays the fault NAME, with hyphens or underscores.
ANY_FAULT = "fault-"


def special_fault(key: str) -> tuple[Fault, Mapping[str, object]] | None:
    """The fault that `key` always has because of how it begins, with its options."""
    rest = key.removeprefix("sk-").removeprefix("proj-")
    if rest.startswith(ANY_FAULT):
        named = rest.removeprefix(ANY_FAULT).replace("-", "_")
        longest = max((name for name in FAULTS if named.startswith(name)), key=len, default=None)
        return (FAULTS[longest], {}) if longest else None
    for beginning, (name, options) in SPECIAL_KEYS.items():
        if rest.startswith(beginning):
            return FAULTS[name], options
    return None
