"""An operator at a browser in front of the real admin, with fakes of OpenAI, SES and Cognito."""

from chalice.app import Chalice

from chalicelib.aws.cognito import Code, NewPassword, Outcome, Refused, SetUp, SignedIn
from chalicelib.llm.client import AssistantCheck
from chalicelib.model import Assistant, EventKind, Tenant
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import Subject
from chalicelib.web import admin, pages
from chalicelib.wiring import Services
from infrastructure.local.lambda_runtime.gateway import Gateway
from tests.unit.support.headless_browser import Browser, Page

OLGA = "olga@agency.example"
KEY = "sk-proj-abcdefghijklmnop1234"
FIELDS = {
    "name": "Hotel Alpenblick",
    "owner_email": "owner@example.com",
    "language": "de",
    "api_key": KEY,
    "model": "gpt-6-luna",
    "instructions": "You answer for the hotel.",
    "legacy_reference": "",
    "audience": "everyone",
}
POLICIES = {
    "takeover_minutes": "60",
    "replies_per_minute": "6",
    "replies_per_contact_per_day": "60",
    "tokens_per_month": "5000000",
    "history_messages": "20",
    "retention_days": "30",
}


class FakeLlmClient:
    """Answers each check of a key and an assistant as the test wants."""

    def __init__(self) -> None:
        self.result = AssistantCheck("The key works, and gpt-6-luna answers.")
        self.checked: list[tuple[str, Assistant]] = []
        self.ends_on: str | None = ""

    def check(self, api_key: str, assistant: Assistant, *, as_reply: bool = False) -> AssistantCheck:
        self.checked.append((api_key, assistant))
        return self.result

    def shutdown_date(self, api_key: str, assistant: Assistant) -> str | None:
        return self.ends_on

    def list_models(self, api_key: str, assistant: Assistant) -> None:
        return None


class FakeMailer:
    """Keeps the mails, or fails as the test wants."""

    def __init__(self) -> None:
        self.sent: list[tuple[Tenant, str]] = []
        #: operator, link, and the name of each test mail
        self.trials: list[tuple[str, str, str]] = []
        #: news that the owner was mailed, each with its link
        self.told: list[tuple[NoticeKind, Subject, str]] = []
        self.error: Exception | None = None

    def invite(self, tenant: Tenant, link: str) -> str:
        if self.error is not None:
            raise self.error
        self.sent.append((tenant, link))
        return "message-1"

    def notify_owner(self, tenant: Tenant, kind: NoticeKind, subject: Subject, since: int, link: str) -> str:
        if self.error is not None:
            raise self.error
        self.told.append((kind, subject, link))
        return "message-3"

    def trial(self, operator: str, link: str, token_sha256: str) -> str:
        if self.error is not None:
            raise self.error
        self.trials.append((operator, link, token_sha256))
        return "message-2"


class FakeIdentity:
    """Cognito with a single operator; further steps as the test wants."""

    def __init__(self) -> None:
        #: None: the operator was removed or disabled; an error: Cognito does not answer
        self.subject: str | Exception | None = "sub-1"
        self.asked: list[str] = []
        self.first: Outcome = SignedIn(OLGA)
        self.later: list[Outcome] = []
        self.answers: list[str] = []

    def sign_in(self, email: str, password: str) -> Outcome:
        return self.first if password == "right" else Refused("This e-mail and password do not belong together.")

    def find_subject(self, email: str) -> str | None:
        self.asked.append(email)
        if isinstance(self.subject, Exception):
            raise self.subject
        return self.subject

    def new_password(self, step: NewPassword, email: str, password: str) -> Outcome:
        return self._answer(password)

    def code(self, step: Code, email: str, code: str) -> Outcome:
        return self._answer(code)

    def set_up(self, step: SetUp, email: str, code: str) -> Outcome:
        return self._answer(code)

    def _answer(self, answer: str) -> Outcome:
        self.answers.append(answer)
        return self.later.pop(0)


class Admin:
    """An operator at a browser, and the fakes behind the admin."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.llm, self.mailer, self.identity = FakeLlmClient(), FakeMailer(), FakeIdentity()
        services.__dict__.update(llm=self.llm, mailer=self.mailer, identity=self.identity)
        services.base_url = lambda: "https://lines.example/api"  # type: ignore[method-assign]
        app = Chalice("admin")
        pages.mount(app, services)
        admin.mount(app, services)
        self.gateway = Gateway(app)
        self.browser = Browser(self.gateway)

    def sign_in(self, password: str = "right", email: str = OLGA) -> Page:
        form = self.browser.get("/admin/sign-in")
        fields = {"csrf": form.hidden("csrf"), "email": email, "password": password}
        return self.browser.post("/admin/sign-in", fields)

    def go_on(self, **fields: str) -> Page:
        form = self.browser.get("/admin/sign-in")
        return self.browser.post("/admin/sign-in/next", {"csrf": form.hidden("csrf"), **fields})

    def signed_in(self) -> "Admin":
        assert self.sign_in().status == 303
        return self

    def fill_in(self, **changes: str) -> dict[str, str]:
        form = self.browser.get("/admin/new")
        return {"csrf": form.hidden("csrf"), "form_id": form.hidden("form_id"), **FIELDS, **changes}

    def create(self, **changes: str) -> str:
        answer = self.browser.post("/admin/new", self.fill_in(**changes))
        assert answer.status == 303, answer.text
        return answer.headers["location"].rpartition("/")[2].partition("?")[0]

    def press(self, tenant: str, what: str, **fields: str) -> Page:
        csrf = self.browser.get(f"/admin/tenants/{tenant}").hidden("csrf")
        return self.browser.follow(self.browser.post(f"/admin/tenants/{tenant}/{what}", {"csrf": csrf, **fields}))

    def edit(self, tenant: str, **changes: str) -> Page:
        form = self.browser.get(f"/admin/tenants/{tenant}/edit")
        kept = {**FIELDS, **POLICIES, "groups": "never", "wordless_notice": "yes", "api_key": ""}
        hidden = {name: form.hidden(name) for name in ("csrf", "revision")}
        return self.browser.post(f"/admin/tenants/{tenant}/edit", {**kept, **hidden, **changes})

    def happened(self, tenant: str) -> list[EventKind]:
        return [event.kind for event in self.services.timeline.latest(tenant)]
