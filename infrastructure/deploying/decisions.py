"""What a deployment decides by itself, from what the account and the stack are like today."""

from collections.abc import Callable, Mapping

from infrastructure.deploying import prerequisites
from infrastructure.deploying.aws import api_logs, availability_zones, quotas, sender
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.parameters import Parameters

#: Logical id → type and the resource's own id, as the stack tells them.
Resources = Mapping[str, tuple[str, str]]


def decide(
    account: Account, resources: Resources, parameters: Parameters, say: Callable[[str], None]
) -> dict[str, str]:
    """Stack parameter → value. Raises CannotDeploy."""
    elsewhere = api_logs.set_up_elsewhere(account.client("apigateway"), resources)
    return {
        "MailIdentity": mail_identity(account, resources, parameters),
        "HostedZoneId": prerequisites.hosted_zone(account, parameters),
        "ApiLogsAreSetUp": "true" if elsewhere else "false",
        "ThinkAtOnce": _think_at_once(account, parameters, say),
        **_runner_zones(account, resources),
    }


def mail_identity(account: Account, resources: Resources, parameters: Parameters) -> str:
    """The SES identity that the stack makes or holds; empty when one that it does not hold speaks for the sender.

    The parameter from before does not tell: it is also there after a deployment that never came so far, or that was
    rolled back, which leaves the identity in SES and takes it out of the stack.
    """
    _, held = resources.get("MailSender", ("", ""))
    return sender.find(account.client("sesv2"), parameters.value("MailFrom")).to_make(held)


def _think_at_once(account: Account, parameters: Parameters, say: Callable[[str], None]) -> str:
    """As Lambda's quota is today; an operator's own number is another parameter, and goes before."""
    at_once = quotas.think_at_once(account.client("lambda"))
    if at_once < quotas.THINK_AT_ONCE and not parameters.number("ThinkAtOnceGiven", 0):
        say(
            f"Lambda allows this account so few functions at the same time that only {at_once} chats instead of"
            f" {quotas.THINK_AT_ONCE} are thought about at once, which leaves the other half to the doors:"
            " ask for 1000 in Service Quotas, and the next deployment allows more."
        )
    return str(at_once)


def _runner_zones(account: Account, resources: Resources) -> dict[str, str]:
    """Where new subnets are made; those that are there stay, by what the stage remembers."""
    if "SubnetA" in resources:
        return {}
    a, b = availability_zones.choose(account.client("ec2"), account.region)
    return {"RunnerZoneA": a, "RunnerZoneB": b}
