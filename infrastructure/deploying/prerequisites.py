"""Prerequisites of a deployment, all checked and reported before anything is built."""

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.checkout import Checkout, check_checkout
from infrastructure.checks import CheckResult, bad, ok, run_check
from infrastructure.deploying import build_machine
from infrastructure.deploying.aws import hosted_zones, quotas, sender
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.parameters import Parameters
from infrastructure.deploying.settings import COMMITTED_ONLY, Settings
from infrastructure.packaging.package import Architecture

#: The template's default; used only for the check of Fargate's quota.
RUNNER_CPU_UNITS = 2048


def check_machine(settings: Settings, checkout: Checkout, architecture: Architecture) -> list[CheckResult]:
    """Checks the checkout and this machine's tools."""
    committed_only = settings.stage in COMMITTED_ONLY and not settings.dirty
    return [
        check_checkout(checkout, committed_only=committed_only),
        build_machine.check_python(),
        *build_machine.check_builder(architecture),
    ]


def check_credentials(account: Account) -> list[CheckResult]:
    """Checks credentials and region; no other call to AWS works without them."""
    results = []
    if not account.region:
        results.append(bad("no AWS region", "set it: AWS_REGION=eu-central-1 make deploy …"))
    try:
        if account.region:
            identity = account.identity
            results.append(ok(f"AWS account {identity.account} in {account.region}, as {identity.arn}"))
    except (ClientError, BotoCoreError) as error:
        results.append(bad(f"no AWS credentials that work ({error})", "sign in, for example with `aws sso login`"))
    return results


def check_account(account: Account, parameters: Parameters) -> list[CheckResult]:
    """Checks the account's limits, and the settings that every stage needs."""
    runners = parameters.number("RunnersAtLeast", 1)
    spot = parameters.value("RunnersOnSpot") == "true"
    cpu_units = parameters.number("RunnerCpuUnits", RUNNER_CPU_UNITS)
    results = []
    mail_from = parameters.value("MailFrom")
    if mail_from:
        ses = account.client("sesv2")
        results += run_check(
            f"may SES send as {mail_from}?", lambda: sender.check_identity(sender.find(ses, mail_from))
        )
        results += run_check("may SES send to everybody?", lambda: sender.check_account(ses))
    else:
        results.append(bad("MAIL_FROM is not set", "set the sender of mails: MAIL_FROM='Your agency <line@…>'"))
    if not parameters.value("OperatorsEmail"):
        fix = "set the address of the first operator, who is also notified of problems: OPERATORS_EMAIL=…"
        results.append(bad("OPERATORS_EMAIL is not set", fix))
    results += check_firewall(parameters)
    results += run_check(
        "how many vCPU of Fargate?",
        lambda: quotas.check_fargate(account.client("service-quotas"), runners=runners, cpu_units=cpu_units, spot=spot),
    )
    results += run_check(
        "how many Lambdas at the same time?",
        lambda: quotas.check_lambda(account.client("lambda"), runners=runners),
    )
    domain = parameters.value("DomainName")
    if domain:
        results += run_check(f"the zone of {domain}", lambda: check_hosted_zone(account, parameters, domain))
    return results


def check_firewall(parameters: Parameters) -> list[CheckResult]:
    """Refuses AWS WAF's limit of each address where all visitors have one address: that of the operator's own proxy."""
    if not parameters.number("Proxies", 0) or not parameters.number("WafRequestsPer5Minutes", 0):
        return []
    fix = "limit requests in your proxy, and set WAF_REQUESTS_PER_5_MINUTES=0"
    return [bad("AWS WAF would count all visitors behind your proxy as one, and block them together", fix)]


def check_hosted_zone(account: Account, parameters: Parameters, domain: str) -> CheckResult:
    """Checks that Route 53 has a public zone for the stage's domain."""
    zone = find_hosted_zone(account, parameters)
    if zone:
        return ok(f"{domain} is in the Route 53 zone {zone}")
    fix = "create its zone there, set HOSTED_ZONE=…, or put your own proxy before it and set BASE_URL=https://…"
    return bad(f"Route 53 has no public zone for {domain}", fix)


def find_hosted_zone(account: Account, parameters: Parameters) -> str:
    """Returns the given zone, else the remembered one while the domain stays, else the one that Route 53 has."""
    domain = parameters.value("DomainName")
    if not domain:
        return ""
    if "HostedZoneId" in parameters.given:
        return parameters.given["HostedZoneId"]
    remembered = parameters.remembered
    if remembered.get("HostedZoneId") and remembered.get("DomainName") == domain:
        return remembered["HostedZoneId"]
    return hosted_zones.find(account.client("route53"), domain)
