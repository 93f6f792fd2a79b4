import html
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.aws.ses import Mailer
from chalicelib.errors import ActionRequired, PermanentError, TransientError
from chalicelib.model import Tenant
from chalicelib.model.notices.digest import DigestLine, OpenMatter
from chalicelib.model.notices.kinds import EVENTS, NoticeKind, Recipient, kind_of, recipients_of, reminders_of
from chalicelib.model.notices.notice import NoticeLine, Subject
from chalicelib.rendering.languages import LANGUAGES, format_instant, translator
from chalicelib.rendering.notice_sentences import notice_name, notice_sentence
from chalicelib.rendering.subjects import MAX_SUBJECT_LENGTH, subject_of
from tests.unit.conftest import SESSION, a_tenant
from wire import Phase, ProblemCode

LINK = "https://lines.agency.example/api/join/" + "Zk3_-" * 8 + "abc"
SENDER = "Answerline <mail@agency.example>"
SINCE = 1_790_000_000_000
#: The title of each mail to an owner, and the words of its button.
WORDS = {
    "invite": ("mail.invite.title", "mail.invite.button"),
    "logged_out": ("phase.logged_out.title", "phase.logged_out.action"),
    "problem": ("phase.blocked.title", "mail.button"),
    "silent": ("mail.silent.title", "mail.button"),
    "all_clear": ("mail.over.blocked", "mail.button"),
    "page_taken_over": ("mail.page_taken_over.title", "mail.button"),
    "number_linked": ("mail.number_linked.title", "mail.button"),
}
EVERY_MAIL = pytest.mark.parametrize("kind", WORDS)

BAKERY = a_tenant("bakery0001", name="Bäckerei Müller & Söhne", owner_email="inge@bakery.example", language="de")


