"""Everything that a deployment needs, looked at before anything is built, and told all at once."""

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.checkout import Checkout, look_at_checkout
from infrastructure.checks import Finding, bad, looked_at, ok
from infrastructure.deploying import build_machine
from infrastructure.deploying.aws import hosted_zones, quotas, sender
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.parameters import Parameters
from infrastructure.deploying.settings import COMMITTED_ONLY, Settings
from infrastructure.packaging.package import Architecture

#: What the templates say where nothing was given; only for what is looked at here.
RUNNER_CPU_UNITS = 2048


def here(settings: Settings, checkout: Checkout, architecture: Architecture) -> list[Finding]:
    """What this machine needs."""
    committed_only = settings.stage in COMMITTED_ONLY and not settings.dirty
    return [
        look_at_checkout(checkout, committed_only=committed_only),
        build_machine.look_at_python(),
        *build_machine.look_at_builder(architecture),
    ]


def account(found: Account) -> list[Finding]:
    """Credentials and region; without them nothing else can be asked."""
    findings = []
    if not found.region:
        findings.append(bad("no AWS region", "say which: AWS_REGION=eu-central-1 make deploy …"))
    try:
        if found.region:
            identity = found.identity
            findings.append(ok(f"AWS account {identity.account} in {found.region}, as {identity.arn}"))
    except (ClientError, BotoCoreError) as error:
        findings.append(bad(f"no AWS credentials that work ({error})", "sign in, for example with `aws sso login`"))
    return findings


def stage(found: Account, parameters: Parameters) -> list[Finding]:
    """What the account must allow, and what must have been said once."""
    runners = parameters.number("RunnersAtLeast", 1)
    spot = parameters.value("RunnersOnSpot") == "true"
    cpu_units = parameters.number("RunnerCpuUnits", RUNNER_CPU_UNITS)
    findings = []
    mail_from = parameters.value("MailFrom")
    if mail_from:
        ses = found.client("sesv2")
        findings += looked_at(
            f"may SES send as {mail_from}?", lambda: sender.look_at_identity(sender.find(ses, mail_from))
        )
        findings += looked_at("may SES send to everybody?", lambda: sender.look_at_account(ses))
    else:
        findings.append(bad("MAIL_FROM is not given", "say who writes to owners: MAIL_FROM='Your agency <line@…>'"))
    if not parameters.value("OperatorsEmail"):
        mend = "say who signs in first and is told of problems: OPERATORS_EMAIL=…"
        findings.append(bad("OPERATORS_EMAIL is not given", mend))
    findings += looked_at(
        "how many vCPU of Fargate?",
        lambda: quotas.look_at_fargate(found.client("service-quotas"), runners=runners, cpu_units=cpu_units, spot=spot),
    )
    findings += looked_at(
        "how many Lambdas at the same time?", lambda: quotas.look_at_lambda(found.client("lambda"), runners=runners)
    )
    domain = parameters.value("DomainName")
    if domain:
        findings += looked_at(f"the zone of {domain}", lambda: zone(found, parameters, domain))
    return findings


def zone(found: Account, parameters: Parameters, domain: str) -> Finding:
    """A domain needs its zone in Route 53."""
    known = hosted_zone(found, parameters)
    if known:
        return ok(f"{domain} is in the Route 53 zone {known}")
    mend = "create its zone there, say HOSTED_ZONE=…, or put your own proxy before it and say BASE_URL=https://…"
    return bad(f"Route 53 has no public zone for {domain}", mend)


def hosted_zone(found: Account, parameters: Parameters) -> str:
    """Given, else found for the domain; the remembered one only while the domain stays."""
    domain = parameters.value("DomainName")
    if not domain:
        return ""
    if "HostedZoneId" in parameters.given:
        return parameters.given["HostedZoneId"]
    remembered = parameters.remembered
    if remembered.get("HostedZoneId") and remembered.get("DomainName") == domain:
        return remembered["HostedZoneId"]
    return hosted_zones.zone_of(found.client("route53"), domain)
