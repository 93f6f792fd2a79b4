"""Hashes, compares and derives secret tokens.

A token is 256 random bits, shown once; only its SHA-256 is stored. Invites, browsers, operators and runners have one.
"""

import hashlib
import hmac


def sha256(secret: str) -> str:
    """Returns the digest that is stored instead of a token. Any text has one: a malformed token is an unknown one."""
    return hashlib.sha256(_encoded(secret)).hexdigest()


def secrets_match(one: str, other: str) -> bool:
    """Compares secrets in constant time; two empty ones do not match."""
    return bool(one) and hmac.compare_digest(_encoded(one), _encoded(other))


def derive(secret: str, purpose: str) -> str:
    """Returns another secret, for a form, that reveals nothing about the first."""
    return hmac.new(_encoded(secret), purpose.encode(), hashlib.sha256).hexdigest()


def _encoded(secret: str) -> bytes:
    """Encodes half surrogates too: a client may send any text."""
    return secret.encode("utf-8", "surrogatepass")
