"""Settings of `make deploy`, and the parameters that the stage remembers."""

import json
import re
from typing import Any

import pytest

from infrastructure.checkout import REPOSITORY
from infrastructure.deploying import CannotDeploy, prerequisites
from infrastructure.deploying.aws import quotas
from infrastructure.deploying.aws.sender import address_of
from infrastructure.deploying.settings import REMEMBERED, Settings, parse
from infrastructure.packaging import template
from infrastructure.packaging.package import PARTS

DECLARED: dict[str, Any] = {name: {} for name in [*REMEMBERED.values(), "Stage", "Commit"]}


def test_a_given_value_is_remembered_until_another_is_given() -> None:
    former = {"MailFrom": "a@agency.example", "RunnerCapacity": "5", "Commit": "old"}
    settings = parse({"STAGE": "prod", "RUNNER_CAPACITY": "7", "MAIL_FROM": ""})
    assert settings.over(former).with_decisions({"Commit": "new"}).for_template(DECLARED) == {
        "MailFrom": "a@agency.example",
        "RunnerCapacity": "7",
        "Commit": "new",
    }


def test_none_forgets_a_value_so_that_the_templates_default_holds() -> None:
    settings = parse({"STAGE": "prod", "DOMAIN": "none", "RUNNER_CAPACITY": "none"})
    parameters = settings.over({"DomainName": "line.agency.example", "RunnerCapacity": "5"})
    assert parameters.for_template(DECLARED) == {}
    assert (parameters.value("DomainName", "default"), parameters.number("RunnerCapacity", 8)) == ("", 8)


def test_a_remembered_parameter_that_is_not_declared_is_left_out_and_a_given_one_refused() -> None:
    parameters = Settings("prod", {"MailFrom": "a@agency.example"}).over({"Gone": "x"})
    assert parameters.for_template({"MailFrom": {}}) == {"MailFrom": "a@agency.example"}
    with pytest.raises(CannotDeploy, match="MailFrom"):
        parameters.for_template({"Stage": {}})


#: What may not follow the host of BASE_URL.
UNFIT_PATHS = ("/line", "/line/", "/api/line", "/API", "/%61pi", "//line", "/api?", "?x=1", "#top", "/#/line")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BASE_URL", "http://line.agency.example"),
        ("BASE_URL", "https://localhost/api"),
        ("BASE_URL", "https://192.168.1.5/api"),
        *(("BASE_URL", f"https://line.agency.example{path}") for path in UNFIT_PATHS),
        ("PROXIES", "6"),
        ("PROXIES", "one"),
        ("DOMAIN", "localhost"),
        ("DOMAIN", "https://line.agency.example"),
        ("DOMAIN", "line.internal"),
        ("MAIL_FROM", "nobody"),
        ("OPERATORS_EMAIL", "Name <a@agency.example>"),
        ("OPERATORS_EMAIL", "a@agency.example, nobody"),
        ("OPERATORS_EMAIL", ",".join(f"operator{number}@agency.example" for number in range(6))),
        ("QUIET_HOURS", "22-7"),
        ("QUIET_HOURS", "22:00-07:00 Nowhere"),
        ("ARCHITECTURE", "amd64"),
        ("RUNNERS_ON_SPOT", "maybe"),
        ("OPERATORS_MFA", "off"),
        ("RUNNER_CAPACITY", "-1"),
        ("MONTHLY_BUDGET_USD", "a lot"),
        ("OPENAI_SERVERS", "http://llm.agency.example/v1"),
        ("OPENAI_SERVERS", "https://localhost:11434/v1"),
        ("OPENAI_SERVERS", "https://169.254.169.254/v1"),
        ("OPENAI_SERVERS", "llm.agency.example"),
        ("OPENAI_BASE_URL", "http://eu.api.openai.com/v1"),
        ("OPENAI_BASE_URL", "https://127.0.0.1/v1"),
        ("OPENAI_BASE_URL", "https://eu.api.openai.com/v1 https://api.openai.com/v1"),
        ("OPENAI_BASE_URL", "eu"),
        ("THINK_AT_ONCE", "1"),
        ("THINK_AT_ONCE", "1001"),
        ("THINK_AT_ONCE", "0"),
        ("WAF_REQUESTS_PER_5_MINUTES", "1"),
        ("WAF_REQUESTS_PER_5_MINUTES", "9"),
        ("WAF_RUNNER_REQUESTS_PER_5_MINUTES", "0"),
        ("WAF_RUNNER_REQUESTS_PER_5_MINUTES", "299"),
    ],
)
def test_an_invalid_value_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(CannotDeploy, match=re.escape(f"{name}={value}: ")):
        parse({"STAGE": "prod", name: value})


