"""What `make deploy NAME=…` was told, checked; the stage remembers most of it as stack parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chalicelib.model.public_address import why_unfit
from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.parameters import Parameters

#: What may be said at `make deploy`, and the stack parameter that remembers it.
REMEMBERED: Final[Mapping[str, str]] = {
    "MAIL_FROM": "MailFrom",
    "OPERATORS_EMAIL": "OperatorsEmail",
    "OPERATORS_MFA": "OperatorsMfa",
    "DOMAIN": "DomainName",
    "HOSTED_ZONE": "HostedZoneId",
    "BASE_URL": "PublicBaseUrl",
    "ARCHITECTURE": "Architecture",
    "THINK_AT_ONCE": "ThinkAtOnceGiven",
    "RUNNER_CAPACITY": "RunnerCapacity",
    "RUNNERS_AT_LEAST": "RunnersAtLeast",
    "RUNNER_CPU_UNITS": "RunnerCpuUnits",
    "RUNNER_MEMORY_MIB": "RunnerMemoryMiB",
    "RUNNERS_ON_SPOT": "RunnersOnSpot",
    "LOG_RETENTION_DAYS": "LogRetentionDays",
    "MONTHLY_BUDGET_USD": "MonthlyBudgetUsd",
    "WAF_REQUESTS_PER_5_MINUTES": "WafRequestsPer5Minutes",
}
#: Said instead of a value, it forgets the remembered one.
NOTHING: Final = "none"
#: A bucket’s name has at most 63 letters, and ours carry more than the stage: `answerline-<stage>-deploy-<account>`.
STAGE: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
#: Stages of which only a commit may be deployed, unless DIRTY=1 says otherwise.
COMMITTED_ONLY: Final = frozenset({"prod", "production"})

#: The smallest rate that AWS WAF takes.
WAF_AT_LEAST: Final = 10
#: What SQS takes as a trigger's limit.
THINK_AT_ONCE: Final = range(2, 1001)

_NUMBER = re.compile(r"\d{1,9}")
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")


@dataclass(frozen=True)
class Settings:
    """Everything a deployment is told."""

    stage: str
    #: stack parameter → value; empty: forget it
    given: Mapping[str, str] = field(default_factory=dict)
    yes: bool = False
    dirty: bool = False
    #: a parameter's resource that is known not to be replaced although CloudFormation can't rule it out
    may_replace: frozenset[str] = frozenset()
    print_password: bool = False
    delete_data: bool = False
    #: the commit to go back to
    to: str = ""

    @property
    def stack(self) -> str:
        """Everything is named after it."""
        return stack_name(self.stage)

    def over(self, remembered: Mapping[str, str]) -> Parameters:
        """Joins what is given with what the stage remembers."""
        return Parameters(self.given, remembered)


def stack_name(stage: str) -> str:
    """The stack of a stage."""
    return f"answerline-{stage}"


def parse(environment: Mapping[str, str]) -> Settings:
    """Settings from `make deploy NAME=value`, which make hands on as environment. Raises CannotDeploy, all at once."""
    stage = environment.get("STAGE", "")
    wrong = []
    if not STAGE.fullmatch(stage) or stage == "local":
        wrong.append("STAGE: say which stage, at most 20 small letters, digits and dashes, for example STAGE=prod.")
    given = {}
    for name, parameter in REMEMBERED.items():
        value = environment.get(name, "").strip()
        if value:
            given[parameter] = "" if value == NOTHING else value
            if sentence := given[parameter] and _wrong(name, given[parameter]):
                wrong.append(f"{name}={value}: {sentence}")
    if "MailFrom" in given:
        before, at, domain = given["MailFrom"].rpartition("@")
        given["MailFrom"] = before + at + domain.lower()  # as SES writes its identities
    if wrong:
        raise CannotDeploy("\n".join(wrong))
    return Settings(
        stage=stage,
        given=given,
        yes=_said(environment, "YES"),
        dirty=_said(environment, "DIRTY"),
        may_replace=frozenset(environment.get("REPLACE", "").replace(",", " ").split()),
        print_password=_said(environment, "PRINT_PASSWORD"),
        delete_data=environment.get("DATA", "") == "delete",
        to=environment.get("TO", ""),
    )


def address_of(mail_from: str) -> str:
    """The address alone, of ``Name <address>`` or an address."""
    return mail_from.rpartition("<")[2].rstrip("> ").strip()


def _said(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("1", "yes", "true")


def _wrong(name: str, value: str) -> str:
    """What is wrong with this value, as a sentence; empty if nothing is."""
    if name == "BASE_URL":
        reason = why_unfit(value)
        return f"{reason}; links in mails would lead nowhere." if reason else ""
    if name == "MAIL_FROM":
        return "" if _ADDRESS.fullmatch(address_of(value)) else "it is not an address, or `Name <address>`."
    if name == "OPERATORS_EMAIL":
        return "" if _ADDRESS.fullmatch(value) else "it is not an e-mail address."
    if name == "DOMAIN":
        fit = _DOMAIN.fullmatch(value) and why_unfit(f"https://{value}") is None
        return "" if fit else "it is not a domain name that the world knows, like line.example.com."
    choices = {
        "ARCHITECTURE": ("arm64", "x86_64"),
        "RUNNERS_ON_SPOT": ("true", "false"),
        "OPERATORS_MFA": ("ON", "OPTIONAL"),
    }
    if name in choices:
        return "" if value in choices[name] else f"say {' or '.join(choices[name])}."
    if name == "WAF_REQUESTS_PER_5_MINUTES" and _NUMBER.fullmatch(value) and 0 < int(value) < WAF_AT_LEAST:
        return f"AWS WAF counts from {WAF_AT_LEAST} on; 0 is no limit."
    if name == "THINK_AT_ONCE" and _NUMBER.fullmatch(value) and int(value) not in THINK_AT_ONCE:
        return f"SQS takes {THINK_AT_ONCE[0]} to {THINK_AT_ONCE[-1]}; none lets the deployment decide."
    if name in ("HOSTED_ZONE",) or _NUMBER.fullmatch(value):
        return ""
    return "it is not a whole number."
