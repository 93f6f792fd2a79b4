"""The sender of all mails: one parser for one machine, for deployments and for the mailer."""

from email import message_from_string
from email.policy import default
from email.utils import parseaddr

import pytest

from chalicelib.model.mail_address import MAX_SENDER_NAME_LENGTH, parse_sender
from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.settings import parse as parse_deployment
from infrastructure.local.settings import CannotStart
from infrastructure.local.settings import parse as parse_local

LINE = "line@example.com"
#: MAIL_FROM → the name and the address that people read
SENDERS = {
    LINE: ("", LINE),
    f"<{LINE}>": ("", LINE),
    f"  Your agency   <{LINE}> ": ("Your agency", LINE),
    "Our Agency <Line@Agency.Example>": ("Our Agency", "Line@agency.example"),
    # signs that headers use themselves
    f"Smith, Jones & Co <{LINE}>": ("Smith, Jones & Co", LINE),
    f"Agentur: Nord <{LINE}>": ("Agentur: Nord", LINE),
    f"Nord; Süd <{LINE}>": ("Nord; Süd", LINE),
    f"Team @ Nord <{LINE}>": ("Team @ Nord", LINE),
    f"[Nord] <{LINE}>": ("[Nord]", LINE),
    f"Agentur (Nord) <{LINE}>": ("Agentur (Nord)", LINE),
    f"A.B. Söhne Ltd. <{LINE}>": ("A.B. Söhne Ltd.", LINE),
    f"O'Neil's 100% <{LINE}>": ("O'Neil's 100%", LINE),
    f"nord@example.com <{LINE}>": ("nord@example.com", LINE),
    f"Nord <Süd> <{LINE}>": ("Nord <Süd>", LINE),
    rf"C:\Nord <{LINE}>": (r"C:\Nord", LINE),
    f'the so-called "best, <{LINE}>': ('the so-called "best,', LINE),
    # as headers write a name
    f'"Smith, Jones" <{LINE}>': ("Smith, Jones", LINE),
    f'"Smith, Jones" GmbH <{LINE}>': ("Smith, Jones GmbH", LINE),
    f'"Smith" "Jones" <{LINE}>': ("Smith Jones", LINE),
    rf'"The \"best\" one" <{LINE}>': ('The "best" one', LINE),
    f'"Team @ Nord" <{LINE}>': ("Team @ Nord", LINE),
    f"=?utf-8?q?J=C3=B6rg?= <{LINE}>": ("Jörg", LINE),
    f"=?UTF-8?B?SsO2cmc=?= =?utf-8?q?=2C_S=C3=B6hne?= & Co <{LINE}>": ("Jörg, Söhne & Co", LINE),
    f"=?iso-8859-1?q?J=F6rg?= <{LINE}>": ("Jörg", LINE),
    # letters of the world
    f"名前、会社 <{LINE}>": ("名前、会社", LINE),
    f"שלום, עולם <{LINE}>": ("שלום, עולם", LINE),
    f"Café ☕, @home <{LINE}>": ("Café ☕, @home", LINE),
    "Line <line@münchen.example>": ("Line", "line@xn--mnchen-3ya.example"),
    "line@MÜNCHEN.example": ("", "line@xn--mnchen-3ya.example"),
    "Team @ Nord <line@日本.example>": ("Team @ Nord", "line@xn--wgv71a.example"),
}
REFUSED = {
    "": "not an e-mail address",
    "Answerline": "not an e-mail address",
    "line@localhost": "not an e-mail address",
    "line@": "not an e-mail address",
    "a@b.example, c@d.example": "not an e-mail address",
    "a@b.example; c@d.example": "not an e-mail address",
    "Friends: a@b.example;": "not an e-mail address",
    f"Nord <{LINE}> GmbH": "not an e-mail address",
    f"Nord <{LINE}>, Süd <{LINE}>,": "not an e-mail address",
    "Nord <>": "not an e-mail address",
    "Nord <line@[192.0.2.1]>": "not an e-mail address",
    "Nord <jörg@example.com>": "not an e-mail address",
    f"Nord\r\nBcc: a@b.example <{LINE}>": "line break",
    f"Nord\u2028 <{LINE}>": "line break",
    f"Nord\0 <{LINE}>": "control character",
    f"=?utf-8?q?Nord=0D=0ABcc=3A?= <{LINE}>": "line break",
    f"=?no-charset?q?x?= <{LINE}>": "cannot be read",
    f"=?utf-8?q?=FF?= <{LINE}>": "cannot be read",
    f"Nord, =?utf-8?q?x?= <{LINE}>": "cannot be read",
    f"{'x' * (MAX_SENDER_NAME_LENGTH + 1)} <{LINE}>": "longer than",
}


@pytest.mark.parametrize("text", SENDERS)
def test_every_legal_form_is_read_and_stays_the_same_wherever_it_goes(text: str) -> None:
    sender = parse_sender(text)
    assert tuple(sender) == SENDERS[text]
    assert parse_sender(sender.setting) == parse_sender(sender.header) == sender
    assert parse_sender(parse_local([], {"MAIL_FROM": text}).mail_from) == sender
    assert parse_sender(parse_deployment({"STAGE": "prod", "MAIL_FROM": text}).given["MailFrom"]) == sender


@pytest.mark.parametrize("text", SENDERS)
def test_the_header_reads_as_the_setting_for_programs_too(text: str) -> None:
    sender = parse_sender(text)
    assert sender.header.isascii() and sender.header.isprintable()
    assert parseaddr(sender.header)[1] == sender.address
    [read] = message_from_string(f"From: {sender.header}\r\n\r\n", policy=default)["From"].addresses
    assert (read.display_name, read.addr_spec) == (sender.name, sender.address)


@pytest.mark.parametrize("text", SENDERS)
def test_the_setting_has_one_at_sign_and_an_ascii_domain_as_the_template_needs_it(text: str) -> None:
    setting = parse_sender(text).setting
    assert setting.count("@") == 1
    domain = setting.split("@")[1].split(">")[0]  # as the condition of `ses:FromAddress` takes it
    assert domain.isascii() and domain == domain.lower()


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_sender_is_refused_before_anything_starts(text: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[text]):
        parse_sender(text)
    if text:  # an empty setting is one that is not given
        with pytest.raises(CannotStart, match=REFUSED[text]):
            parse_local([], {"MAIL_FROM": text})
        with pytest.raises(CannotDeploy, match=REFUSED[text]):
            parse_deployment({"STAGE": "prod", "MAIL_FROM": text})


def test_a_name_of_the_longest_kind_fits_into_a_header() -> None:
    name = "語" * MAX_SENDER_NAME_LENGTH
    assert len(parse_sender(f"{name} <{LINE}>").header) < 998
