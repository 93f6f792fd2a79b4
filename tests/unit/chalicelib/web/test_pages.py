"""Pages, forms, headers, static files, and errors as responses."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from chalice.app import Chalice, Response
from pydantic import BaseModel

from chalicelib import errors
from chalicelib.notifications.invites import join_link
from chalicelib.rendering.static_files import static_file
from chalicelib.web import pages
from chalicelib.web.pages import FORM, Pages
from chalicelib.web.responses import READING, handle_json_errors, json_response
from chalicelib.wiring import Services
from infrastructure.local.lambda_runtime.gateway import Gateway
from tests.unit.support.headless_browser import Browser, Page
from wire import ProblemCode

SECRET = "sk-proj-very-secret"
CHALICELIB = Path(pages.__file__).parents[1]
TEMPLATES = CHALICELIB / "rendering" / "templates"


class Site:
    """An app with one view that a test chooses."""

    def __init__(self) -> None:
        self.base_url = "https://lines.example/api"
        self.app = Chalice("site")
        stand_in = SimpleNamespace(stage="unit", commit="abc1234", base_url=lambda: self.base_url)
        self.services = services = cast(Services, stand_in)
        self.pages = Pages(self.app, services)
        self.act: Callable[[], Response] = lambda: self.pages.html("<p>fine</p>")
        pages.mount(self.app, services)

        def view() -> Response:
            return self.act()

        self.app.route("/page", methods=READING)(self.pages.handle_errors(view))
        self.app.route("/form", methods=["POST"], content_types=[FORM])(self.pages.handle_errors(view))
        self.app.route("/json", methods=READING)(handle_json_errors(self.app, view))
        self.browser = Browser(Gateway(self.app))

    def show(self, act: Callable[[], Response] | Exception, path: str = "/page") -> Page:
        def raising() -> Response:
            assert isinstance(act, Exception)
            raise act

        self.act = raising if isinstance(act, Exception) else act
        return self.browser.get(path)

    def send(self, body: bytes) -> Page:
        def echo() -> Response:
            return json_response(json.dumps(self.pages.form()))

        self.act = echo
        return self.browser.post("/form", body)


@pytest.fixture
def site() -> Site:
    return Site()


# --- headers ------------------------------------------------------------------------------------------------


def test_every_answer_carries_the_security_headers(site: Site) -> None:
    for answer in (
        site.show(lambda: site.pages.html("")),
        site.show(lambda: site.pages.redirect("/admin")),
        site.show(errors.NotFound()),
        site.show(RuntimeError()),
        site.show(errors.NotFound(), "/json"),
        site.show(lambda: json_response("{}"), "/json"),
        site.browser.get("/static/answerline.css"),
    ):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'") and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy and "form-action 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
        if "static" not in answer.path:
            assert answer.headers["cache-control"] == "no-store"


def test_no_template_has_a_script_or_a_style_of_its_own() -> None:
    for template in TEMPLATES.rglob("*.html"):
        if template.parent.name == "console":
            continue  # not served by us: CloudWatch shows it, see test_console.py
        html = template.read_text()
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", html), template


def test_what_people_typed_is_escaped(site: Site) -> None:
    evil = '<script>alert("x")</script>'
    answer = site.show(
        lambda: site.pages.render("error.html", title=evil, sentence=evil, back_link=None, request_id=None)
    )
    assert "<script>alert" not in answer.html and "&lt;script&gt;" in answer.html


def test_every_page_names_its_installation(site: Site) -> None:
    answer = site.show(errors.NotFound())
    assert "Stage unit" in answer.text and "https://lines.example/api" in answer.text and "abc1234" in answer.text


# --- addresses ----------------------------------------------------------------------------------------------


def test_addresses_carry_the_stages_prefix(site: Site) -> None:
    assert site.pages.url_for("/admin") == "/api/admin"
    assert join_link(site.services, "x") == "https://lines.example/api/join/x"
    assert site.show(lambda: site.pages.redirect("/admin")).headers["location"] == "/api/admin"


def test_a_custom_domain_has_no_prefix(site: Site) -> None:
    site.base_url = "https://lines.example"
    assert site.pages.url_for("/admin") == "/admin"


def test_a_static_file_is_kept_for_ever_under_its_hash_and_asked_for_otherwise(site: Site) -> None:
    address = site.pages.static("answerline.css").removeprefix("/api")
    assert "immutable" in site.browser.get(address).headers["cache-control"]
    assert site.browser.get("/static/answerline.css?v=old").headers["cache-control"] == "no-cache"
    assert site.browser.get(address).headers["content-type"] == "text/css; charset=utf-8"


def test_every_class_of_the_style_sheet_is_used() -> None:
    sheet = re.sub(r"/\*.*?\*/", "", static_file("answerline.css").text, flags=re.DOTALL)
    classes = set(re.findall(r"\.([a-z][a-z-]+)", re.sub(r"\{[^{}]*\}", "{}", sheet)))
    users = [path for path in CHALICELIB.rglob("*") if path.suffix in {".html", ".js", ".py"}]
    words = set(re.findall(r"[\w-]+", "\n".join(path.read_text() for path in users)))
    assert "card-head" in classes
    assert not classes - words


@pytest.mark.parametrize("name", ["nothing.css", "..%2Fpages.py", "%2e%2e", "pages.py", "answerline.css%00"])
def test_only_static_files_are_served(site: Site, name: str) -> None:
    answer = site.browser.get(f"/static/{name}")
    assert answer.status == 404 and "import" not in answer.html


# --- forms --------------------------------------------------------------------------------------------------


def test_a_form_is_read_with_its_empty_fields_and_line_breaks(site: Site) -> None:
    answer = site.send(b"name=Caf%C3%A9&empty=&text=a%0D%0Ab&name=last")
    assert json.loads(answer.html) == {"name": "last", "empty": "", "text": "a\r\nb"}
    assert json.loads(site.send(b"").html) == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"a=%ff", 400), (b"&".join([b"a=1"] * 101), 400), (b"a=" + b"x" * 400_000, 413)],
)
def test_a_form_that_is_not_one_is_refused_with_a_page(site: Site, body: bytes, status: int) -> None:
    answer = site.send(body)
    assert answer.status == status and "<h1>" in answer.html


def test_another_content_type_is_refused(site: Site) -> None:
    assert site.browser.post("/form", b"{}", content_type="application/json").status == 415


# --- errors -------------------------------------------------------------------------------------------------

ERRORS = [
    (errors.BadRequest(), 400),
    (errors.Invalid({"name": "Enter a name."}), 422),
    (errors.Unauthorised(), 401),
    (errors.Forbidden(), 403),
    (errors.NotFound(), 404),
    (errors.Conflict(), 409),
    (errors.StaleEpoch(), 409),
    (errors.TooLarge(), 413),
    (errors.TooMany(), 429),
    (errors.TransientError(), 503),
    (errors.ActionRequired(ProblemCode.OUT_OF_CREDIT), 422),
    (errors.PermanentError("refusal"), 422),
]


@pytest.mark.parametrize(("error", "status"), ERRORS)
def test_an_error_has_its_status_and_sentence_for_people_and_programs(
    site: Site, error: errors.AnswerlineError, status: int
) -> None:
    page = site.show(error)
    sentence = pages.NOT_FOUND if isinstance(error, errors.NotFound) else error.message
    assert page.status == status and sentence in page.text
    refusal = site.show(error, "/json")
    assert refusal.status == status
    assert json.loads(refusal.html) == {"code": error.code, "message": error.message}


def test_every_kind_of_not_found_reads_the_same(site: Site) -> None:
    assert site.show(errors.NotFound("no such tenant")).html == site.show(errors.NotFound("revoked")).html


def test_a_transient_error_says_when_to_retry(site: Site) -> None:
    error = errors.TransientError(retry_after_seconds=2.4)
    assert site.show(error).headers["retry-after"] == "2"
    assert site.show(error, "/json").headers["retry-after"] == "2"


@pytest.mark.parametrize("path", ["/page", "/json"])
def test_the_unexpected_is_a_number_for_people_and_a_trace_without_secrets_for_us(
    site: Site, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    def act() -> Response:
        try:
            raise ValueError(f"what is {SECRET}?")
        except ValueError as error:
            described: Any = {"Error": {"Code": "ValidationException", "Message": SECRET}}
            raise ClientError(described, "PutItem") from error

    with caplog.at_level(logging.ERROR):
        answer = site.show(act, path)
    assert answer.status == 500 and SECRET not in answer.html
    logged = vars(caplog.records[0])
    assert SECRET not in str(logged)
    assert logged["request"] in answer.html and logged["error"] == "ClientError"
    assert "PutItem ValidationException" in logged["trace"][0] and "test_pages.py" in logged["trace"][0]
    assert logged["trace"][1].startswith("builtins.ValueError")


def test_an_answer_that_breaks_our_own_contract_is_our_mistake_and_not_the_callers(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    class Answer(BaseModel):
        count: int

    refusal = site.show(lambda: json_response(str(Answer.model_validate({"count": SECRET}))), "/json")
    assert refusal.status == 500 and SECRET not in refusal.html
    logged = str(vars(caplog.records[0]))
    assert "ValidationError" in logged and SECRET not in logged
