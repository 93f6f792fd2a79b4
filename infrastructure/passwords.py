"""The password with which a first operator signs in once."""

import secrets
import string

PASSWORD_LENGTH = 16
_ALPHABET = "".join(set(string.ascii_letters + string.digits) - set("0OIl1"))


def new_password() -> str:
    """Easy to read aloud, and within the pool's policy: upper case, lower case and a digit."""
    while True:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))
        kinds = (str.isupper, str.islower, str.isdigit)
        if all(any(kind(character) for character in password) for kind in kinds):
            return password
