"""The Lambda authorizer in front of the runners' API: with it API Gateway refuses strangers before any endpoint runs.

It is a filter, never the authority: each endpoint authenticates again (``runner_auth.py``). API Gateway refuses tokens
of another shape by IDENTITY alone, without calling a function.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from chalicelib.log_events import LogEvent
from chalicelib.web.runner_auth import SHAPE_OF_RUNNER, is_bootstrap, is_own_token
from chalicelib.wiring import Services

log = logging.getLogger(__name__)

_RANDOM: Final = "[A-Za-z0-9_-]{32,128}"
#: A capability to hand in names runner, tenant and epoch, which only the endpoint can compare with the body.
_CAPABILITY: Final = "[a-z0-9]{8,32}[.][0-9]{1,16}[.][0-9a-f]{64}"
#: The header of every call that may be a runner's: a bootstrap token, a runner's own, or a capability of one.
#: The template has the same text, for API Gateway and the firewall.
IDENTITY: Final = f"^[Bb]earer ({_RANDOM}|{SHAPE_OF_RUNNER.pattern}[.]({_RANDOM}|{_CAPABILITY}))$"


class Admission(Enum):
    """The calls that a token opens: methods and paths of API Gateway."""

    ALL = ("POST/runner/*",)  #: a runner's own token
    REGISTER = ("POST/runner/sync",)  #: the bootstrap token
    HAND_IN = ("POST/runner/messages", "POST/runner/sent")  #: a capability of a runner that is known
    NOTHING = ()  #: any other


def authorize(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the policy for the token of this event, which API Gateway keeps for a while. Reads one item at most.

    A dead runner's token passes, because it may still hand in. Raises if the table or the parameter cannot be read:
    API Gateway answers 500 then, and a runner calls again.
    """
    admission = admit(services, str(event.get("authorizationToken", "")))
    if admission is Admission.NOTHING:
        log.info(LogEvent.STRANGER_REFUSED)
    return _policy(str(event["methodArn"]), admission.value)


def admit(services: Services, header: str) -> Admission:
    """Returns what the value of an Authorization header opens."""
    if not re.fullmatch(IDENTITY, header, re.ASCII):
        return Admission.NOTHING
    token = header.partition(" ")[2]
    name, _, rest = token.partition(".")
    if not rest:
        return Admission.REGISTER if is_bootstrap(services, token) else Admission.NOTHING
    runner = services.runners.get(name)
    if runner is None:
        return Admission.NOTHING
    if "." in rest:
        return Admission.HAND_IN
    return Admission.ALL if is_own_token(runner, token) else Admission.NOTHING


def _policy(method_arn: str, calls: Sequence[str]) -> dict[str, Any]:
    """Returns the policy in API Gateway's form; one that allows nothing is a denial."""
    stage = "/".join(method_arn.split("/")[:2])  # arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/…
    effect, resources = ("Allow", calls) if calls else ("Deny", Admission.ALL.value)
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": effect,
        "Resource": [f"{stage}/{each}" for each in resources],
    }
    return {"principalId": "runner", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
