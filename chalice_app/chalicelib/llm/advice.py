"""The sentences for a person who must fix something: each names a cause, and a step that this person can take."""

import re
from typing import Final

from chalicelib.llm.verdict import Verdict
from chalicelib.model.openai_servers import OPENAI_HOST, REGION_LABELS, Server
from wire import ProblemCode

#: Codes about credit and limits, and how our sentence continues.
MONEY: Final = {
    "insufficient_quota": "has no credit left",
    "credit_balance_exhausted": "has used up its prepaid credit",
    "organization_spend_limit_exceeded": "has reached its organisation's spend limit",
    "project_spend_limit_exceeded": "has reached its project's spend limit",
    "organization_usage_limit_exceeded": "has reached OpenAI's usage limit for its organisation",
    "billing_not_active": "has no active billing",
    "billing_hard_limit_reached": "has reached its billing limit",
    "budget_exceeded": "has used up its budget",
}
SCOPES: Final = re.compile(r"Missing scopes: ((?:[a-z_]+(?:\.[a-z_]+)+(?:, )?)+)")
REGION_HOST: Final = re.compile(r"\b(?:([a-z]{2})\.)?" + re.escape(OPENAI_HOST), re.I)
#: The parameters that a form sets: the others are the same in each request, and only another model may take them.
SETTINGS: Final = re.compile(r"(instructions|max_output_tokens|model|reasoning|temperature|text|tools?)\b")
#: The pages of OpenAI's site that a sentence leads to.
KEYS_PAGE: Final = "platform.openai.com/api-keys"
GENERAL_PAGE: Final = "platform.openai.com/settings/organization/general"


def on_money(server: Server, code: str) -> str:
    """Returns what to do without credit."""
    why = MONEY.get(code) or MONEY["insufficient_quota"]
    return f"The {server.label} account of this key {why}: add credit or raise the limit in its billing settings."


def on_end(message: str) -> str:
    """Returns what to do where the account, the project or the membership behind a key is gone."""
    said = message.lower()
    if "archived" in said:
        return f"The project of this key is archived at OpenAI: make one in another project ({KEYS_PAGE})."
    if "member of an organization" in said:
        return "Who made this key belongs to no organisation at OpenAI any more: enter a key of somebody who does."
    return (
        "OpenAI closed the account of this key, so a new key of it would not work either: its owner settles that with "
        "OpenAI (help.openai.com), or enter a key of another account."
    )


def on_region(message: str) -> str:
    """Returns which region to choose, as far as OpenAI names it."""
    if "geography restrictions" in message:  # of a project without them, called at a region's own host
        return f"The project of this key belongs to no region: choose {_label('global')} under Region."
    named = REGION_HOST.search(message)
    why = "The project of this key answers only in another region of OpenAI"
    if named is None:
        return (
            f"{why}: choose under Region the one in which it keeps its data (the project's settings at OpenAI say it)."
        )
    region = (named[1] or "global").lower()
    if region in REGION_LABELS:
        return f"{why} ({named[0].lower()}): choose {_label(region)} under Region. A new key would not help."
    address = f"https://{region}.{OPENAI_HOST}/v1"
    return f"{why} ({region}): add {address} to OPENAI_SERVERS of this installation, and choose it under Region."


def _label(region: str) -> str:
    return REGION_LABELS[region].partition(" (")[0]


def on_verification(model: str) -> str:
    """Returns what to do before OpenAI opens a model to an organisation."""
    return (
        f"OpenAI opens the model {model} only to verified organisations: verify the organisation at {GENERAL_PAGE} "
        "(it counts within 15 minutes), or choose another model."
    )


def on_model(server: Server, model: str) -> str:
    """Returns what to do about a model that is unknown, retired or closed to this key."""
    return (
        f"{server.label} does not know the model {model}, or this key may not use it: choose another model, or allow "
        "this one in the limits of the key's project."
    )


def on_size(limit: str) -> str:
    """Returns what to do about a request that is larger than the account's limit of a minute."""
    most = f" of {limit}" if limit else ""
    return (
        f"One request needs more tokens than the limit{most} of this account at OpenAI for a minute: shorten the "
        "instructions, remember fewer messages, or raise the account's usage tier "
        "(platform.openai.com/settings/organization/limits)."
    )