def test_an_address_with_a_path_is_refused_with_the_one_to_give_instead() -> None:
    for path in UNFIT_PATHS:
        with pytest.raises(CannotDeploy, match=r"has a path.* only that: https://line\.agency\.example:8443\.$"):
            parse({"STAGE": "prod", "BASE_URL": f"https://line.agency.example:8443{path}"})


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/"])
def test_an_address_has_no_path_or_that_of_the_apis_stage(path: str) -> None:
    given = parse({"STAGE": "prod", "BASE_URL": f"https://line.agency.example{path}"}).given
    assert given["PublicBaseUrl"] == f"https://line.agency.example{path.rstrip('/')}"


def test_a_limit_of_requests_is_one_that_waf_takes_or_none() -> None:
    for value in ("0", "10"):
        assert parse({"STAGE": "prod", "WAF_REQUESTS_PER_5_MINUTES": value}).given["WafRequestsPer5Minutes"] == value


@pytest.mark.parametrize(
    ("proxies", "limit", "fits"), [("", "2000", True), ("0", "2000", True), ("1", "0", True), ("1", "2000", False)]
)
def test_the_firewall_does_not_count_visitors_behind_ones_own_proxy_as_one(
    proxies: str, limit: str, fits: bool
) -> None:
    """Either setting may be remembered from an earlier deployment."""
    settings = parse({"STAGE": "prod", "WAF_REQUESTS_PER_5_MINUTES": limit})
    found = prerequisites.check_firewall(settings.over({"Proxies": proxies} if proxies else {}))
    assert (not found) is fits


def test_an_address_may_stand_for_openai() -> None:
    """Without a name that `make deploy` takes, the stack's parameter could be set by nobody."""
    address = "https://eu.api.openai.com/v1"
    assert parse({"STAGE": "prod", "OPENAI_BASE_URL": address}).given["OpenAiBaseUrl"] == address


def test_runners_behind_one_address_get_at_least_what_one_needs() -> None:
    given = parse({"STAGE": "prod", "WAF_RUNNER_REQUESTS_PER_5_MINUTES": "300"}).given
    assert given["WafRunnerRequestsPer5Minutes"] == "300"


def test_the_limit_of_checks_is_one_that_sqs_takes() -> None:
    for value in ("2", "1000"):
        assert parse({"STAGE": "prod", "THINK_AT_ONCE": value}).given["ThinkAtOnceGiven"] == value


def test_the_domain_of_the_sender_is_written_as_ses_writes_it() -> None:
    given = parse({"STAGE": "prod", "MAIL_FROM": "Our Agency <Line@Agency.Example>"}).given
    assert given["MailFrom"] == "Our Agency <Line@agency.example>"


def test_all_errors_are_reported_together() -> None:
    with pytest.raises(CannotDeploy) as refusal:
        parse({"STAGE": "Prod!", "DOMAIN": "nowhere", "ARCHITECTURE": "sparc"})
    assert len(str(refusal.value).splitlines()) == 3


@pytest.mark.parametrize("stage", ["", "local", "Prod", "prod_1", "1st", "a" * 21])
def test_a_stage_has_a_short_plain_name(stage: str) -> None:
    with pytest.raises(CannotDeploy, match="STAGE"):
        parse({"STAGE": stage})
    assert parse({"STAGE": "prod"}).stack == "answerline-prod"


