"""Settings: what can be chosen, and one sentence for what cannot work."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.checkout import REPOSITORY
from infrastructure.local.aws import Aws
from infrastructure.local.environment import (
    local_environment,
    runner_environment,
    runner_variables,
)
from infrastructure.local.programs import Programs
from infrastructure.local.resources import Created
from infrastructure.local.settings import CannotStart, Ports, Settings, parse

CREATED = Created(
    table="t", bucket="b", jobs_queue="s-jobs", notices_queue="s-notices", key="alias/s",
    user_pool="p", user_pool_client="c", user_pool_parameter="/s/cognito-user-pool-id",
    user_pool_client_parameter="/s/cognito-client-id",
    mail_configuration_set="m", cluster="s", service="s-runners", base_url_parameter="/s/public-base-url",
    runner_token_parameter="/s/runner-bootstrap-token", backup_state_parameter="/s/backup-state",
    events_queue="s-local-events",
)  # fmt: skip
AWS = Aws("http://127.0.0.1:1", "http://127.0.0.1:2", "LOCAL1", "secret")


def test_everything_is_simulated_on_fixed_ports_by_default() -> None:
    settings = parse([], {})
    assert settings.ports == Ports(4700, 4701, 4702, 4703, 4704, 4705, 4706)
    assert (settings.simulate_whatsapp, settings.simulate_openai) == (True, True)
    assert settings.base_url == "http://localhost:4700/api"
    assert settings.warnings() == []


def test_the_environment_is_what_make_passes_on() -> None:
    given = {"WHATSAPP": "real", "OPENAI": "real", "BASE_URL": "https://line.example/", "PORTS": "5000"}
    settings = parse([], given)
    assert settings.ports.gateway == 5000
    assert (settings.simulate_whatsapp, settings.simulate_openai) == (False, False)
    assert settings.base_url == "https://line.example/api"


@pytest.mark.parametrize("address", ["https://a.example", "https://a.example/", "https://a.example/api/"])
def test_a_public_address_is_a_host_with_or_without_the_stage(address: str) -> None:
    assert parse([], {"BASE_URL": address}).base_url == "https://a.example/api"


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (None, True),
        ("http://localhost:4700", True),
        ("https://localhost:8443", True),
        ("https://answerline.lan", True),
        ("https://192.168.1.7", True),
        ("https://line.agency.de", False),
        ("https://line.agency.de:8443", False),
    ],
)
def test_a_private_name_with_tls_serves_its_own_network(address: str | None, local: bool) -> None:
    settings = parse([], {"WHATSAPP": "real", "SMTP_URL": "smtps://m.example", "MAIL_FROM": "a@agency.de"})
    settings = replace(settings, public_url=address)
    assert settings.links_are_local is local
    assert any("BASE_URL" in sentence for sentence in settings.warnings()) is local


def test_a_password_in_the_public_address_is_refused_and_not_repeated() -> None:
    for address in ("https://user:s3cret@a.example", "https://s3cret@a.example", "https://:s3cret@a.example"):
        with pytest.raises(CannotStart, match="has a user or a password in it") as refused:
            parse([], {"BASE_URL": address})
        assert "s3cret" not in str(refused.value)


def test_a_sender_with_a_comma_in_its_name_is_taken() -> None:
    sender = "Smith, Jones & Co <line@example.com>"
    assert parse([], {"MAIL_FROM": sender}).mail_from == sender


def test_a_compatible_server_may_be_on_this_machine() -> None:
    servers = "https://llm.example/v1 http://localhost:11434/v1"
    assert parse([], {"OPENAI_SERVERS": servers}).openai_servers == servers


def test_free_ports_are_seven_different_ones() -> None:
    ports = parse([], {"PORTS": "auto"}).ports
    assert len(set(vars(ports).values())) == 7


def test_real_use_names_its_missing_settings() -> None:
    settings = parse([], {"WHATSAPP": "real"})
    assert [sentence.partition(" ")[0] for sentence in settings.warnings()] == ["BASE_URL", "SMTP_URL"]
    complete = {"WHATSAPP": "real", "BASE_URL": "https://a.example", "SMTP_URL": "smtps://m.example"}
    assert [sentence.partition(" ")[0] for sentence in parse([], complete).warnings()] == ["MAIL_FROM"]
    assert parse([], {**complete, "MAIL_FROM": "line@a.example"}).warnings() == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"WHATSAPP": "yes"}, "WHATSAPP=yes means nothing"),
        ({"PORTS": "80"}, "not a first port"),
        ({"PORTS": "http"}, "not a first port"),
        ({"BASE_URL": "line.example"}, "is not an address"),
        ({"BASE_URL": "https://"}, "is not an address"),
        ({"BASE_URL": "https://a b.example"}, "is not an address"),
        ({"BASE_URL": "https://a.example:99999"}, "is not an address"),
        ({"BASE_URL": "https://a.example:x"}, "is not an address"),
        ({"BASE_URL": "https://[::1"}, "is not an address"),
        ({"BASE_URL": "https://a.example{"}, "is not an address"),
        ({"BASE_URL": "https://ä.example"}, "is not an address"),
        ({"BASE_URL": "https://a..example"}, "is not an address"),
        ({"BASE_URL": "ftp://a.example"}, "is not an address"),
        ({"BASE_URL": "https://a.example\\@b.example"}, "is not an address|has a user"),
        ({"BASE_URL": "http://line.example"}, "must start with https://"),
        ({"BASE_URL": "https://a.example/line"}, "has a path.* only that: https://a.example"),
        ({"BASE_URL": "https://a.example/api?x=1"}, "has a path"),
        ({"BASE_URL": "https://a.example/api?"}, "has a path"),
        ({"BASE_URL": "https://a.example/#"}, "has a path"),
        ({"BASE_URL": "https://a.example/api/line"}, "has a path"),
        ({"SMTP_URL": "mail.example:25"}, "is not an address"),
        ({"MAIL_FROM": "Answerline"}, "it is not an e-mail address"),
        ({"MAIL_FROM": "a <b@c.example>, d <e@f.example>x"}, "it is not an e-mail address"),
        ({"OPENAI_SERVERS": "llm.example/v1"}, "is not an address"),
        ({"OPENAI_SERVERS": "https://key@llm.example/v1"}, "is not an address"),
        ({"OPENAI_SERVERS": "https://llm.example/v1 http://llm.example/v1"}, "must start with https://"),
    ],
)
def test_an_impossible_setting_is_reported_in_one_sentence(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(CannotStart, match=sentence):
        parse([], given)


def test_a_password_in_the_mail_address_is_never_shown() -> None:
    with pytest.raises(CannotStart) as refused:
        parse([], {"SMTP_URL": "imap://user:secret@mail.example"})
    assert "secret" not in str(refused.value)


def test_the_application_gets_names_and_endpoints_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    environment = local_environment(CREATED, aws=AWS, mail_from="a@b.example", openai_base_url=None, commit="abc")
    assert "AWS_PROFILE" not in environment
    assert "OPENAI_BASE_URL" not in environment
    assert environment["AWS_ENDPOINT_URL"] == AWS.endpoint
    assert environment["AWS_ENDPOINT_URL_DYNAMODB"] == AWS.table_endpoint
    assert environment["KMS_KEY_ID"] == "alias/s"


def test_the_application_gets_every_variable_that_its_wiring_reads_and_no_other() -> None:
    application = REPOSITORY / "chalice_app" / "chalicelib"
    readers = "".join((application / f"{name}.py").read_text() for name in ("installation", "wiring"))
    read = set(re.findall(r"""(?:environment\.get|_required)\("([A-Z_]+)\"""", readers))
    simulated = "http://127.0.0.1:2"
    environment = local_environment(CREATED, aws=AWS, mail_from="a@b.example", openai_base_url=simulated, commit="abc")
    # Here runners are started from the very checkout, so their release is its commit.
    assert set(environment) - set(AWS.environment()) == read - {"AWS_REGION", "RUNNER_RELEASE"}