def on_setting(verdict: Verdict) -> str:
    """Returns which part of our request is refused, by the best name that OpenAI gives for it."""
    assistant, label = verdict.assistant, verdict.server.label
    for store in assistant.vector_store_ids:
        if store in verdict.message:
            return f"{label} does not find the vector store {store}: take it out, or use the key it belongs to."
    if verdict.parameter == "service_tier":
        return (
            "The project of this key allows no service tier that its requests get: allow the default one in the "
            "project's settings at OpenAI (it refuses the setting service_tier)."
        )
    if verdict.parameter:
        change = "change it, leave it out, or" if SETTINGS.match(verdict.parameter) else "no form has it, so"
        return (
            f"{label} refuses the setting {verdict.parameter} with the model {assistant.model}: {change} choose "
            "another model."
        )
    if verdict.status == 404:
        return f"{label} does not find what this assistant refers to: check its model, vector stores and region."
    named = verdict.code or verdict.type
    return (
        f"{label} refuses the request{f' ({named})' if named else ''}: check the assistant's model and settings, and "
        f"its key's project at {label}."
    )


def on_denial(verdict: Verdict) -> tuple[ProblemCode, str]:
    """Returns the problem of a key that may not do this, and what to do."""
    label = verdict.server.label
    scopes = SCOPES.search(verdict.message)
    if scopes or verdict.code == "missing_scope":
        missing = scopes[1].rstrip(", ") if scopes else "Responses: write"
        return ProblemCode.KEY_FORBIDDEN, f"The key may not do enough: give it the permission {missing} at OpenAI."
    if verdict.code == "ip_not_authorized":
        sentence = (
            "OpenAI takes this key only from listed addresses: add this server's address to the organisation's list at "
            "OpenAI, or take the list off (functions on AWS have no fixed address)."
        )
        return ProblemCode.KEY_FORBIDDEN, sentence
    if verdict.code == "unsupported_country_region_territory":
        sentence = (
            "OpenAI does not serve the country that this server is in: run it in one that is on OpenAI's list of "
            "supported countries (on AWS: another AWS_REGION)."
        )
        return ProblemCode.KEY_FORBIDDEN, sentence
    if verdict.status == 403:
        sentence = f"The key is not allowed to do this: check its permissions and its project's limits at {label}."
        return ProblemCode.KEY_FORBIDDEN, sentence
    where = "there" if verdict.server.compatible else f"at {KEYS_PAGE}"
    return ProblemCode.KEY_REVOKED, f"{label} does not accept this key: make a new one {where} and enter it here."


def on_passing(server: Server, status: int) -> str:
    """Returns the sentence of an error that passes by itself."""
    what = f"{server.label} has too much to do for this key" if status == 429 else f"{server.label} is in trouble"
    return f"{what}: try again in a minute."


def without_verdict(server: Server, status: int) -> str:
    """Returns the sentence of an answer that the server itself did not write."""
    if status == 429 or status >= 500:
        return on_passing(server, status)
    return (
        f"Something between here and {server.host} answered instead of it: try again in a minute. If it lasts, check "
        "this server's proxy and network."
    )


def without_connection(server: Server) -> str:
    """Returns the sentence of a server that could not be reached."""
    return f"{server.label} could not be reached: check this server's network, or try again in a minute."


def on_timeout(server: Server) -> str:
    """Returns the sentence of one call without an answer in time."""
    return f"{server.label} did not answer in time: try again in a minute."


#: What to do about a model that never answers in time.
TAKES_TOO_LONG: Final = (
    "The model takes too long: it gave no answer in time, three times for one message. Choose less effort under How "
    "much it thinks, or a faster model; saving the assistant tries the waiting messages again."
)
#: What to do about an assistant whose server is gone from the operator's list.
UNLISTED_SERVER: Final = (
    "The server of this assistant is not in OPENAI_SERVERS of this installation any more: choose another one under "
    "Region, or list it again."
)
#: What to do about an assistant whose stored record has an unknown form.
ASSISTANT_UNREADABLE: Final = (
    "The stored assistant cannot be read, perhaps because a later release wrote it: deploy that release again, or ask "
    "who runs this installation (the log says record_unreadable)."
)
#: What to do about a key that was stored under another key of KMS, or damaged.
KEY_UNREADABLE: Final = (
    "The stored key cannot be decrypted here: it was restored from another installation, or damaged. Enter the key "
    "again."
)