class Post:
    """Stands for SES: keeps what was sent, or refuses it."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self._refusal = refusal

    def send_email(self, **request: Any) -> dict[str, str]:
        if self._refusal is not None:
            raise self._refusal
        self.sent.append(request)
        return {"MessageId": f"message-{len(self.sent)}"}

    @property
    def mail(self) -> EmailMessage:
        return parsed(self.sent[-1]["Content"]["Raw"]["Data"])


def parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=SMTP)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content.replace("\r\n", "\n")


class Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def links(message: EmailMessage) -> tuple[set[str], set[str]]:
    """Returns the links of the text and of the HTML."""
    return set(re.findall(r"https?://\S+", body(message, "plain"))), set(Links(body(message, "html")).found)


def mailer(post: Post, **settings: Any) -> Mailer:
    return Mailer(post, sender=SENDER, **settings)  # type: ignore[arg-type]


def send(kind: str, to: Mailer, tenant: Tenant = BAKERY, link: str = LINK) -> str:
    sending: dict[str, Callable[[], str]] = {
        "invite": lambda: to.invite(tenant, link),
        "logged_out": lambda: to.notify_owner(tenant, NoticeKind.DISCONNECTED, Subject.NEWS, SINCE, link),
        "problem": lambda: to.notify_owner(tenant, NoticeKind.BLOCKED, Subject.NEWS, SINCE, link),
        "silent": lambda: to.notify_owner(tenant, NoticeKind.OUT_OF_CREDIT, Subject.NEWS, SINCE, link),
        "page_taken_over": lambda: to.notify_owner(tenant, NoticeKind.PAGE_TAKEN_OVER, Subject.NEWS, SINCE, link),
        "number_linked": lambda: to.number_linked(tenant, "491701234567", link),
        "all_clear": lambda: to.notify_owner(tenant, NoticeKind.BLOCKED, Subject.ALL_CLEAR, SINCE, link),
    }
    return sending[kind]()


@EVERY_MAIL
@pytest.mark.parametrize("language", LANGUAGES)
def test_both_parts_of_a_mail_carry_the_very_same_link(kind: str, language: str) -> None:
    post = Post()
    assert send(kind, mailer(post), replace(BAKERY, language=language)) == "message-1"
    text, html = links(post.mail)
    assert text == html == {LINK}


@EVERY_MAIL
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_speaks_the_owners_language(kind: str, language: str) -> None:
    post = Post()
    send(kind, mailer(post), replace(BAKERY, language=language))
    translate = translator(language)
    title, button = map(translate, WORDS[kind])
    assert post.mail["Subject"].startswith(title)
    assert post.mail["Content-Language"] == language
    values = {"digits": "4567", "sender": "Answerline", "when": format_instant(SINCE, language, "")}
    assert translate(f"mail.{kind}.why", name=BAKERY.name, **values) in body(post.mail, "plain")
    assert button in body(post.mail, "html")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_invite_asks_the_owner_to_switch_automatic_messages_off(language: str) -> None:
    post = Post()
    send("invite", mailer(post), replace(BAKERY, language=language))
    sentence = translator(language)("mail.invite.automatic")
    assert sentence in body(post.mail, "plain") and sentence.partition("’")[0] in body(post.mail, "html")


def test_the_raw_mail_is_what_mail_servers_like() -> None:
    post = Post()
    mailer(post).invite(BAKERY, LINK)
    raw: bytes = post.sent[0]["Content"]["Raw"]["Data"]
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    mail = parsed(raw)
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert (mail["From"], mail["To"]) == (SENDER, "inge@bakery.example")
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_mail_carries_its_kind_and_the_configuration_set() -> None:
    post = Post()
    mailer(post, configuration_set="bounces").invite(BAKERY, LINK)
    mailer(post).invite(BAKERY, LINK)
    first, second = post.sent
    assert first["EmailTags"] == [{"Name": "kind", "Value": "invite"}, {"Name": "tenant", "Value": BAKERY.id}]
    assert first["Destination"] == {"ToAddresses": ["inge@bakery.example"]}
    assert first["ConfigurationSetName"] == "bounces"
    assert "ConfigurationSetName" not in second


def test_a_test_mail_carries_its_link_and_its_own_name_in_both_parts() -> None:
    post = Post()
    mailer(post).trial("olga@agency.example", LINK, "f" * 64)
    assert post.sent[0]["Destination"] == {"ToAddresses": ["olga@agency.example"]}
    assert post.sent[0]["EmailTags"] == [{"Name": "kind", "Value": "trial"}, {"Name": "tenant", "Value": "f" * 64}]
    text, html = links(post.mail)
    assert text == html == {LINK}
    assert post.mail["Subject"] == "Your test mail arrived"


def test_a_sender_beyond_ascii_stays_readable_for_ses_and_people() -> None:
    post = Post()
    Mailer(post, sender="Agentur Schön <mail@agency.example>").invite(BAKERY, LINK)  # type: ignore[arg-type]
    assert post.sent[0]["FromEmailAddress"].isascii()
    assert post.mail["From"] == "Agentur Schön <mail@agency.example>"


@pytest.mark.parametrize(
    "name",
    [
        "The Agency for Lines That Answer " * 4,
        "Agentur für schöne Websites und noch schönere Gespräche mit Gästen aus Überlingen",
        "x" * 120,
    ],
)
def test_a_long_senders_name_stays_on_one_line(name: str) -> None:
    post = Post()
    Mailer(post, sender=f"{name.strip()} <mail@agency.example>").invite(BAKERY, LINK)  # type: ignore[arg-type]
    sender = post.sent[0]["FromEmailAddress"]
    assert sender.isprintable() and sender.isascii()
    read = parsed(f"From: {sender}\r\n\r\n".encode())["From"].addresses[0]
    assert (read.display_name, read.addr_spec) == (name.strip(), "mail@agency.example")


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("Smith, Jones & Co <line@example.com>", "Smith, Jones & Co", "line@example.com"),
        ('"Smith, Jones" <line@example.com>', "Smith, Jones", "line@example.com"),
        (r'"The \"best\" one" <line@example.com>', 'The "best" one', "line@example.com"),
        ("Agentur: Nord <line@example.com>", "Agentur: Nord", "line@example.com"),
        ("[Line] of @home; (test) <line@example.com>", "[Line] of @home; (test)", "line@example.com"),
        ("Über & Söhne, שלום <line@example.com>", "Über & Söhne, שלום", "line@example.com"),
        ("Line <line@münchen.example.com>", "Line", "line@xn--mnchen-3ya.example.com"),
        ("line@example.com", "Answerline", "line@example.com"),
        ("<line@example.com>", "Answerline", "line@example.com"),
    ],
)
def test_any_name_may_stand_before_the_senders_address(sender: str, name: str, address: str) -> None:
    post = Post()
    Mailer(post, sender=sender).invite(BAKERY, LINK)  # type: ignore[arg-type]
    envelope = parsed(f"From: {post.sent[0]['FromEmailAddress']}\r\n\r\n".encode())["From"]
    for header in (envelope, post.mail["From"]):
        assert [(each.display_name, each.addr_spec) for each in header.addresses] == [(name, address)]


def test_a_name_is_text_and_never_markup() -> None:
    post = Post()
    mailer(post).invite(replace(BAKERY, name='<img src="https://evil.example/x">{{ 7 * 7 }}'), LINK)
    assert "<img" not in body(post.mail, "html")
    assert links(post.mail)[1] == {LINK}
    assert "{{ 7 * 7 }}" in body(post.mail, "plain")


@pytest.mark.parametrize("name", ["Ä", "Ä Ö Ü ß", "日本 料理 " * 10, 'A & B, C <d> "e"', "x" * 140, "😀👩‍🍳 Café"])
def test_a_subject_survives_its_encoding(name: str) -> None:
    post = Post()
    mailer(post).invite(replace(BAKERY, name=name), LINK)
    assert post.mail["Subject"] == subject_of(translator("de")("mail.invite.title"), name, "de").strip()


@pytest.mark.parametrize("code", [code for code in ProblemCode if code is not ProblemCode.MAIL_BOUNCED])
def test_an_owner_is_only_asked_for_what_an_owner_can_do(code: ProblemCode) -> None:
    """A problem that only the operators can fix has no action on the owner's page, and its sentence says who knows."""
    post, translate = Post(), translator("de")
    mailer(post).notify_owner(BAKERY, kind_of(code), Subject.NEWS, SINCE, LINK)
    waits = translate("mail.silent.how") in body(post.mail, "plain")
    assert waits == translate(f"problem.{code}.sentence").endswith("Wer das für Sie eingerichtet hat, weiß davon.")


