"""The capability that lies beside a journal on the disk: it hands in for one tenant and epoch, and opens nothing else.

A browser that was broken into may read the files of the other browsers on its runner. So no file holds the runner's
own token, which opens the logins of every tenant that the runner holds.
"""

import hashlib
import hmac


def hand_in_capability(token: str, tenant: str, epoch: int) -> str:
    """Returns what the control plane accepts for messages and sent parts of this tenant and epoch.

    It derives the same from what it stores of the token (``chalicelib/tokens.py``), and accepts it for as long as the
    token itself: until 24 h after the runner's end.

    Args:
        token: the runner's own token, ``<runner>.<secret>``.
    """
    runner, _, secret = token.partition(".")
    key = hashlib.sha256(secret.encode()).hexdigest()
    proof = hmac.new(key.encode(), f"hand in {tenant} {epoch}".encode(), hashlib.sha256).hexdigest()
    return f"{runner}.{tenant}.{epoch}.{proof}"


def is_runner_token(token: str) -> bool:
    """Returns whether this is a runner's own token, which former releases stored beside a journal."""
    return token.count(".") == 1
