"""The file of the service's settings, as systemd reads it (`EnvironmentFile=`): parsed, and changed line by line."""

import re
from collections.abc import Mapping

from infrastructure.local.settings import CannotStart

#: The settings of `make up` that `make service NAME=value` writes to the file.
NAMES = (
    *("WHATSAPP", "OPENAI", "OPENAI_SERVERS", "BASE_URL", "MAIL_FROM", "OPERATOR_EMAIL", "PORTS"),
    "QUIET_HOURS",
    *("RUNNERS", "RUNNER_CAPACITY", "RUNNER_IMAGE", "LINE_REPLIES_PER_MINUTE", "CHROMIUM", "BROWSER_HEAP_MB"),
    *("DYNOXIDE", "BACKUP_TO", "BACKUP_AT", "BACKUP_CREDENTIALS", "BACKUP_KNOWN_HOSTS", "RUNNERS_AT"),
)
#: The settings that hold a password: each is a credential, a file of its own.
SECRETS = ("SMTP_URL", "RUNNER_BOOTSTRAP_TOKEN", "OPERATORS_WEBHOOK")

HEADING = """\
# Settings of Answerline's service, as of `make up`: one NAME=value in each line.
# Secrets stand in files of their own, in the directory credentials/ beside this file.
# After a change: systemctl restart answerline
"""

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_ESCAPED = re.compile(r"\\([\\\"`$])")


def parse_file(text: str) -> dict[str, str]:
    """Returns the settings. Raises CannotStart for a line that is neither a setting nor a comment."""
    settings = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or line.endswith("\\"):
            raise CannotStart(f"Line {number} of the settings is not NAME=value in one line: correct it.")
        settings[found[1]] = _unquoted(found[2].strip(), number)
    return settings


def change_file(text: str, changes: Mapping[str, str]) -> str:
    """Returns the text with these settings in it: each in its line, new ones at the end, all other lines unchanged."""
    parse_file(text)
    left = dict(changes)
    lines = []
    for line in (text or HEADING).splitlines():
        found = _LINE.fullmatch(line.strip())
        name = found[1] if found else ""
        if name in changes:
            if name in left:
                lines.append(f"{name}={_quoted(name, left.pop(name))}")
            continue
        lines.append(line)
    lines += [f"{name}={_quoted(name, value)}" for name, value in left.items()]
    return "\n".join(lines) + "\n"


def _quoted(name: str, value: str) -> str:
    if not value.isprintable():
        raise CannotStart(f"{name} has a line break or a control character: give it as one line of text.")
    return '"' + re.sub(r"[\\\"`$]", r"\\\g<0>", value) + '"'


def _unquoted(value: str, number: int) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        inner = value[1:-1]
        if '"' not in _ESCAPED.sub("", inner):
            return _ESCAPED.sub(r"\1", inner)
    elif len(value) >= 2 and value[0] == value[-1] == "'" and "'" not in value[1:-1]:
        return value[1:-1]
    elif not {'"', "'", "\\"} & set(value):
        return value
    raise CannotStart(f'Line {number} of the settings has quotes that do not match: write NAME="value".')
