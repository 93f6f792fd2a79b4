"""The gateway: routes, events and answers as API Gateway and Lambda make them."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from chalice.app import Chalice, CORSConfig, CustomAuthorizer, Response

from infrastructure.local.lambda_runtime.events import Request, is_binary
from infrastructure.local.lambda_runtime.gateway import Gateway
from infrastructure.local.lambda_runtime.objects import Objects
from infrastructure.local.signature import AccessKey

#: no test here asks for an object
OBJECTS = Objects("http://127.0.0.1:9", AccessKey("", ""), 0, lambda: datetime.now(UTC))


@pytest.fixture
def app() -> Any:
    app = Chalice("small", configure_logs=False)

    @app.route("/tenants/{tenant}")
    def tenant(tenant: str) -> Any:
        return {"tenant": tenant}

    @app.route("/tenants/new")
    def new() -> Any:
        return {"new": True}

    @app.route("/event", methods=["POST"], content_types=["application/json", "image/png", "text/plain"])
    def event() -> Any:
        assert app.current_request is not None
        return app.current_request.to_original_event()

    @app.route("/picture")
    def picture() -> Any:
        return Response(body=b"\x89PNG", headers={"Content-Type": "image/png"})

    @app.route("/broken")
    def broken() -> Any:
        raise RuntimeError("secret detail")

    @app.route("/shared", cors=CORSConfig(allow_origin="https://a.example"))
    def shared() -> Any:
        return {}

    return app


def request(method: str, path: str, *, body: bytes = b"", query: str = "", **headers: str) -> Request:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method, path, query, (("Host", "line.example"), *named), body, "192.0.2.1")


def test_a_fixed_path_wins_over_a_parameter(app: Any) -> None:
    gateway = Gateway(app, OBJECTS)
    assert json.loads(gateway.handle(request("GET", "/api/tenants/new")).body) == {"new": True}
    assert json.loads(gateway.handle(request("GET", "/api/tenants/a%20b")).body) == {"tenant": "a b"}


@pytest.mark.parametrize("path", ["/api/unknown", "/api/tenants", "/tenants/new", "/other/tenants/new"])
def test_what_is_no_route_is_forbidden_as_on_aws(app: Any, path: str) -> None:
    assert Gateway(app, OBJECTS).handle(request("GET", path)).status == 403


def test_each_call_reaches_the_app_that_has_its_route(app: Any) -> None:
    """As on AWS, where some routes of the API lead to a function of their own."""
    other = Chalice("other", configure_logs=False)
    other.route("/tenants/{tenant}/logins")(lambda tenant: {"other": tenant})
    gateway = Gateway([app, other], OBJECTS)
    assert json.loads(gateway.handle(request("GET", "/api/tenants/a/logins")).body) == {"other": "a"}
    assert json.loads(gateway.handle(request("GET", "/api/tenants/a")).body) == {"tenant": "a"}


def test_a_wrong_method_is_no_route_either(app: Any) -> None:
    assert Gateway(app, OBJECTS).handle(request("POST", "/api/picture")).status == 403


def test_a_trailing_slash_is_the_same_route(app: Any) -> None:
    assert Gateway(app, OBJECTS).handle(request("GET", "/api/tenants/new/")).status == 200


def test_a_text_body_stays_text_and_broken_utf8_is_replaced(app: Any) -> None:
    answer = Gateway(app, OBJECTS).handle(
        request("POST", "/api/event", body="ü".encode() + b"\xff", Content_Type="text/plain")
    )
    event = json.loads(answer.body)
    assert (event["body"], event["isBase64Encoded"]) == ("ü\ufffd", False)


def test_a_binary_body_is_base64_whatever_parameters_its_type_has(app: Any) -> None:
    answer = Gateway(app, OBJECTS).handle(
        request("POST", "/api/event", body=b"\x00\xff", Content_Type="image/png; q=1")
    )
    event = json.loads(answer.body)
    assert base64.b64decode(event["body"]) == b"\x00\xff"


def test_an_answer_is_decoded_only_if_the_first_accepted_type_is_binary(app: Any) -> None:
    gateway = Gateway(app, OBJECTS)
    assert gateway.handle(request("GET", "/api/picture", Accept="image/png, */*")).body == b"\x89PNG"
    result = {"statusCode": 200, "headers": {}, "body": "iVBORw==", "isBase64Encoded": True}
    assert gateway._translate(result, "*/*").body == b"iVBORw=="


def test_a_bug_answers_500_without_its_detail(app: Any) -> None:
    answer = Gateway(app, OBJECTS).handle(request("GET", "/api/broken"))
    assert answer.status == 500
    assert b"secret" not in answer.body


def test_a_preflight_is_answered_by_the_gateway(app: Any) -> None:
    answer = Gateway(app, OBJECTS).handle(request("OPTIONS", "/api/shared"))
    assert dict(answer.headers)["Access-Control-Allow-Origin"] == "https://a.example"


def test_a_route_with_an_authorizer_is_refused_at_the_start(app: Any) -> None:
    app.route("/guarded", authorizer=CustomAuthorizer("somebody", authorizer_uri="arn"))(dict)
    with pytest.raises(NotImplementedError, match="GET /guarded has an authorizer"):
        Gateway(app, OBJECTS)


@pytest.mark.parametrize(
    ("content_type", "binary"),
    [("image/png", True), ("IMAGE/PNG; x=1", True), ("text/html, image/png", False), ("", False)],
)
def test_binary_is_what_the_first_media_type_says(content_type: str, binary: bool) -> None:
    assert is_binary(content_type, ["image/png"]) is binary
