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


def hand_in_capability(runner: str, token_sha256: str, tenant: str, epoch: int) -> str:
    """Returns the token that hands in for one tenant and epoch of a runner, and opens nothing else.

    The runner derives it from its own token (``runner/control_plane/capability.py``) and leaves it beside the journal
    on its disk. A reader of the table could derive it too, and has all messages anyway.

    Args:
        token_sha256: the digest of the runner's own token.
    """
    return f"{runner}.{tenant}.{epoch}.{derive(token_sha256, f'hand in {tenant} {epoch}')}"


def _encoded(secret: str) -> bytes:
    """Encodes half surrogates too: a client may send any text."""
    return secret.encode("utf-8", "surrogatepass")
