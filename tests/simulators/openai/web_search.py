"""The tool `web_search`: what OpenAI refuses in it, and the calls and citations that it leaves in an answer.

Sources: OpenAI's guide to the tool and its OpenAPI document, openai/codex#3559 (minimal effort), and the bodies in
BerriAI/litellm#35949 and #39610: only searches are billed, and `tool_usage` says how many; a page opened is not one.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from tests.simulators.openai.refusals import ApiError
from tests.simulators.openai.shapes import array_of, check_type, fields, invalid

#: a JSON object
Body = dict[str, Any]

FIELDS = frozenset({"type", "filters", "user_location", "search_context_size", "external_web_access"})
FILTERS = ("allowed_domains", "blocked_domains")
LOCATION = frozenset({"type", "city", "country", "region", "timezone"})
CONTEXT_SIZES = ("low", "medium", "high")
MOST_DOMAINS = 100
#: What a search adds to the input: the content that the model read.
TOKENS_PER_SEARCH = 2_000
#: Where the model looks if no domains are given.
ANYWHERE = "news.example"


def is_web_search(tool: Mapping[str, Any]) -> bool:
    """Whether a tool is the one that is generally available."""
    return tool.get("type") in ("web_search", "web_search_2025_08_26")


def check_web_search(name: str, tool: Any) -> None:
    """Refuses a tool that OpenAI would refuse."""
    fields(name, tool, FIELDS)
    if tool.get("filters") is not None:
        fields(f"{name}.filters", tool["filters"], set(FILTERS))
        for word in FILTERS:
            _check_domains(f"{name}.filters.{word}", tool["filters"].get(word) or [])
    if tool.get("user_location") is not None:
        location = f"{name}.user_location"
        fields(location, tool["user_location"], LOCATION)
        if tool["user_location"].get("type", "approximate") != "approximate":
            raise invalid(f"{location}.type", tool["user_location"]["type"], ("approximate",))
    if tool.get("search_context_size") not in (None, *CONTEXT_SIZES):
        raise invalid(f"{name}.search_context_size", tool["search_context_size"], CONTEXT_SIZES)


def _check_domains(name: str, domains: Any) -> None:
    array_of(name, domains, "strings")
    if len(domains) > MOST_DOMAINS:
        message = (
            f"Invalid '{name}': array too long. Expected an array with maximum length {MOST_DOMAINS}, but got an array "
            f"with length {len(domains)} instead."
        )
        raise ApiError(400, message, param=name, code="array_above_max_length")
    for index, domain in enumerate(domains):
        check_type(f"{name}[{index}]", domain, "a string", str)
        if not domain or "://" in domain or "/" in domain or " " in domain or "." not in domain:
            message = f"Invalid domain '{domain}' in '{name}'."  # inferred
            raise ApiError(400, message, param=name, code="invalid_value")


def check_effort(tools: Any, effort: str | None) -> None:
    """Refuses a search of a model that thinks minimally."""
    if effort == "minimal" and any(is_web_search(tool) for tool in tools or []):
        message = "The following tools cannot be used with reasoning.effort 'minimal': web_search."
        raise ApiError(400, message, param="tools")


def site_of(request: Mapping[str, Any]) -> str | None:
    """The domain that an answer to this request cites; None if it does not search."""
    if request.get("tool_choice") == "none":
        return None
    tools = [tool for tool in request.get("tools") or [] if is_web_search(tool)]
    if not tools:
        return None
    allowed = (tools[0].get("filters") or {}).get("allowed_domains")
    return str(allowed[0]) if allowed else ANYWHERE


def calls(request: Mapping[str, Any], query: str) -> list[Body]:
    """A search, and the page that is opened then where only some domains are searched."""
    site, tools = site_of(request), request.get("tools") or []
    limited = any((tool.get("filters") or {}).get("allowed_domains") for tool in tools if is_web_search(tool))
    if site is None:
        return []
    made = [_call({"type": "search", "query": query, "queries": [query]})]
    return made + ([_call({"type": "open_page", "url": f"https://{site}/"})] if limited else [])


def _call(action: Body) -> Body:
    return {"id": f"ws_{secrets.token_hex(24)}", "type": "web_search_call", "status": "completed", "action": action}


def searches_in(output: list[Body]) -> int:
    """How many searches OpenAI bills for these items."""
    return sum(item["type"] == "web_search_call" and item["action"]["type"] == "search" for item in output)


def source(site: str) -> str:
    """How an answer cites a page of this site."""
    return f" ([{site}](https://{site}/?utm_source=openai))"


def citations(text: str, site: str) -> list[Body]:
    """The citations beside a text that cites this site."""
    start = text.find(source(site)[1:])
    if start < 0:
        return []
    return [
        {
            "type": "url_citation",
            "start_index": start,
            "end_index": start + len(source(site)) - 1,
            "url": f"https://{site}/?utm_source=openai",
            "title": site,
        }
    ]
