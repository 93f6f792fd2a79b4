"""Mails on one machine: stored byte for byte, shown without rights, relayed once."""

import base64
import smtplib
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from chalicelib.notifications.bounces import DETAIL_TYPES, DeliveryStatus, MailEvent, classify
from infrastructure.local.lambda_runtime.events import mail_bounced_event, matches
from infrastructure.local.mail import outbox as outbox_page
from infrastructure.local.mail import spool
from infrastructure.local.mail.outbox import Outbox
from infrastructure.local.mail.relay import Relay, permanent_rejection
from infrastructure.local.mail.spool import Mail

LINK = "https://line.example/api/i/" + "a" * 90 + "?x=1&y=2"


def simple(subject: str = "Grüße") -> dict[str, Any]:
    return {
        "FromEmailAddress": "Answerline <line@a.example>",
        "Destination": {"ToAddresses": ["Owner <owner@b.example>"]},
        "EmailTags": [{"Name": "tenant", "Value": "tenantaaaa"}],
        "Content": {
            "Simple": {
                "Subject": {"Data": subject},
                "Body": {"Text": {"Data": f"öffnen: {LINK}."}, "Html": {"Data": f'<a href="{LINK}">auf</a>'}},
                "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
            }
        },
    }


def spool_mails(directory: Path, *subjects: str) -> None:
    for number, subject in enumerate(subjects):
        spool.write(directory, f"id-{number}@x", simple(subject), now=1_800_000_000 + number)


def outbox(directory: Path, relay: Relay | None = None, admin_url: str | None = None) -> Outbox:
    return Outbox(directory, relay, 4701, admin_url)


def get(outbox: Outbox, path: str, **more: str) -> tuple[str, dict[str, str], str]:
    seen: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": "localhost:4701", **more}
    body = b"".join(outbox(environ, lambda status, headers: seen.extend([status, dict(headers)])))
    return seen[0], seen[1], body.decode()


def test_a_simple_mail_becomes_mime_with_both_bodies_whole(tmp_path: Path) -> None:
    spool_mails(tmp_path, "Grüße")
    (mail,) = spool.read(tmp_path)
    assert (mail.subject, mail.envelope_sender) == ("Grüße", "line@a.example")
    assert LINK in (mail.body("plain") or "")
    assert LINK in (mail.body("html") or "")
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.raw.isascii()


def test_a_raw_mail_is_kept_byte_for_byte_and_its_recipients_are_read_from_it(tmp_path: Path) -> None:
    raw = b"From: a@x.example\r\nTo: B <b@x.example>, c@x.example\r\nSubject: s\r\n\r\nbody\r\n"
    request = {"FromEmailAddress": "", "Content": {"Raw": {"Data": base64.b64encode(raw).decode()}}}
    spool.write(tmp_path, "id@x", request, now=1)
    (mail,) = spool.read(tmp_path)
    assert mail.raw == raw
    assert mail.recipients == ("b@x.example", "c@x.example")
    assert mail.envelope_sender == "a@x.example"


def test_the_newest_mail_is_first_and_found_by_either_name(tmp_path: Path) -> None:
    spool_mails(tmp_path, "one", "two")
    assert [mail.subject for mail in spool.read(tmp_path)] == ["two", "one"]
    for name in ("id-0", "id-0@x"):
        found = spool.find(tmp_path, name)
        assert found is not None
        assert found.subject == "one"


def test_the_list_escapes_what_people_wrote(tmp_path: Path) -> None:
    spool_mails(tmp_path, "<script>alert(1)</script>")
    status, headers, page = get(outbox(tmp_path), "/")
    assert status == "200 OK"
    assert "<script>" not in page
    assert headers["Cache-Control"] == "no-store"


def test_the_html_is_framed_without_scripts_and_links_open_around_it(tmp_path: Path) -> None:
    spool_mails(tmp_path, "x")
    _, _, page = get(outbox(tmp_path), "/mails/id-0")
    assert "allow-scripts" not in page
    assert 'src="/mails/id-0/body"' in page
    assert get(outbox(tmp_path), "/mails/id-0/body")[2].startswith('<base target="_top">')


def test_the_text_view_links_the_whole_address_and_not_the_full_stop(tmp_path: Path) -> None:
    spool_mails(tmp_path, "x")
    _, _, page = get(outbox(tmp_path), "/mails/id-0/text")
    assert f'<a href="{LINK.replace("&", "&amp;")}" ' in page


