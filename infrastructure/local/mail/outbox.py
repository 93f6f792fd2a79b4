"""The outbox page: lists the sent mails and shows the HTML body, the text body and the raw MIME of each."""

import contextlib
import html
import json
import re
import socket
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import waitress

from infrastructure.local.mail import spool
from infrastructure.local.mail.relay import Relay, rejection_code
from infrastructure.local.mail.spool import Mail
from infrastructure.local.signature import Refused, local_hosts
from infrastructure.local.visitors import GUARDING_HEADERS, refuse_other_sites, refuse_strangers
from infrastructure.local.wsgi import StartResponse, request_headers

_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]]")

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5f6b7a;--line:#e1e6ec;--page:#f5f7f9;--card:#fff;--accent:#0b7a5b}
@media(prefers-color-scheme:dark){:root{--ink:#e7ebf0;--soft:#9aa7b5;--line:#2c3642;--page:#12171d;--card:#1a212a;
--accent:#4cc9a0}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:56rem;margin:0 auto;padding:2rem 1rem}h1{font-size:1.4rem;margin:0 0 .25rem}
p{margin:.25rem 0 1rem;color:var(--soft)}a{color:var(--accent)}
ol{list-style:none;margin:1.5rem 0;padding:0;background:var(--card);border:1px solid var(--line);border-radius:12px;
overflow:hidden}li+li{border-top:1px solid var(--line)}li a{display:grid;grid-template-columns:1fr auto;gap:.1rem 1rem;
padding:.9rem 1.1rem;text-decoration:none;color:inherit}li a:hover,li a:focus{background:var(--page)}
li b{font-weight:600}li span{color:var(--soft);font-size:.9rem}
nav{display:flex;gap:.5rem;margin:1rem 0;flex-wrap:wrap}nav a{padding:.35rem .8rem;border:1px solid var(--line);
border-radius:99px;text-decoration:none;background:var(--card)}nav a[aria-current]{background:var(--accent);
color:var(--card);border-color:var(--accent)}
iframe,pre{width:100%;border:1px solid var(--line);border-radius:12px;background:var(--card)}
iframe{height:70vh;background:#fff}pre{padding:1rem;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;margin:0}
dl{display:grid;grid-template-columns:auto 1fr;gap:.1rem 1rem;margin:.5rem 0}dt{color:var(--soft)}dd{margin:0}
.error{color:#b3261e}
"""


class Outbox:
    """The WSGI application of the outbox page; the newest mail is first.

    Args:
        admin_url: where the operator must be signed in; ``None``: the mails are of a simulation.
    """

    def __init__(self, directory: Path, relay: Relay | None, port: int, admin_url: str | None) -> None:
        self._directory = directory
        self._relay = relay
        self._hosts = local_hosts(port)
        self._admin_url = admin_url

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        headers = tuple(request_headers(environ).items())
        try:
            refuse_other_sites(environ["REQUEST_METHOD"], headers, self._hosts)
            if self._admin_url is not None:
                refuse_strangers(headers, self._admin_url)
            status, kind, body = self._route(environ["PATH_INFO"])
        except Refused as refusal:
            status, kind, body = "403 Forbidden", "text/plain; charset=utf-8", str(refusal).encode()
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *GUARDING_HEADERS])
        return [body]

    def _route(self, path: str) -> tuple[str, str, bytes]:
        if path == "/":
            return _page("Outbox", self._list(), refresh=True)
        if path == "/mails.json":
            mails = [_plain(mail) for mail in spool.read(self._directory)]
            return "200 OK", "application/json", json.dumps({"mails": mails}).encode()
        match = re.fullmatch(r"/mails/([A-Za-z0-9-]{1,80})(?:/(html|body|text|raw))?", path)
        mail = spool.find(self._directory, match[1]) if match else None
        if match is None or mail is None:
            return "404 Not Found", "text/plain; charset=utf-8", b"There is no such mail."
        view = match[2] or ("html" if mail.body("html") is not None else "text")
        if view == "body":
            # The page shows it in a sandboxed frame; links open in the top window.
            return "200 OK", "text/html; charset=utf-8", _as_html(mail).encode()
        if view == "raw":
            return "200 OK", "text/plain; charset=utf-8", mail.raw
        return _page(mail.subject, _mail(mail, view))

    def _list(self) -> str:
        mails = spool.read(self._directory)
        entries = "".join(
            f'<li><a href="/mails/{_name(mail)}"><b>{html.escape(mail.subject)}</b><span>{_when(mail)}</span>'
            f"<span>to {html.escape(', '.join(mail.recipients))}{self._state(mail)}</span></a></li>"
            for mail in mails
        )
        destination = "Mails leave through the mail server and stay here too." if self._relay else "Mails stop here."
        error = f'<p class="error">{html.escape(self._relay.last_error)}</p>' if self._relay else ""
        listed = f"<ol>{entries}</ol>" if entries else "<p>No mail was sent yet; this page refreshes by itself.</p>"
        return f"<h1>Outbox</h1><p>{destination}</p>{error}{listed}"

    def _state(self, mail: Mail) -> str:
        if self._relay is None:
            return ""
        if code := rejection_code(self._directory, mail):
            return f" · refused by the mail server ({html.escape(code)})"
        return " · delivered to the mail server" if self._relay.is_finished(mail) else " · waiting"


def serve(directory: Path, relay: Relay | None, port: int, admin_url: str | None = None) -> Any:
    """Serves the page in a thread; returns the server, for :func:`stop`."""
    server: Any = waitress.create_server(
        Outbox(directory, relay, port, admin_url),
        host="127.0.0.1",
        port=port,
        threads=4,
        ident=None,
        asyncore_use_poll=True,
    )
    threading.Thread(target=server.run, name="outbox", daemon=True).start()
    return server


def stop(server: Any) -> None:
    """Stops the server and frees the port at once: `close` alone leaves it open until the polling thread ends."""
    server.handle_close = server.close  # what that thread does when it finds the socket shut down
    server.task_dispatcher.shutdown()  # an answer that is under way ends first
    with contextlib.suppress(OSError):
        server.socket.shutdown(socket.SHUT_RDWR)
    server.close()


def _mail(mail: Mail, view: str) -> str:
    views = [("html", "HTML"), ("text", "Text"), ("raw", "Raw")]
    tabs = "".join(
        f'<a href="/mails/{_name(mail)}/{name}"{" aria-current=page" if name == view else ""}>{label}</a>'
        for name, label in views
    )
    if view == "text":
        body = f"<pre>{_linked(mail.body('plain') or 'This mail has no text.')}</pre>"
    else:
        rights = "allow-top-navigation-by-user-activation allow-popups allow-popups-to-escape-sandbox"
        body = f'<iframe title="The mail" sandbox="{rights}" src="/mails/{_name(mail)}/body"></iframe>'
    return (
        f'<p><a href="/">← Outbox</a></p><h1>{html.escape(mail.subject)}</h1>'
        f"<dl><dt>From</dt><dd>{html.escape(mail.sender or str(mail.message.get('From', '')))}</dd>"
        f"<dt>To</dt><dd>{html.escape(', '.join(mail.recipients))}</dd><dt>Sent</dt><dd>{_when(mail)}</dd></dl>"
        f"<nav>{tabs}</nav>{body}"
    )


def _as_html(mail: Mail) -> str:
    body = mail.body("html")
    if body is None:
        return "<p>This mail has no HTML.</p>"
    return f'<base target="_top">{body}'


def _linked(text: str) -> str:
    parts, end = [], 0
    for match in _LINK.finditer(text):
        address = html.escape(match[0], quote=True)
        parts += [html.escape(text[end : match.start()]), f'<a href="{address}" rel="noreferrer">{address}</a>']
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def _plain(mail: Mail) -> dict[str, Any]:
    return {
        "identifier": mail.identifier,
        "sent_at": mail.sent_at,
        "sender": mail.sender,
        "recipients": list(mail.recipients),
        "subject": mail.subject,
        "text": mail.body("plain"),
        "html": mail.body("html"),
    }


def _page(title: str, body: str, *, refresh: bool = False) -> tuple[str, str, bytes]:
    reload = '<meta http-equiv="refresh" content="3">' if refresh else ""
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"{reload}<title>{html.escape(title)}</title><style>{_STYLE}</style><main>{body}</main></html>"
    )
    return "200 OK", "text/html; charset=utf-8", text.encode()


def _name(mail: Mail) -> str:
    return mail.identifier.partition("@")[0]


def _when(mail: Mail) -> str:
    return datetime.fromtimestamp(mail.sent_at, UTC).astimezone().strftime("%d %b %Y, %H:%M:%S")
