"""Mail addresses as SES takes them, and the sender of all mails: a name and an address. Pure."""

import re
import unicodedata
from typing import Final, NamedTuple

#: ``Name <address>``: the last brackets hold the address, so that a name may contain commas, colons, @ and brackets.
NAMED: Final = re.compile(r"(?P<name>.*)<(?P<address>[^<>]*)>", re.DOTALL)
#: Unicode categories that no header can carry: control characters, line and paragraph separators, half surrogates.
UNFIT_FOR_HEADERS: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})
#: Encoded, a longer name would not fit into one line of a header.
MAX_SENDER_NAME_LENGTH: Final = 150

#: A part of a name as headers write it (RFC 5322, RFC 2047): in quotes, encoded, or a plain word.
_QUOTED, _ENCODED = r'"(?:[^"\\]|\\.)*"', r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?="
_PART: Final = re.compile(rf'({_QUOTED})|({_ENCODED})|[^\s"\\<>()\[\]:;@,]+')
_PHRASE: Final = re.compile(rf"(?:{_PART.pattern})(?:\s+(?:{_PART.pattern}))*")
#: What a name may not contain to stand in a setting as it is read.
_NEEDS_ENCODING: Final = re.compile(r'["\\@<>]|=\?')


#: The most operators' addresses: each one is an own subscription of the alarms.
MAX_RECIPIENTS = 5


class MailSender(NamedTuple):
    """The sender of all mails."""

    #: as people read it, not quoted; may be empty
    name: str
    #: ASCII
    address: str

    @property
    def setting(self) -> str:
        """The sender as a setting that is read as the same one, with one @: templates split it there."""
        return f"{self._encoded()} <{self.address}>" if self.name else self.address

    @property
    def header(self) -> str:
        """The sender as the value of a header, in ASCII and on one line."""
        from email.headerregistry import Address  # the whole grammar of addresses, which only a mail needs
        from email.message import EmailMessage
        from email.policy import SMTP

        message = EmailMessage(policy=SMTP)
        message["From"] = Address(self.name, addr_spec=self.address)
        return message["From"].fold(policy=SMTP).partition(":")[2].replace("\r\n", "").strip()  # type: ignore[no-any-return]

    def _encoded(self) -> str:
        from email.header import Header

        if _NEEDS_ENCODING.search(self.name):
            return Header(self.name, "utf-8").encode(maxlinelen=10 * MAX_SENDER_NAME_LENGTH)
        return self.name


def ascii_address(address: str, *, allow_test: bool = False) -> str:
    """Returns the address with its domain in ASCII; SES delivers to such addresses only. Raises ValueError.

    Args:
        allow_test: also below ``.test``, which no mail on the internet reaches.
    """
    from email_validator import EmailNotValidError, validate_email

    try:
        checked = validate_email(
            address, check_deliverability=False, allow_smtputf8=False, strict=True, test_environment=allow_test
        )
    except EmailNotValidError:
        raise ValueError("it is not an e-mail address") from None
    return str(checked.ascii_email)


def parse_recipients(text: str) -> tuple[str, ...]:
    """Parses addresses that commas, semicolons or white space separate; each one counts once.

    Raises:
        ValueError: with the reason, which continues a sentence about the setting.
    """
    addresses: dict[str, str] = {}
    for word in re.split(r"[\s,;]+", text.strip()):
        if word:
            try:
                address = ascii_address(word, allow_test=True)
            except ValueError:
                raise ValueError(f"{word[:80]} is not an e-mail address; separate several by commas") from None
            addresses.setdefault(address.casefold(), address)
    if len(addresses) > MAX_RECIPIENTS:
        raise ValueError(f"it names {len(addresses)} addresses; at most {MAX_RECIPIENTS} are notified")
    return tuple(addresses.values())


def parse_sender(text: str) -> MailSender:
    """Parses an address, or ``Name <address>``: the name as in a header, or as people write it, with any sign in it.

    Raises:
        ValueError: with the reason, which continues a sentence about the setting.
    """
    stripped = text.strip()
    if any(unicodedata.category(letter) in UNFIT_FOR_HEADERS for letter in stripped):
        raise ValueError("it contains a line break or a control character")
    named = NAMED.fullmatch(stripped)
    name, address = (named["name"].strip(), named["address"].strip()) if named else ("", stripped)
    if _PHRASE.fullmatch(name):
        name = _decoded(name)
    if any(unicodedata.category(letter) in UNFIT_FOR_HEADERS for letter in name):
        raise ValueError("its name contains a line break or a control character")
    if re.search(_ENCODED, name):
        raise ValueError("its name is encoded in a way that cannot be read")
    if len(name) > MAX_SENDER_NAME_LENGTH:
        raise ValueError(f"its name is longer than {MAX_SENDER_NAME_LENGTH} characters")
    return MailSender(name, ascii_address(address, allow_test=True))


def _decoded(phrase: str) -> str:
    """Returns the words of a header's name; between two encoded ones stands no space (RFC 2047)."""
    name, after_encoded = "", False
    for part in _PART.finditer(phrase):
        quoted, encoded = part[1], part[2]
        if quoted is not None:
            word = re.sub(r"\\(.)", r"\1", quoted[1:-1])
        else:
            word = _decoded_word(encoded) if encoded is not None else part[0]
        joined = after_encoded and encoded is not None
        name += word if joined or not name else f" {word}"
        after_encoded = encoded is not None
    return name.strip()


def _decoded_word(word: str) -> str:
    from email.header import decode_header

    try:
        [(raw, charset)] = decode_header(word)
        return raw.decode(charset or "ascii") if isinstance(raw, bytes) else raw
    except (ValueError, LookupError):
        return word  # which is then refused
