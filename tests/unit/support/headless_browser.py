"""A browser without a screen, in front of the app's Lambda entry: keeps cookies, follows redirects, fills forms in."""

import re
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from infrastructure.local.lambda_runtime.events import STAGE, Request
from infrastructure.local.lambda_runtime.gateway import Gateway

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Page:
    """A response as a person and a script read it."""

    status: int
    headers: dict[str, str]
    set_cookies: tuple[str, ...]
    html: str
    path: str

    @property
    def text(self) -> str:
        """The text that a person reads, in one line."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.html)).split())

    def hidden(self, name: str) -> str:
        """The value of a field that the page's form carries."""
        found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', self.html)
        assert found is not None, f"no hidden field {name}"
        return unescape(found[1])

    def value(self, name: str) -> str:
        """The value of an input or a textarea."""
        found = re.search(rf'<input [^>]*name="{name}"[^>]* value="([^"]*)"', self.html) or re.search(
            rf'<textarea [^>]*name="{name}"[^>]*>\n?([^<]*)</textarea>', self.html
        )
        return unescape(found[1]) if found else ""

    def chosen(self, name: str) -> str:
        """The value of the radio button or the option of a list that is chosen."""
        found = re.search(rf'<input type="radio"[^>]*name="{name}" value="([^"]*)"[^>]* checked>', self.html)
        if found is None:
            options = re.search(rf'<select [^>]*name="{name}"[^>]*>(.*?)</select>', self.html, re.DOTALL)
            found = re.search(r'<option value="([^"]*)" selected>', options[1]) if options else None
        return unescape(found[1]) if found else ""

    def error(self, name: str) -> str:
        """The sentence at a field."""
        found = re.search(rf'<p class="error" id="{name}-error">([^<]*)</p>', self.html)
        return unescape(found[1]) if found else ""


@dataclass
class Browser:
    """A browser with its cookies and its address."""

    gateway: Gateway
    address: str = "203.0.113.7"
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Page:
        return self._ask("GET", path, b"", headers)

    def head(self, path: str, **headers: str) -> Page:
        return self._ask("HEAD", path, b"", headers)

    def post(self, path: str, fields: dict[str, str] | bytes, **headers: str) -> Page:
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        return self._ask("POST", path, body, {"content_type": FORM, "sec_fetch_site": "same-origin"} | headers)

    def follow(self, page: Page) -> Page:
        assert page.status == 303, page.text
        location = page.headers["location"]
        assert location.startswith(f"/{STAGE}/"), location
        return self.get(location.removeprefix(f"/{STAGE}"))

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Page:
        sent = [(name.replace("_", "-"), value) for name, value in {"host": "127.0.0.1", **headers}.items()]
        if self.cookies:
            sent.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        path, _, query = path.partition("?")
        request = Request(method, f"/{STAGE}{path}", query, tuple(sent), body, self.address)
        answer = self.gateway.handle(request)
        set_cookies = tuple(value for name, value in answer.headers if name.lower() == "set-cookie")
        for one in set_cookies:
            for name, morsel in SimpleCookie(one).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        named = {name.lower(): value for name, value in answer.headers}
        return Page(answer.status, named, set_cookies, answer.body.decode(), path)
