"""The simulator's page for people: which key plays which fault, and what each model allows."""

from collections.abc import Sequence
from html import escape

from tests.simulators.openai.faults import ANY_FAULT, FAULTS, SPECIAL_KEYS
from tests.simulators.openai.models import MODELS, Endpoint, Sampling

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;"
    "background:light-dark(#fff,#12171d);color:light-dark(#222,#e7ebf0)}a{color:light-dark(#0b6ea8,#53bdeb)}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0;"
    "border-bottom:1px solid light-dark(#ddd,#2c3642)}code{white-space:nowrap}"
    "@media(max-width:40rem){code{white-space:normal;overflow-wrap:anywhere}td:first-child{min-width:9rem}}"
)
_SAMPLING = {
    Sampling.ALWAYS: "always",
    Sampling.WITHOUT_REASONING: "with effort none",
    Sampling.NEVER: "never",
}


def key_of(fault: str) -> str:
    """How a key begins that plays the fault."""
    short = next((word for word, (name, _) in SPECIAL_KEYS.items() if name == fault), None)
    return f"sk-{short or ANY_FAULT + fault.replace('_', '-')}…"


def render() -> str:
    """The page as HTML."""
    faults = [(key_of(name), fault.happens) for name, fault in FAULTS.items()]
    answering = [model for model in MODELS.values() if model.endpoint is Endpoint.RESPONSES]
    models = [
        (
            model.name,
            ", ".join(f"{effort} (default)" if effort == model.default_effort else effort for effort in model.efforts)
            or "none to choose",
            _SAMPLING[model.sampling],
            model.shutdown_date or "",
        )
        for model in answering
    ]
    return (
        "<!DOCTYPE html><html lang=en><meta name=viewport content='width=device-width'>"
        f"<title>Simulated OpenAI</title><style>{_STYLE}</style>"
        "<h1>Simulated OpenAI</h1>"
        "<p>Any key that begins with <code>sk-</code> and 8 letters or digits more works and answers as its own "
        "assistant. A key that begins as in the first table always plays that fault; the words also work after "
        "<code>sk-proj-</code>, and any letters may follow. Enter it in a tenant's form, or change it later under "
        "<em>Edit</em>. Faults for single calls are scripted over HTTP: <a href=/control>/control</a> explains how.</p>"
        f"<h2>Keys</h2>{_table(('a key that begins with', 'plays'), faults)}"
        f"<h2>Models</h2>{_table(('model', 'reasoning effort', 'temperature', 'ends'), models)}"
        "<p>A setting that a model does not allow is refused with OpenAI's own words.</p></html>"
    )


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(title)}" for title in titles)
    body = "".join(
        f"<tr><td><code>{escape(first)}</code>" + "".join(f"<td>{escape(cell)}" for cell in rest)
        for first, *rest in rows
    )
    return f"<table><tr>{head}{body}</table>"
