"""Passwords with which an operator signs in for the first time."""

import secrets
import string

PASSWORD_LENGTH = 16
#: Without the characters that people confuse.
_ALPHABET = "".join(set(string.ascii_letters + string.digits) - set("0OIl1"))


def new_password() -> str:
    """Generates a password that is easy to read aloud and meets the user pool's policy."""
    while True:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))
        kinds = (str.isupper, str.islower, str.isdigit)
        if all(any(kind(character) for character in password) for kind in kinds):
            return password
