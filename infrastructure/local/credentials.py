"""Settings that systemd hands over as credentials: files that no other process of the machine may read."""

import re
from collections.abc import Mapping
from pathlib import Path

#: The variable by which systemd names the directory (`LoadCredential=` in the unit).
DIRECTORY = "CREDENTIALS_DIRECTORY"
#: No setting is longer.
MAX_BYTES = 16_384
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


class CredentialUnreadable(Exception):
    """A credential cannot be used; the message names it, without its value, and says what to do."""


def with_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment with a setting for each file in ``$CREDENTIALS_DIRECTORY`` that is not empty.

    A variable that is not empty has precedence over the file of its name.
    """
    directory = environment.get(DIRECTORY)
    if not directory:
        return dict(environment)
    given = {name: value for name, value in environment.items() if value}
    try:
        files = sorted(path for path in Path(directory).iterdir() if _NAME.fullmatch(path.name))
    except OSError as error:
        raise CredentialUnreadable(
            f"The credentials in {directory} cannot be read ({error.strerror}): run `make service` again."
        ) from None
    for path in files:
        if path.name not in given and (value := _read(path)):
            given[path.name] = value
    return given


def _read(path: Path) -> str:
    advice = "write it again as one line of text"
    try:
        content = path.read_bytes()
        value = content.decode().strip()
    except OSError as error:
        raise CredentialUnreadable(f"The credential {path.name} cannot be read ({error.strerror}): {advice}.") from None
    except UnicodeDecodeError:
        raise CredentialUnreadable(f"The credential {path.name} is not text: {advice}.") from None
    if len(content) > MAX_BYTES or not value.isprintable():
        raise CredentialUnreadable(f"The credential {path.name} is not one line of text: {advice}.")
    return value