@pytest.mark.parametrize("kind", [NoticeKind.DISCONNECTED, NoticeKind.PASSKEY, NoticeKind.OUT_OF_CREDIT])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reminder_says_that_it_is_one(kind: NoticeKind, language: str) -> None:
    post, sentence = Post(), translator(language)("mail.reminder")
    for subject in (Subject.NEWS, Subject.REMINDER):
        mailer(post).notify_owner(replace(BAKERY, language=language), kind, subject, SINCE, LINK)
        assert (sentence in body(post.mail, "plain")) is (subject is Subject.REMINDER)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", [NoticeKind.PASSKEY, NoticeKind.CONFLICT])
def test_only_the_mail_about_a_passkey_says_how_to_remove_it_on_each_kind_of_phone(
    kind: NoticeKind, language: str
) -> None:
    post, translate = Post(), translator(language)
    mailer(post).notify_owner(replace(BAKERY, language=language), kind, Subject.NEWS, SINCE, LINK)
    for part in ("plain", "html"):
        text = html.unescape(body(post.mail, part))
        for step in ("iphone", "iphone_open", "android", "android_open", "step_remove", "step_restore"):
            assert (translate(f"landing.passkey.{step}") in text) is (kind is NoticeKind.PASSKEY), (part, step)
        assert (translate("mail.passkey.step_again") in text) is (kind is NoticeKind.PASSKEY)
        assert (translate("mail.problem.how") in text) is (kind is not NoticeKind.PASSKEY)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_button_that_the_steps_name_is_the_one_of_the_page(language: str) -> None:
    translate = translator(language)
    assert translate("landing.passkey.button") in translate("mail.passkey.step_again")
    assert translate("landing.elsewhere.button") in translate("mail.page_taken_over.how")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_owner_reads_by_what_digits_the_linked_number_ends_and_not_the_whole_of_it(language: str) -> None:
    post = Post()
    mailer(post).number_linked(replace(BAKERY, language=language), "491701234567", LINK)
    for part in ("plain", "html"):
        assert "4567" in body(post.mail, part) and "4917" not in body(post.mail, part)


