"""Settings of a deployment, as `make deploy NAME=value` passes them, checked; the stage remembers most of them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chalicelib.model.mail_address import parse_recipients, parse_sender
from chalicelib.model.notices.quiet_hours import parse_quiet_hours
from chalicelib.model.openai_servers import unfit_servers
from chalicelib.model.public_address import unfit_path, unfit_reason
from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.parameters import Parameters

#: The settings of `make deploy` that a stage remembers, each with its stack parameter.
REMEMBERED: Final[Mapping[str, str]] = {
    "MAIL_FROM": "MailFrom",
    "OPERATORS_EMAIL": "OperatorsEmail",
    "QUIET_HOURS": "QuietHours",
    "OPERATORS_MFA": "OperatorsMfa",
    "DOMAIN": "DomainName",
    "HOSTED_ZONE": "HostedZoneId",
    "BASE_URL": "PublicBaseUrl",
    "PROXIES": "Proxies",
    "ARCHITECTURE": "Architecture",
    "OPENAI_BASE_URL": "OpenAiBaseUrl",
    "OPENAI_SERVERS": "OpenAiServers",
    "THINK_AT_ONCE": "ThinkAtOnceGiven",
    "RUNNER_CAPACITY": "RunnerCapacity",
    "LINE_REPLIES_PER_MINUTE": "LineRepliesPerMinute",
    "RUNNERS_AT_LEAST": "RunnersAtLeast",
    "RUNNER_CPU_UNITS": "RunnerCpuUnits",
    "RUNNER_MEMORY_MIB": "RunnerMemoryMiB",
    "RUNNERS_ON_SPOT": "RunnersOnSpot",
    "BROWSER_HEAP_MB": "BrowserHeapMb",
    "LOG_RETENTION_DAYS": "LogRetentionDays",
    "MONTHLY_BUDGET_USD": "MonthlyBudgetUsd",
    "WAF_REQUESTS_PER_5_MINUTES": "WafRequestsPer5Minutes",
    "WAF_RUNNER_REQUESTS_PER_5_MINUTES": "WafRunnerRequestsPer5Minutes",
}
#: The value that makes a stage forget a setting, so that the template's default holds.
FORGET: Final = "none"
#: A bucket’s name has at most 63 letters, and ours contain more than the stage: `answerline-<stage>-deploy-<account>`.
STAGE: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
#: Stages to which only a commit is deployed, unless DIRTY=1.
COMMITTED_ONLY: Final = frozenset({"prod", "production"})

#: The smallest rate that AWS WAF takes.
WAF_AT_LEAST: Final = 10
#: The calls of one idle runner in five minutes (a sync every 3 s, and a held call for the bell), with room for retries.
RUNNER_NEEDS: Final = 300
#: More proxies in a row are a mistake.
MAX_PROXIES: Final = 5
#: The limits that SQS takes for a trigger.
THINK_AT_ONCE: Final = range(2, 1001)

#: The settings that the application parses, and that are refused here for the same reason.
PARSED: Final[Mapping[str, Callable[[str], object]]] = {
    "OPERATORS_EMAIL": parse_recipients,
    "QUIET_HOURS": parse_quiet_hours,
}

_NUMBER = re.compile(r"\d{1,9}")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")


@dataclass(frozen=True)
class Settings:
    """The settings of one command."""

    stage: str
    #: stack parameter → value; empty: forget the remembered value
    given: Mapping[str, str] = field(default_factory=dict)
    yes: bool = False
    dirty: bool = False
    #: resources that the operator knows not to be replaced although CloudFormation cannot rule it out
    may_replace: frozenset[str] = frozenset()
    print_password: bool = False
    delete_data: bool = False
    #: the commit of a rollback
    to: str = ""
    #: the address of the operators' webhook, a secret; empty: forget it; None: as it is
    webhook: str | None = field(default=None, repr=False)

    @property
    def stack(self) -> str:
        """The stack's name, with which every name of the stage begins."""
        return stack_name(self.stage)

    def over(self, remembered: Mapping[str, str]) -> Parameters:
        """Joins the given parameters with those that the stage remembers."""
        return Parameters(self.given, remembered)


def stack_name(stage: str) -> str:
    """The name of a stage's stack."""
    return f"answerline-{stage}"


