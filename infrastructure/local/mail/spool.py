"""Mail spool: stores every mail that SES accepted in one file, as it would be delivered; standard library only."""

import base64
import email.policy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import formatdate, getaddresses, parseaddr
from pathlib import Path
from typing import Any

from infrastructure.local import durable_file


@dataclass(frozen=True)
class Mail:
    """A spooled mail: its envelope and its bytes."""

    identifier: str
    #: epoch seconds
    sent_at: float
    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    #: SES's message tags, which its events repeat
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> EmailMessage:
        """Parses the MIME message."""
        return BytesParser(EmailMessage, policy=email.policy.default).parsebytes(self.raw)

    @property
    def envelope_sender(self) -> str:
        """Returns the bare address of the sender."""
        return parseaddr(self.sender)[1] or parseaddr(str(self.message.get("From", "")))[1]

    @property
    def subject(self) -> str:
        """Returns the decoded subject."""
        return str(self.message.get("Subject", ""))

    def body(self, kind: str) -> str | None:
        """Returns the decoded ``plain`` or ``html`` body, if there is one."""
        part = self.message.get_body((kind,))
        return None if part is None else str(part.get_content())


def write(directory: Path, identifier: str, request: dict[str, Any], now: float) -> None:
    """Spools one SES v2 ``SendEmail`` request atomically; ``now`` is in epoch seconds."""
    destination = request.get("Destination", {})
    recipients = [
        address for kind in ("ToAddresses", "CcAddresses", "BccAddresses") for address in destination.get(kind, [])
    ]
    raw = mime(identifier, request, now)
    if not recipients:
        headers = BytesParser(EmailMessage, policy=email.policy.default).parsebytes(raw, headersonly=True)
        named = [str(headers[name]) for name in ("To", "Cc") if name in headers]
        recipients = [address for _, address in getaddresses(named)]
    record = {
        "identifier": identifier,
        "sent_at": now,
        "sender": request.get("FromEmailAddress", ""),
        "recipients": recipients,
        "raw": base64.b64encode(raw).decode("ascii"),
        "tags": {tag["Name"]: tag["Value"] for tag in request.get("EmailTags", [])},
    }
    name = f"{int(now * 1000):015d}-{identifier.partition('@')[0]}.json"
    durable_file.write(directory / name, json.dumps(record).encode())


def mime(identifier: str, request: dict[str, Any], now: float) -> bytes:
    """Returns the message as SES would deliver it: ``Raw`` byte for byte, ``Simple`` composed with both its bodies."""
    content = request.get("Content", {})
    if "Raw" in content:
        return base64.b64decode(content["Raw"]["Data"])
    simple = content["Simple"]
    message = EmailMessage()
    message["From"] = request.get("FromEmailAddress", "")
    for name, key in (("To", "ToAddresses"), ("Cc", "CcAddresses")):
        if addresses := request.get("Destination", {}).get(key):
            message[name] = ", ".join(addresses)
    if reply_to := request.get("ReplyToAddresses"):
        message["Reply-To"] = ", ".join(reply_to)
    message["Subject"] = simple["Subject"]["Data"]
    message["Date"] = formatdate(now)
    message["Message-ID"] = f"<{identifier}>"
    for header in simple.get("Headers", []):
        message[header["Name"]] = header["Value"]
    body = simple["Body"]
    if "Text" in body:
        message.set_content(body["Text"]["Data"], cte="quoted-printable")
        if "Html" in body:
            message.add_alternative(body["Html"]["Data"], subtype="html", cte="quoted-printable")
    else:
        message.set_content(body["Html"]["Data"], subtype="html", cte="quoted-printable")
    return message.as_bytes(policy=email.policy.SMTP)


def read(directory: Path) -> list[Mail]:
    """Lists every spooled mail, newest first."""
    return [_load(path) for path in sorted(directory.glob("*.json"), reverse=True)] if directory.is_dir() else []


def find(directory: Path, identifier: str) -> Mail | None:
    """Returns the mail with this identifier (with or without its domain part)."""
    name = identifier.partition("@")[0]
    for path in directory.glob("*.json"):
        if path.stem.partition("-")[2] == name:
            return _load(path)
    return None


def _load(path: Path) -> Mail:
    record = json.loads(path.read_text())
    return Mail(
        identifier=record["identifier"],
        sent_at=record["sent_at"],
        sender=record["sender"],
        recipients=tuple(record["recipients"]),
        raw=base64.b64decode(record["raw"]),
        tags=record.get("tags", {}),
    )