OVERVIEW = "https://lines.agency.example/api/admin"


def line(number: int, kind: NoticeKind = NoticeKind.DISCONNECTED, subject: Subject = Subject.NEWS) -> NoticeLine:
    return NoticeLine(f"Client {number}", kind, subject, SINCE, f"{OVERVIEW}/tenants/client{number:05}")


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if kind not in {*EVENTS, NoticeKind.UNKNOWN}])
def test_the_operators_mail_about_one_line_leads_to_it_and_says_what_is_so(kind: NoticeKind) -> None:
    post = Post()
    for subject, title in ((Subject.NEWS, notice_name(kind)), (Subject.ALL_CLEAR, "All clear")):
        one = line(1, kind, subject)
        mailer(post).notify_operators("us@agency.example", [one], OVERVIEW)
        text, html = links(post.mail)
        assert text == html == {one.link}
        assert f"{notice_sentence(one)}\nSince 21 September 2026, 14:13 UTC\n" in body(post.mail, "plain")
        assert post.mail["Subject"] == f"{title}: Client 1"
        assert post.sent[-1]["EmailTags"][1] == {"Name": "tenant", "Value": "operators"}


def test_the_operators_mail_names_many_lines_and_counts_the_others() -> None:
    post = Post()
    over = line(90, NoticeKind.PASSKEY, Subject.ALL_CLEAR)
    mailer(post).notify_operators("us@agency.example", [*map(line, range(50)), over], OVERVIEW)
    assert post.mail["Subject"] == "50 lines need an operator"
    named = [f"{OVERVIEW}/tenants/client{number:05}" for number in (*range(25), 90)]
    assert links(post.mail) == ({OVERVIEW, *named}, {OVERVIEW, *named})
    assert "And 25 more" in body(post.mail, "plain") and "All clear" not in body(post.mail, "html")


def test_the_operators_mail_about_lines_that_work_again_asks_for_nothing() -> None:
    post = Post()
    mailer(post).notify_operators(
        "us@agency.example", [line(number, subject=Subject.ALL_CLEAR) for number in (1, 2)], OVERVIEW
    )
    assert post.mail["Subject"] == "All clear for 2 lines"
    assert "what to do" not in body(post.mail, "plain")


# -- how mails read --------------------------------------------------------------------------------------------------

#: What an owner may be told, and how often: each kind of news, its reminder and its all-clear.
OWNERS_NOTICES = [
    (kind, subject)
    for kind in NoticeKind
    if kind not in (NoticeKind.UNKNOWN, NoticeKind.NUMBER_LINKED) and Recipient.OWNER in recipients_of(kind)
    for subject in Subject
    if subject is Subject.NEWS
    or (subject is Subject.REMINDER and reminders_of(kind, Recipient.OWNER))
    or (subject is Subject.ALL_CLEAR and kind not in EVENTS)
]
OPERATORS_NEWS = [kind for kind in NoticeKind if Recipient.OPERATORS in recipients_of(kind) and kind != "unknown"]


def to_owner(tenant: Tenant) -> Iterator[tuple[str, EmailMessage]]:
    """Sends an owner every mail there is."""
    post = Post()
    to = mailer(post)
    to.invite(tenant, LINK)
    yield "invite", post.mail
    to.number_linked(tenant, "491701234567", LINK)
    yield "number_linked", post.mail
    for kind, subject in OWNERS_NOTICES:
        to.notify_owner(tenant, kind, subject, SINCE, LINK)
        yield f"{kind} {subject}", post.mail


