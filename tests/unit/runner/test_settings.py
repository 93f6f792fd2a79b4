"""The environment is read once; one sentence names all that is missing."""

from pathlib import Path

import pytest

from runner.__main__ import main
from runner.browser.chromium import (
    HEAP_MB,
    Chromium,
    ChromiumMissing,
    arguments,
    find,
    user_agent,
)
from runner.exit_codes import ExitCode
from runner.settings import PRODUCTION_HOST_RULES, SettingsError, read_settings


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    bundle = tmp_path / "wa.js"
    bundle.write_text("")
    return {
        "CONTROL_URL": "https://line.test/api/",
        "RUNNER_BOOTSTRAP_TOKEN": "a-long-secret",
        "DATA_DIRECTORY": str(tmp_path),
        "WA_JS": str(bundle),
        "CHROMIUM": "",
    }


def test_the_defaults_are_for_production(environment: dict[str, str]) -> None:
    settings = read_settings(environment)
    assert settings.control_url == "https://line.test/api"
    assert settings.browser_host_rules == PRODUCTION_HOST_RULES
    assert settings.whatsapp_url == "https://web.whatsapp.com/"
    assert settings.chromium is None


def test_every_missing_setting_is_named_and_no_value_is_shown(environment: dict[str, str]) -> None:
    del environment["CONTROL_URL"], environment["DATA_DIRECTORY"]
    environment["RUNNER_BOOTSTRAP_TOKEN"] = "short"
    with pytest.raises(SettingsError, match=r"CONTROL_URL.*RUNNER_BOOTSTRAP_TOKEN.*DATA_DIRECTORY") as caught:
        read_settings(environment)
    assert "short" not in str(caught.value)


def test_a_missing_bundle_names_the_command_that_installs_it(environment: dict[str, str]) -> None:
    environment["WA_JS"] = "/nowhere/wa.js"
    with pytest.raises(SettingsError, match="npm ci"):
        read_settings(environment)


def test_the_token_is_not_shown(environment: dict[str, str]) -> None:
    assert "a-long-secret" not in repr(read_settings(environment))


async def test_a_chromium_that_is_not_there_is_one_sentence_with_a_command() -> None:
    with pytest.raises(ChromiumMissing, match="apt-get install"):
        await find(Path("/nowhere/chromium"), None)


def test_an_empty_environment_ends_with_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.environ", {})
    assert main() == ExitCode.MISCONFIGURED
    assert "CONTROL_URL" in capsys.readouterr().err


def test_the_user_agent_names_the_version_and_not_that_it_is_headless() -> None:
    agent = user_agent(Chromium(Path("chromium"), "156.0.7.8"))
    assert "Chrome/156.0.0.0" in agent
    assert "Headless" not in agent


def test_the_resolver_rules_are_given_exactly_once() -> None:
    flags = arguments("MAP * ~NOTFOUND", "spki=", no_sandbox=False)
    assert [flag for flag in flags if "host-resolver" in flag] == ["--host-resolver-rules=MAP * ~NOTFOUND"]
    assert "--ignore-certificate-errors-spki-list=spki=" in flags
    assert "--no-zygote" not in flags
    assert not {"--ignore-certificate-errors", "--disable-web-security", "--single-process"} & set(flags)


def test_the_heap_of_a_page_is_a_setting(environment: dict[str, str]) -> None:
    assert read_settings(environment).browser_heap_mb == HEAP_MB
    assert read_settings({**environment, "BROWSER_HEAP_MB": "900"}).browser_heap_mb == 900
    assert f"--js-flags=--max-old-space-size={HEAP_MB} --optimize-for-size" in arguments("", None, no_sandbox=False)
    assert "--max-old-space-size=900" in " ".join(arguments("", None, False, 900))


@pytest.mark.parametrize(("given", "per_minute"), [("", 20), ("0", 0), ("5", 5), ("600", 600)])
def test_the_pace_of_a_line_may_be_set(environment: dict[str, str], given: str, per_minute: int) -> None:
    assert read_settings({**environment, "LINE_REPLIES_PER_MINUTE": given}).line_replies_per_minute == per_minute


@pytest.mark.parametrize("given", ["-1", "601", "many"])
def test_a_pace_that_is_none_is_named(environment: dict[str, str], given: str) -> None:
    with pytest.raises(SettingsError, match="LINE_REPLIES_PER_MINUTE"):
        read_settings({**environment, "LINE_REPLIES_PER_MINUTE": given})