@pytest.mark.parametrize("path", ["/", "/mails.json", "/mails/id-0", "/mails/id-0/body", "/mails/id-0/raw", "/x"])
def test_no_page_of_the_outbox_is_for_strangers_or_other_sites(tmp_path: Path, path: str) -> None:
    spool_mails(tmp_path, "a secret")
    closed = "http://localhost:1/api/admin"
    for box, more in (
        (outbox(tmp_path), {"HTTP_HOST": "rebind.evil.example:4701"}),
        (outbox(tmp_path), {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_DEST": "iframe"}),
        (outbox(tmp_path, admin_url=closed), {}),
        (outbox(tmp_path, admin_url=closed), {"HTTP_COOKIE": "__Host-operator=guessed"}),
    ):
        status, headers, page = get(box, path, **more)
        assert status == "403 Forbidden"
        assert "secret" not in page
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["/mails/none", "/mails/../x", "/mails/id-0/else", "/x"])
def test_what_is_not_there_is_not_found(tmp_path: Path, path: str) -> None:
    spool_mails(tmp_path, "x")
    assert get(outbox(tmp_path), path)[0] == "404 Not Found"


def test_each_mail_is_relayed_once_oldest_first_and_retried_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "relayed").mkdir()
    spool_mails(tmp_path, "one", "two", "three")
    delivered: list[str] = []
    reported: list[str] = []
    refuse = ["two"]

    def deliver(mail: Mail) -> None:
        if mail.subject in refuse:
            raise smtplib.SMTPServerDisconnected("gone")
        delivered.append(mail.subject)

    relay = Relay(tmp_path, deliver, reported.append)
    relay.deliver_new()
    relay.deliver_new()
    assert (delivered, relay.last_error, len(reported)) == (["one"], "gone", 1)
    refuse.clear()
    relay.deliver_new()
    assert (delivered, relay.last_error) == (["one", "two", "three"], "")
    again = Relay(tmp_path, deliver, reported.append)
    again.deliver_new()
    assert delivered == ["one", "two", "three"]


def test_a_permanent_rejection_is_reported_once_and_delays_no_other_mail(tmp_path: Path) -> None:
    (tmp_path / "relayed").mkdir()
    spool_mails(tmp_path, "unknown", "known")
    reported: list[tuple[str, str, int]] = []
    delivered: list[str] = []
    away = [True]

    def deliver(mail: Mail) -> None:
        if mail.subject == "unknown":
            raise smtplib.SMTPRecipientsRefused({"owner@b.example": (550, b"5.1.1 user unknown")})
        delivered.append(mail.subject)

    def bounced(mail: Mail, code: int) -> None:
        if away[0]:
            raise OSError("no listener")
        reported.append((mail.identifier, mail.tags["tenant"], code))

    relay = Relay(tmp_path, deliver, lambda text: None, bounced)
    relay.deliver_new()
    assert (reported, delivered, "no listener" in relay.last_error) == ([], [], True)
    away[0] = False
    for _ in range(2):
        relay.deliver_new()
    assert (reported, delivered, relay.last_error) == ([("id-0@x", "tenantaaaa", 550)], ["known"], "")
    page = get(outbox(tmp_path, relay), "/")[2]
    assert "refused by the mail server (550)" in page and "delivered to the mail server" in page


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (smtplib.SMTPRecipientsRefused({"a@x.example": (550, b"no such user")}), 550),
        (smtplib.SMTPRecipientsRefused({"a@x.example": (550, b"5.7.1 relaying denied")}), 0),
        (smtplib.SMTPRecipientsRefused({"a@x.example": (450, b"4.2.0 greylisted")}), 0),
        (smtplib.SMTPRecipientsRefused({"a@x.example": (550, b"no"), "b@x.example": (450, b"later")}), 0),
        (smtplib.SMTPDataError(552, b"5.3.4 too large"), 552),
        (smtplib.SMTPDataError(554, b"5.7.1 looks like spam"), 0),
        (smtplib.SMTPSenderRefused(550, b"5.1.8 no such domain", "line@a.example"), 0),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 wrong password"), 0),
        (smtplib.SMTPServerDisconnected("gone"), 0),
        (OSError("no route"), 0),
    ],
)
def test_only_a_rejection_of_this_very_mail_is_permanent(error: Exception, code: int) -> None:
    assert permanent_rejection(error) == code


def test_a_refused_mail_is_the_event_that_ses_would_send(tmp_path: Path) -> None:
    event = mail_bounced_event(
        "id@x", ["owner@b.example"], {"tenant": "tenantaaaa", "kind": "invite"}, 550, 1_800_000_000
    )
    received = MailEvent.model_validate(event)
    delivery = classify(received.detail)
    assert matches(event, {"source": ["aws.ses"], "detail-type": list(DETAIL_TYPES)})
    assert (received.detail.mail.tag("tenant"), received.detail.mail.tag("kind")) == ("tenantaaaa", "invite")
    assert received.detail.addresses == {"owner@b.example"}
    assert delivery.status is DeliveryStatus.REFUSED and "(5.0.0)" in delivery.sentence


def test_mails_from_before_there_was_a_mail_server_stay_where_they_are(tmp_path: Path) -> None:
    spool_mails(tmp_path, "old")
    delivered: list[str] = []
    relay = Relay(tmp_path, lambda mail: delivered.append(mail.subject))
    relay.start()
    relay.deliver_new()
    relay.stop()
    assert delivered == []


def test_the_page_stops_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = set(threading.enumerate())
    server = outbox_page.serve(tmp_path, None, port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert answer.status == 200
    outbox_page.stop(server)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert caplog.messages == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