def to_operators() -> Iterator[tuple[str, EmailMessage]]:
    """Sends operators every mail there is: about one line, about several, and about more than are listed."""
    post = Post()
    to = mailer(post)
    for kind in OPERATORS_NEWS:
        for subject in (Subject.NEWS, Subject.ALL_CLEAR) if kind not in EVENTS else (Subject.NEWS,):
            to.notify_operators("us@agency.example", [line(1, kind, subject)], OVERVIEW)
            yield f"{kind} {subject}", post.mail
    for count in (1, 2, 60):
        news = [line(number % count, OPERATORS_NEWS[number % 5]) for number in range(count + 1)]
        over = [
            line(100 + number, kind, Subject.ALL_CLEAR)
            for number, kind in enumerate(OPERATORS_NEWS)
            if kind not in EVENTS
        ]
        for lines in (news, over[:count], [*news, *over], [*news, line(0, NoticeKind.PASSKEY, Subject.ALL_CLEAR)]):
            to.notify_operators("us@agency.example", lines, OVERVIEW)
            yield f"{len(lines)} lines", post.mail
    for count in (1, 3, 40, 400):
        matters = [list(OpenMatter)[number % len(OpenMatter)] for number in range(count)]
        open_matters = [
            DigestLine(f"client{number:05}", f"Client {number}", matter, SINCE, "key_revoked" * (matter == "problem"))
            for number, matter in enumerate(matters)
        ]
        to.send_digest("us@agency.example", open_matters, OVERVIEW)
        yield f"digest of {count}", post.mail
    to.trial("us@agency.example", LINK, "f" * 64)
    yield "trial", post.mail


#: What no mail may read like.
FAULTS = {
    "a sentence begins in lower case": re.compile(
        r"(?:^|[.!?…][ \u00a0])(?:\d+\. )?[¿¡«„“(\u00a0\u2068]*[a-zß-öø-ÿ]", re.M
    ),
    "a value is missing": re.compile(r"[{}<>]|\b(?:None|NoneType|Undefined)\b|%[sd]"),
    "doubled punctuation": re.compile(r"[.,:;!?…][ \u00a0]*[.,:;!?…]"),
    "two spaces": re.compile(r"[ \u00a0]{2}"),
    "a space before the end of a line": re.compile(r"(?<!^--)[ \t\u00a0]+$", re.M),
    "empty lines": re.compile(r"\n{3}|^\n|\n\n\Z"),
    "a space before punctuation, outside of French": re.compile(r" [,.]|[^ ] [:;?!]"),
}


def faults_of(text: str) -> list[str]:
    """Returns what is wrong with a text; its links are no text."""
    written = re.sub(r"^https?://\S+$", "Link", text, flags=re.M)
    return [fault for fault, shape in FAULTS.items() if shape.search(written)]


