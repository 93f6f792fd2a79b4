"""An assistant's settings in people's words: each by its name, as the form calls it, and its value."""

from chalicelib.model import Assistant
from chalicelib.model.assistant import DEFAULT_WEB_SEARCHES_PER_MONTH, AnswerLength, effort_of
from chalicelib.model.openai_servers import GLOBAL, Server, server_labels
from chalicelib.web.admin.assistant.fields import AUTOMATIC, EFFORT_LABELS, LENGTH_LABELS, VERBOSITY_LABELS


def describe_assistant(assistant: Assistant) -> dict[str, str]:
    """Returns the settings but the instructions, by their names; those that are at their default only where it matters.

    Two assistants differ in their settings if and only if this differs, or their instructions.
    """
    named = {
        "Model": assistant.model,
        "How much it thinks": describe_effort(assistant),
        "Region": server_labels((assistant.server or GLOBAL,))[assistant.server or GLOBAL],
        "How long its answers are": _describe_length(assistant.answer_length),
        "Languages": ", ".join(assistant.languages) or "the contact’s",
        "Web search": _describe_search(assistant),
        "Longest answer": f"{assistant.max_output_tokens:,} tokens" if assistant.max_output_tokens else "no limit",
        "Verbosity": VERBOSITY_LABELS.get(assistant.verbosity, assistant.verbosity) if assistant.verbosity else "",
        "Temperature": "" if assistant.temperature is None else f"{assistant.temperature:g}",
        "Vector stores": ", ".join(assistant.vector_store_ids),
        "Formerly": assistant.legacy_reference or "",
    }
    return {name: value for name, value in named.items() if value}


def describe_effort(assistant: Assistant) -> str:
    """Returns how much an assistant thinks."""
    chosen = EFFORT_LABELS.get(assistant.reasoning_effort or AUTOMATIC, assistant.reasoning_effort or "")
    server = assistant.server or GLOBAL
    sent = effort_of(assistant, compatible=Server(server, server).compatible)
    return f"{chosen}: {sent}" if sent and not assistant.reasoning_effort else chosen


def _describe_length(length: AnswerLength) -> str:
    return LENGTH_LABELS[length].partition(":")[0] if length in LENGTH_LABELS else "as a later release says"


def _describe_search(assistant: Assistant) -> str:
    where = ", ".join(assistant.web_domains) or "the whole web"
    limit = assistant.web_searches_per_month
    described = f"{where}; {f'at most {limit:,} a month' if limit else 'no limit'}"
    if assistant.web_search:
        return described
    unset = not assistant.web_domains and limit == DEFAULT_WEB_SEARCHES_PER_MONTH
    return "no" if unset else f"no (kept for later: {described})"
