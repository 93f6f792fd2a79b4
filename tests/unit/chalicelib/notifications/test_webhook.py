"""The webhook: called once, at a public address, over TLS, within a time; and what it is sent."""

import datetime
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.aws.sqs import NoticeJob
from chalicelib.errors import PermanentError, TransientError
from chalicelib.model import Problem
from chalicelib.model.notices.digest import DigestLine, OpenMatter
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import NoticeLine, Subject
from chalicelib.notifications import notices, webhook
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from wire import ProblemCode

URL = "https://hooks.example.com/services/secret"


class Place:
    """A place that takes messages with the statuses of the test."""

    def __init__(self, services: Services) -> None:
        self.bodies: list[dict[str, str]] = []
        self.statuses: list[int] = []
        services.webhook_url = lambda: URL  # type: ignore[method-assign]
        services.post_webhook = self.post  # type: ignore[method-assign]

    def post(self, url: str, body: bytes) -> int:
        assert url == URL
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.bodies.append(json.loads(body))
        return status


@pytest.fixture
def bakery(services: Services) -> Services:
    services.tenants.create(a_tenant("bakery0001", name="Bakery"), ASSISTANT, by="us")
    return services


@pytest.fixture
def place(bakery: Services) -> Place:
    return Place(bakery)


def test_news_goes_to_the_webhook_as_to_every_operator_with_client_kind_and_link(
    bakery: Services, clock: Clock, place: Place
) -> None:
    bakery.tenants.set_assistant_problem("bakery0001", Problem(ProblemCode.KEY_REVOKED, clock(), "detail"))
    notices.handle(bakery, NoticeJob(operators=True))
    (body,) = place.bodies
    assert body["text"].startswith("Bakery: OpenAI does not accept this key any more.")
    assert body["text"].endswith(" https://line.example.com/api/admin/tenants/bakery0001")


def test_a_webhook_that_fails_holds_up_no_mail_and_gets_the_news_later(
    bakery: Services, clock: Clock, place: Place
) -> None:
    place.statuses = [500, 429]
    bakery.tenants.set_assistant_problem("bakery0001", Problem(ProblemCode.KEY_REVOKED, clock()))
    notices.handle(bakery, NoticeJob(operators=True))
    assert len(bakery.mailer.sent) == 1  # type: ignore[attr-defined]
    for _ in range(8):
        clock.pass_seconds(60)
        notices.handle(bakery, NoticeJob(operators=True))
    assert len(place.bodies) == len(bakery.mailer.sent) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("status", "error"), [(302, PermanentError), (404, PermanentError), (503, TransientError)])
def test_what_is_no_success_is_an_error_without_the_address(
    bakery: Services, place: Place, status: int, error: type[Exception]
) -> None:
    place.statuses = [status]
    with pytest.raises(error) as failed:
        webhook.send(bakery, URL, "text")
    assert str(status) in str(failed.value) and "secret" not in str(failed.value)


def test_a_webhook_is_tried_at_most_ten_times_in_any_hour(bakery: Services, clock: Clock, place: Place) -> None:
    clock.now = (clock.now // 3_600_000 + 1) * 3_600_000 - 60_000  # an hour of the clock ends in a minute
    place.statuses = [500] * 200
    tries: list[int] = []
    for _ in range(3 * 60):
        left = len(place.statuses)
        with pytest.raises(TransientError):
            webhook.send(bakery, URL, "text")
        tries += [clock()] * (left - len(place.statuses))
        clock.pass_seconds(60)
    assert len(tries) == 3 * webhook.MAX_TRIES_PER_HOUR
    assert all(sum(0 <= other - one < 3_600_000 for other in tries) <= webhook.MAX_TRIES_PER_HOUR for one in tries)


def test_tries_at_once_count_as_well(bakery: Services, clock: Clock, place: Place) -> None:
    place.statuses = [500] * 20
    for tried in range(12):
        with pytest.raises(TransientError):
            webhook.send(bakery, URL, "text")
        assert len(place.statuses) == 20 - min(tried + 1, webhook.MAX_TRIES_PER_HOUR)
    clock.pass_seconds(3600)
    with pytest.raises(TransientError):
        webhook.send(bakery, URL, "text")
    assert len(place.statuses) == 9


@pytest.mark.parametrize(
    ("found", "public"),
    [
        (["93.184.216.34"], True),
        (["2606:2800:220:1:248:1893:25c8:1946"], True),
        (["127.0.0.1"], False),
        (["93.184.216.34", "10.0.0.1"], False),
        (["169.254.169.254"], False),
        (["::1"], False),
        (["::ffff:127.0.0.1"], False),
        (["fd00:ec2::254"], False),
        ([], False),
    ],
)
def test_only_public_addresses_are_called(found: list[str], public: bool) -> None:
    if public:
        assert webhook.public_address(found) == found[0]
    else:
        with pytest.raises(PermanentError):
            webhook.public_address(found)


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/x", "https://localhost/x", "https://127.1/x", "ftp://a.example", ""]
)
def test_an_address_that_is_not_public_https_is_refused_before_anything_is_looked_up(url: str) -> None:
    with pytest.raises(PermanentError):
        webhook.post(url, b"{}", lambda: 0.0)


