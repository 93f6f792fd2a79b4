"""Mail addresses as SES takes them, and the sender of all mails: a name and an address. Pure."""

import re
import unicodedata
from typing import NamedTuple

#: ``Name <address>``: the last brackets hold the address, so that a name may contain commas, colons, @ and brackets.
NAMED = re.compile(r"(?P<name>.*)<(?P<address>[^<>]*)>", re.DOTALL)
#: Unicode categories that no header can carry: control characters, line and paragraph separators, half surrogates.
UNFIT_FOR_HEADERS = frozenset({"Cc", "Zl", "Zp", "Cs"})


class MailSender(NamedTuple):
    """The sender of all mails."""

    #: as people read it, not quoted; may be empty
    name: str
    #: ASCII
    address: str


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


def parse_sender(text: str) -> MailSender:
    """Parses an address, or ``Name <address>``; the name may be in double quotes.

    Raises:
        ValueError: with the reason, which continues a sentence about the setting.
    """
    stripped = text.strip()
    if any(unicodedata.category(letter) in UNFIT_FOR_HEADERS for letter in stripped):
        raise ValueError("it contains a line break or a control character")
    named = NAMED.fullmatch(stripped)
    name, address = (named["name"].strip(), named["address"].strip()) if named else ("", stripped)
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return MailSender(name, ascii_address(address, allow_test=True))