class Paragraphs(HTMLParser):
    """The paragraphs that are read in an HTML mail; the first is what a list of mails shows after the subject."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self._found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body" or (self._found and tag in ("div", "p", "li", "h1", "td", "br")):
            self._found.append("")

    def handle_data(self, data: str) -> None:
        if self._found:
            self._found[-1] += data

    @property
    def found(self) -> list[str]:
        texts = [" ".join(re.split(r"[ \n]+", text)).strip(" \u00a0\u200c\u034f") for text in self._found]
        return [text for text in texts if text]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Hello,\n\nthe line works.", "a sentence begins in lower case"),
        ("It began. and it goes on.", "a sentence begins in lower case"),
        ("It ends. “it” goes on.", "a sentence begins in lower case"),
        ("¿No es tu número? «así» es.", "a sentence begins in lower case"),
        ("1. open WhatsApp", "a sentence begins in lower case"),
        ("Hello {name}", "a value is missing"),
        ("Since None", "a value is missing"),
        ("Look here:.", "doubled punctuation"),
        ("It works.. Or not", "doubled punctuation"),
        ("It  works", "two spaces"),
        ("It works \nWell", "a space before the end of a line"),
        ("-- \nSent", None),
        ("A\n\n\nB", "empty lines"),
        ("\nA", "empty lines"),
        ("It works .", "a space before punctuation, outside of French"),
        ("Ça marche : voilà", "a space before punctuation, outside of French"),
        ("Ça marche\u00a0: voilà «\u00a0ici\u00a0».\nhttps://a.example", None),
    ],
)
def test_a_fault_of_a_text_is_found(text: str, fault: str | None) -> None:
    assert faults_of(text) == ([fault] if fault else [])


@pytest.mark.parametrize("language", [*LANGUAGES, "operators"])
def test_every_mail_reads_well_and_says_the_same_in_both_parts(language: str) -> None:
    tenant = replace(BAKERY, language=language)
    for name, mail in to_operators() if language == "operators" else to_owner(tenant):
        text = body(mail, "plain")
        preview, _, title, *read = Paragraphs(body(mail, "html")).found
        assert faults_of(text) == [], (name, text)
        assert [fault for each in (preview, title, *read, mail["Subject"]) for fault in faults_of(each)] == [], name
        assert mail["Subject"].startswith(title) and len(mail["Subject"]) <= MAX_SUBJECT_LENGTH, name
        if language != "operators":
            assert re.search(r": N{8,}…$", subject_of(title, "N" * 60, language)), (name, "leave room for a name")
        assert preview not in (title, mail["Subject"])
        copied = translator("en" if language == "operators" else language)("mail.invite.copy")
        said = " ".join(text.split(" "))
        assert [each for each in read if each != copied and each not in said.replace("\n", " ")] == [], name
        in_text, in_html = links(mail)
        assert in_text == in_html and (language == "operators" or in_text == {LINK}), name


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (NoticeKind.DISCONNECTED, Phase.LOGGED_OUT),
        (NoticeKind.PASSKEY, Phase.PASSKEY_REQUIRED),
        (NoticeKind.CONFLICT, Phase.CONFLICT),
        (NoticeKind.BLOCKED, Phase.BLOCKED),
    ],
)
def test_a_mail_has_the_title_of_the_page_that_it_leads_to(kind: NoticeKind, phase: Phase, language: str) -> None:
    post = Post()
    mailer(post).notify_owner(replace(BAKERY, language=language), kind, Subject.NEWS, SINCE, LINK)
    assert translator(language)(f"phase.{phase}.title") in Paragraphs(body(post.mail, "html")).found


@pytest.mark.parametrize("kind", [kind for kind in OPERATORS_NEWS if kind.problem])
def test_operators_are_mailed_the_sentence_of_the_admins_page(kind: NoticeKind) -> None:
    post = Post()
    mailer(post).notify_operators("us@agency.example", [line(1, kind)], OVERVIEW)
    assert translator("en")(f"admin.problem.{kind}.sentence") in body(post.mail, "plain")


def test_the_direction_of_a_name_ends_with_the_name() -> None:
    post = Post()
    mailer(post).invite(replace(BAKERY, name="مطعم"), LINK)
    for part in (post.mail["Subject"], body(post.mail, "plain"), body(post.mail, "html")):
        assert part.count("مطعم") == part.count("\u2068مطعم\u2069") >= 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_mail_about_a_disconnected_line_says_when_as_the_page_does(language: str) -> None:
    post = Post()
    tenant = replace(BAKERY, language=language, time_zone="Europe/Berlin")
    mailer(post).notify_owner(tenant, NoticeKind.DISCONNECTED, Subject.NEWS, SINCE, LINK)
    when, text = format_instant(SINCE, language, "Europe/Berlin"), body(post.mail, "plain")
    page = translator(language)("landing.disconnected.since", when=when)
    assert "16:13" in when and when in text and page.partition(". ")[2] in text


@EVERY_MAIL
@pytest.mark.parametrize("poison", ["\r\n", "\n", "\r", "\0", "\x1b", "\x85", "\u2028", "\ud800"])
def test_a_text_that_could_begin_another_header_is_not_sent(kind: str, poison: str) -> None:
    post = Post()
    injected = f"{poison}Bcc: everybody@evil.example"
    named, addressed = replace(BAKERY, name="Bakery" + injected), replace(BAKERY, owner_email="a@b.example" + injected)
    for tenant in (named, addressed):
        with pytest.raises(PermanentError):
            send(kind, mailer(post), tenant)
    with pytest.raises(PermanentError):
        send(kind, mailer(post), link=LINK + injected)
    assert post.sent == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "inge",
        "inge@",
        "@bakery.example",
        "inge@bakery",
        "a@b.example, c@d.example",
        "Inge <inge@bakery.example>",
        "inge@bakery.example ",
        "ingé@bakery.example",
        "inge@bäckerei.example",
        "a" * 250 + "@b.example",
        "inge@bakery.example;c@d.example",
    ],
)
def test_what_is_not_one_plain_address_gets_no_mail(address: str) -> None:
    post = Post()
    with pytest.raises(PermanentError):
        mailer(post).invite(replace(BAKERY, owner_email=address), LINK)
    assert post.sent == []


@pytest.mark.parametrize(
    "base",
    [
        "http://lines.agency.example",
        "https://localhost:8000",
        "https://app.localhost",
        "https://127.0.0.1",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://0.0.0.0",
        "https://10.1.2.3",
        "https://192.168.1.1.",
        "https://172.16.0.1",
        "https://169.254.169.254",
        "https://[fe80::1]",
        "https://[fd00::1]",
        "https://answerline",
        "https://answerline.local",
        "https://db.internal.",
        "https://me@lines.agency.example",
        "https://",
        "https://lines.agency.example:port",
        "https://[",
        "javascript:alert(1)//lines.agency.example",
        "//lines.agency.example",
        "",
    ],
)
def test_a_link_that_its_reader_cannot_open_never_leaves(base: str) -> None:
    post = Post()
    with pytest.raises(PermanentError, match="public address"):
        mailer(post).invite(BAKERY, base + "/api/join/token")
    assert post.sent == []


@pytest.mark.parametrize("base", ["http://localhost:8000", "http://127.0.0.1:8000", "https://lines.agency.example"])
def test_on_one_machine_links_may_lead_to_it(base: str) -> None:
    post = Post()
    mailer(post, allow_local_links=True).invite(BAKERY, base + "/api/join/token")
    assert links(post.mail) == ({base + "/api/join/token"}, {base + "/api/join/token"})


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "inge@bakery.example"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "SendEmail",
    )


@pytest.mark.parametrize(
    "error",
    [
        refusal("TooManyRequestsException", 429),
        refusal("LimitExceededException"),
        refusal("ThrottlingException"),
        refusal("InternalServiceErrorException", 500),
        refusal("Whatever", 503),
        EndpointConnectionError(endpoint_url="https://email.example"),
    ],
)
def test_a_busy_mail_service_is_tried_again(error: Exception) -> None:
    with pytest.raises(TransientError):
        mailer(Post(error)).invite(BAKERY, LINK)


@pytest.mark.parametrize(
    "code",
    [
        "MessageRejected",
        "MailFromDomainNotVerifiedException",
        "AccountSuspendedException",
        "SendingPausedException",
        "NotFoundException",
    ],
)
def test_an_error_that_a_person_must_fix_is_a_problem_of_the_mail(code: str) -> None:
    with pytest.raises(ActionRequired) as asked:
        mailer(Post(refusal(code))).invite(BAKERY, LINK)
    assert asked.value.problem is ProblemCode.MAIL_BOUNCED
    assert "inge" not in asked.value.message


@pytest.mark.parametrize(
    ("code", "status"),
    [("BadRequestException", 400), ("AccessDeniedException", 403), ("OfALaterRelease", 400), ("", 0)],
)
def test_no_other_refusal_is_permanent_for_it_may_be_about_our_deployment(code: str, status: int) -> None:
    with pytest.raises(ActionRequired) as asked:
        mailer(Post(refusal(code, status))).invite(BAKERY, LINK)
    assert f"({code})" in asked.value.message and "inge" not in asked.value.message


def test_the_real_client_hands_ses_the_whole_mail(aws: None) -> None:
    from moto.ses.models import ses_backends

    client = SESSION.client("sesv2")
    with pytest.raises(ActionRequired):
        Mailer(client, sender=SENDER).invite(BAKERY, LINK)
    client.create_email_identity(EmailIdentity="mail@agency.example")
    message_id = Mailer(client, sender=SENDER).invite(BAKERY, LINK)
    (stored,) = ses_backends["123456789012"]["eu-west-1"].sent_messages
    assert stored.id == message_id
    assert links(parsed(stored.raw_data.encode())) == ({LINK}, {LINK})