def test_a_name_of_a_client_cannot_mention_link_or_begin_a_line() -> None:
    line = NoticeLine("<!channel> & \n<https://evil.example|Bakery>", NoticeKind.CONFLICT, Subject.NEWS, 0, "https://a")
    text = webhook.text_of_notices([line])
    assert text.startswith("&lt;!channel&gt; &amp; &lt;https://evil.example|Bakery&gt;: ") and "\n" not in text


def test_many_lines_are_counted() -> None:
    many = [NoticeLine("Bakery", NoticeKind.CONFLICT, Subject.NEWS, 0, "https://a")] * 60
    assert webhook.text_of_notices(many).splitlines()[-1] == "And 35 more; the list has them all."
    digest = webhook.text_of_digest([DigestLine("bakery0001", "Bakery", OpenMatter.PASSKEY, 0)], "https://a/admin")
    assert digest.splitlines()[1].endswith("https://a/admin/tenants/bakery0001")


# -- over a real connection ------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], tuple[str, list[bytes]]]]:
    """A TLS server on this machine, which the checks of addresses let pass; its requests."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    alternative = x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")])
    certificate = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    pem, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(pem, secret)
    trusting = ssl.create_default_context(cafile=str(pem))
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    monkeypatch.setattr(webhook, "public_address", lambda found: "127.0.0.1")
    monkeypatch.setattr(webhook, "look_up", lambda host, port: ["127.0.0.1"])
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []
    threads: list[threading.Thread] = []

    def serve(answer: bytes) -> tuple[str, list[bytes]]:
        def one() -> None:
            plain, _ = listener.accept()
            try:
                with server_context.wrap_socket(plain, server_side=True) as secure:
                    requests.append(secure.recv(65_536))
                    if answer:
                        secure.sendall(answer)
                        secure.recv(1)
            except OSError:
                pass

        threads.append(threading.Thread(target=one, daemon=True))
        threads[-1].start()
        return f"https://hooks.example.com:{listener.getsockname()[1]}/services/secret?x=1", requests

    yield serve
    listener.close()


def test_a_message_is_posted_once_and_a_redirect_is_not_followed(served: Any) -> None:
    url, requests = served(b"HTTP/1.1 302 Found\r\nLocation: https://169.254.169.254/\r\n\r\n")
    assert webhook.post(url, b'{"text": "x"}', lambda: 0.0) == 302
    (request,) = requests
    assert request.startswith(b"POST /services/secret?x=1 HTTP/1.1\r\nHost: hooks.example.com:")
    assert request.endswith(b'\r\n\r\n{"text": "x"}')


@pytest.mark.parametrize("answer", [b"", b"HTT", b"nonsense\r\n"])
def test_a_place_that_does_not_answer_in_time_is_out_of_reach(served: Any, answer: bytes) -> None:
    url, _ = served(answer)
    ticks = iter([0.0] * 5)
    with pytest.raises(TransientError) as failed:
        webhook.post(url, b"{}", lambda: next(ticks, 100.0))
    assert "secret" not in str(failed.value) and failed.value.__cause__ is None


@pytest.mark.parametrize("host", ["a..example.com", f"{'x' * 64}.example.com"])
def test_a_name_that_is_none_is_out_of_reach(host: str) -> None:
    """It is an error of the webhook's, so that the operators' mail goes on."""
    with pytest.raises(TransientError):
        webhook.post(f"https://{host}/secret", b"{}", lambda: 0.0)