def test_a_runner_knows_nothing_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    variables = runner_variables(
        control_url="http://localhost:1/api", bootstrap_token="token-token", task="arn", settings={"CAPACITY": "3"}
    )
    environment = runner_environment(variables, Path("/data/slot-1"))
    assert not [name for name, value in environment.items() if name.startswith("AWS") or value == "secret"]
    assert environment["CAPACITY"] == "3"


def test_settings_can_be_varied_for_a_second_stack() -> None:
    settings = Settings()
    assert replace(settings, runners=0).ports == settings.ports


@pytest.mark.parametrize(("whatsapp", "openai", "guarded"), [(1, 1, 0), (0, 1, 1), (1, 0, 1), (0, 0, 1)])
def test_only_operators_see_mails_and_simulators_where_something_is_real(
    whatsapp: int, openai: int, guarded: int
) -> None:
    kinds = ("real", "simulated")
    settings = parse([], {"WHATSAPP": kinds[whatsapp], "OPENAI": kinds[openai], "PORTS": "4700"})
    assert settings.guarded_by == ("http://localhost:4700/api/admin" if guarded else None)
    assert Programs(settings).operators_alone == (["--admin", settings.guarded_by] if guarded else [])


def test_several_operators_get_the_mail_and_the_first_one_signs_in() -> None:
    settings = parse([], {"OPERATOR_EMAIL": "us@agency.example, you@agency.example"})
    assert (settings.operator_email, settings.notices.operators_email) == (
        "us@agency.example",
        "us@agency.example,you@agency.example",
    )


def test_the_webhook_is_a_secret_that_no_settings_show() -> None:
    settings = parse([], {"OPERATORS_WEBHOOK": "https://hooks.example.com/secret"})
    assert settings.notices.webhook == "https://hooks.example.com/secret"
    assert "secret" not in repr(settings)
    for address in ("http://hooks.example.com/secret", "https://127.0.0.1/secret", "https://10.0.0.1/secret", "secret"):
        with pytest.raises(CannotStart, match="OPERATORS_WEBHOOK: ") as refused:
            parse([], {"OPERATORS_WEBHOOK": address})
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("name", "value"), [("OPERATOR_EMAIL", "us, you"), ("QUIET_HOURS", "at night")])
def test_a_setting_of_notices_that_is_none_is_refused_with_the_reason(name: str, value: str) -> None:
    with pytest.raises(CannotStart, match=f"{name}={value}: "):
        parse([], {name: value})