def parse(environment: Mapping[str, str]) -> Settings:
    """Reads the settings of `make deploy NAME=value`, which make exports. Raises CannotDeploy with all errors."""
    stage = environment.get("STAGE", "")
    errors = []
    if not STAGE.fullmatch(stage) or stage == "local":
        errors.append("STAGE: name the stage, in at most 20 small letters, digits and dashes, for example STAGE=prod.")
    given = {}
    for name, parameter in REMEMBERED.items():
        value = environment.get(name, "").strip()
        if value:
            given[parameter] = "" if value == FORGET else value
            if error := given[parameter] and _error(name, given[parameter]):
                errors.append(f"{name}={value}: {error}")
    webhook = environment.get("OPERATORS_WEBHOOK", "").strip()
    if webhook not in ("", FORGET) and (reason := unfit_reason(webhook)):
        errors.append(f"OPERATORS_WEBHOOK: {reason}; give the https:// address that Slack, or the like, shows.")
    if errors:
        raise CannotDeploy("\n".join(errors))
    if given.get("MailFrom"):
        given["MailFrom"] = parse_sender(given["MailFrom"]).setting
    if given.get("OperatorsEmail"):
        given["OperatorsEmail"] = ",".join(parse_recipients(given["OperatorsEmail"]))
    if given.get("PublicBaseUrl"):
        given["PublicBaseUrl"] = given["PublicBaseUrl"].rstrip("/")
    return Settings(
        stage=stage,
        given=given,
        yes=_flag(environment, "YES"),
        dirty=_flag(environment, "DIRTY"),
        may_replace=frozenset(environment.get("REPLACE", "").replace(",", " ").split()),
        print_password=_flag(environment, "PRINT_PASSWORD"),
        delete_data=environment.get("DATA", "") == "delete",
        to=environment.get("TO", ""),
        webhook={"": None, FORGET: ""}.get(webhook, webhook),
    )


def _parse_error(parse_value: Callable[[str], object], value: str) -> str:
    try:
        parse_value(value)
    except ValueError as error:
        return f"{error}."
    return ""


def _sender_error(value: str) -> str:
    try:
        parse_sender(value)
    except ValueError as error:
        return f"{error}; give an address, or `Your agency <line@example.com>`."
    return ""


def _flag(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("1", "yes", "true")


def _error(name: str, value: str) -> str:
    """The error of this value, as a sentence; empty if it is valid."""
    if name == "BASE_URL":
        reason = unfit_reason(value)
        return f"{reason}; links in mails would not work." if reason else unfit_path(value) or ""
    if name == "OPENAI_SERVERS":
        reason = unfit_servers(value)
        return f"{reason}; give addresses like https://llm.example.com/v1, separated by spaces." if reason else ""
    if name == "OPENAI_BASE_URL":
        reason = unfit_servers(value) if len(value.split()) == 1 else "it is more than one address"
        return (
            f"{reason}; give one like https://eu.api.openai.com/v1, or choose a region for a tenant." if reason else ""
        )
    if name == "MAIL_FROM":
        return _sender_error(value)
    if name in PARSED:
        return _parse_error(PARSED[name], value)
    if name == "DOMAIN":
        valid = _DOMAIN.fullmatch(value) and unfit_reason(f"https://{value}") is None
        return "" if valid else "it is not a public domain name, like line.example.com."
    choices = {
        "ARCHITECTURE": ("arm64", "x86_64"),
        "RUNNERS_ON_SPOT": ("true", "false"),
        "OPERATORS_MFA": ("ON", "OPTIONAL"),
    }
    if name in choices:
        return "" if value in choices[name] else f"it must be {' or '.join(choices[name])}."
    if name == "WAF_REQUESTS_PER_5_MINUTES" and _NUMBER.fullmatch(value) and 0 < int(value) < WAF_AT_LEAST:
        return f"AWS WAF takes {WAF_AT_LEAST} or more; 0 is no limit."
    if name == "WAF_RUNNER_REQUESTS_PER_5_MINUTES" and _NUMBER.fullmatch(value) and int(value) < RUNNER_NEEDS:
        return f"one runner alone needs up to {RUNNER_NEEDS}, and those behind one address share the limit."
    if name == "PROXIES" and _NUMBER.fullmatch(value) and int(value) > MAX_PROXIES:
        return f"at most {MAX_PROXIES} of your own proxies may stand in front of the API."
    if name == "THINK_AT_ONCE" and _NUMBER.fullmatch(value) and int(value) not in THINK_AT_ONCE:
        return f"SQS takes {THINK_AT_ONCE[0]} to {THINK_AT_ONCE[-1]}; none lets the deployment decide."
    if name in ("HOSTED_ZONE",) or _NUMBER.fullmatch(value):
        return ""
    return "it is not a whole number."
