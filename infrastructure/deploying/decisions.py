"""Decisions of a deployment: stack parameters that follow from the account and the stack as they are today."""

from collections.abc import Callable, Mapping

from infrastructure.deploying import prerequisites
from infrastructure.deploying.aws import api_logs, availability_zones, quotas, sender
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.parameters import Parameters

#: Logical id → type and the resource's own id.
Resources = Mapping[str, tuple[str, str]]


def decide(
    account: Account, resources: Resources, parameters: Parameters, report: Callable[[str], None]
) -> dict[str, str]:
    """Returns stack parameter → value.

    Args:
        account: the account to read.
        resources: those of the stack.
        parameters: the given and the remembered ones.
        report: prints a sentence for the operator.

    Raises:
        CannotDeploy: the region has no zone for runners.
    """
    elsewhere = api_logs.configured_elsewhere(account.client("apigateway"), resources)
    return {
        "MailIdentity": mail_identity(account, resources, parameters),
        "HostedZoneId": prerequisites.find_hosted_zone(account, parameters),
        "ApiLogsAreSetUp": "true" if elsewhere else "false",
        "ThinkAtOnce": _think_at_once(account, parameters, report),
        **_runner_zones(account, resources),
    }


def mail_identity(account: Account, resources: Resources, parameters: Parameters) -> str:
    """Returns the SES identity that the stack holds; empty if the sender uses one outside of the stack.

    The remembered parameter does not show whether the stack holds it: the parameter also remains after a deployment
    that ended before it created the identity, and after a rollback, which takes the identity out of the stack and
    leaves it in SES.
    """
    _, held = resources.get("MailSender", ("", ""))
    return sender.find(account.client("sesv2"), parameters.value("MailFrom")).identity_to_create(held)


def _think_at_once(account: Account, parameters: Parameters, report: Callable[[str], None]) -> str:
    """The limit that Lambda's quota allows today; an operator's own limit, another parameter, takes precedence."""
    limit = quotas.think_at_once(account.client("lambda"))
    if limit < quotas.THINK_AT_ONCE and not parameters.number("ThinkAtOnceGiven", 0):
        report(
            f"Lambda's quota is so low in this account that only {limit} chats instead of {quotas.THINK_AT_ONCE} are"
            " checked at the same time, which leaves the other half of the quota for pages and runners: ask for 1000"
            " in Service Quotas, and the next deployment raises the limit."
        )
    return str(limit)


def _runner_zones(account: Account, resources: Resources) -> dict[str, str]:
    """The zones of new subnets; existing subnets stay in the zones that the stage remembers."""
    if "SubnetA" in resources:
        return {}
    a, b = availability_zones.choose(account.client("ec2"), account.region)
    return {"RunnerZoneA": a, "RunnerZoneB": b}
