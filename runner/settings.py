"""The runner's settings, read from the environment once."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from runner.hardening import browser_variables
from wire import CAPACITY_AT_MOST

#: Nothing but WhatsApp resolves: neither loopback nor the metadata service, nor any tracker. The rule holds for
#: IP literals too (tests/contract/test_runner_whatsapp.py proves it).
PRODUCTION_HOST_RULES = "MAP * ~NOTFOUND, EXCLUDE *.whatsapp.com, EXCLUDE *.whatsapp.net, EXCLUDE *.fbcdn.net"
HERE = Path(__file__).parent
WA_JS = HERE / "node_modules" / "@wppconnect" / "wa-js" / "dist" / "wppconnect-wa.js"


class SettingsError(Exception):
    """The environment lacks something; the message is one sentence that says what."""


class Settings(BaseModel):
    """What differs from one runner to another. Names are the environment's, in lower case."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    #: The control plane's door, ``https://host/api``; ``/runner/…`` is added.
    control_url: str
    runner_bootstrap_token: str = Field(min_length=8, repr=False)
    #: One directory per runner; nobody else uses it at the same time.
    data_directory: Path
    capacity: int = Field(default=8, ge=1, le=CAPACITY_AT_MOST)
    chromium: Path | None = None
    #: The whole value of Chromium's ``--host-resolver-rules``.
    browser_host_rules: str = Field(default=PRODUCTION_HOST_RULES, min_length=1)
    browser_certificate_spki: str | None = None
    #: The whole environment that browsers get; no variable of its own.
    browser_environment: dict[str, str] = Field(default_factory=dict)
    #: Chromium without its sandbox: for root, and for containers that forbid user namespaces.
    no_sandbox: bool = Field(default_factory=lambda: os.geteuid() == 0)
    wa_js: Path = WA_JS
    whatsapp_url: str = "https://web.whatsapp.com/"
    #: What the outside calls this process (the supervisor's name for it); on ECS the task's ARN is asked for.
    task: str = ""
    ecs_container_metadata_uri_v4: str | None = None
    image: str = ""
    commit: str = ""
    log_level: str = "INFO"

    @field_validator("control_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if urlsplit(value).scheme not in {"https", "http"}:
            raise ValueError("must be an http(s) address")
        return value.rstrip("/")

    @field_validator("log_level")
    @classmethod
    def _a_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("data_directory", "wa_js")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.absolute()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; an empty variable counts as unset."""
    given = {name: environment[name.upper()] for name in Settings.model_fields if environment.get(name.upper())}
    try:
        settings = Settings.model_validate({**given, "browser_environment": browser_variables(environment)})
    except ValidationError as trouble:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in trouble.errors())
        raise SettingsError(f"The runner's environment is incomplete: {wrong}.") from None
    if not settings.wa_js.is_file():
        raise SettingsError(f"wa-js is not at {settings.wa_js}; install it with `npm ci` in runner/.")
    return settings