def test_a_valid_value_of_each_kind_is_taken() -> None:
    reported = {
        "STAGE": "staging-2",
        "BASE_URL": "https://line.agency.example/api",
        "DOMAIN": "line.agency.example",
        "MAIL_FROM": "Your agency <line@agency.example>",
        "OPERATORS_EMAIL": "us@agency.example",
        "ARCHITECTURE": "arm64",
        "HOSTED_ZONE": "Z123",
        "RUNNERS_ON_SPOT": "true",
        "OPERATORS_MFA": "OPTIONAL",
        "LOG_RETENTION_DAYS": "30",
        "OPENAI_SERVERS": "https://llm.agency.example/v1 https://in.api.openai.com/v1",
        "YES": "1",
        "REPLACE": "Table,UserPool",
    }
    settings = parse(reported)
    assert settings.given["OpenAiServers"] == reported["OPENAI_SERVERS"]
    assert settings.given["PublicBaseUrl"] == reported["BASE_URL"]
    assert (settings.yes, settings.dirty, settings.may_replace) == (True, False, frozenset({"Table", "UserPool"}))
    assert address_of(settings.given["MailFrom"]) == "line@agency.example"


def test_the_templates_declare_all_parameters_and_names_that_a_deployment_uses() -> None:
    paths = [REPOSITORY / "infrastructure" / "cloudformation" / part for part in PARTS]
    body = template.merged([(path.name, template.load(path)) for path in paths if path.is_file()])
    decided = {"Stage", "Commit", "RunnerImage", "MailIdentity", "ApiLogsAreSetUp", "ThinkAtOnce"}
    decided |= {"RunnerZoneA", "RunnerZoneB"}
    assert {*REMEMBERED.values(), *decided} <= set(body["Parameters"])
    assert int(body["Parameters"]["RunnerCpuUnits"]["Default"]) == prerequisites.RUNNER_CPU_UNITS
    text = json.dumps(body)
    for name in ("runner-bootstrap-token", "public-base-url"):
        assert f"/${{AWS::StackName}}/{name}" in text
    assert str(body["Parameters"]["ThinkAtOnce"]["Default"]) == str(quotas.THINK_AT_ONCE)
    assert {"MailSender", "SubnetA"} <= set(body["Resources"])
    for name in ("runners", "jobs-dead"):
        assert f'"${{AWS::StackName}}-{name}"' in text


@pytest.mark.parametrize(
    "text", ["us@agency.example, you@agency.example", "us@agency.example;you@agency.example us@AGENCY.example"]
)
def test_several_operators_addresses_are_one_setting_however_they_are_separated(text: str) -> None:
    given = parse({"STAGE": "prod", "OPERATORS_EMAIL": text}).given
    assert given["OperatorsEmail"] == "us@agency.example,you@agency.example"


@pytest.mark.parametrize(
    ("given", "webhook"),
    [("", None), ("none", ""), ("https://hooks.example.com/secret", "https://hooks.example.com/secret")],
)
def test_the_webhook_is_stored_forgotten_or_left_as_it_is_and_never_shown(given: str, webhook: str | None) -> None:
    settings = parse({"STAGE": "prod", "OPERATORS_WEBHOOK": given})
    assert settings.webhook == webhook
    assert "secret" not in repr(settings) and "secret" not in str(settings.given)


@pytest.mark.parametrize("address", ["http://hooks.example.com/secret", "https://10.0.0.1/secret", "secret"])
def test_a_webhook_that_is_not_public_is_refused_without_its_address(address: str) -> None:
    with pytest.raises(CannotDeploy, match="OPERATORS_WEBHOOK: ") as refused:
        parse({"STAGE": "prod", "OPERATORS_WEBHOOK": address})
    assert "secret" not in str(refused.value)
