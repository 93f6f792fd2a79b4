"""The runner's settings, read from the environment once."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from runner.hardening import browser_variables
from runner.messages.token_bucket import REPLIES_PER_MINUTE
from wire import MAX_CAPACITY

#: Only WhatsApp's names resolve: no loopback, no metadata service, no tracker. The rule holds for IP literals too
#: (tests/contract/test_runner_whatsapp.py proves it).
PRODUCTION_HOST_RULES = "MAP * ~NOTFOUND, EXCLUDE *.whatsapp.com, EXCLUDE *.whatsapp.net, EXCLUDE *.fbcdn.net"
WA_JS = Path(__file__).parent / "node_modules" / "@wppconnect" / "wa-js" / "dist" / "wppconnect-wa.js"


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one sentence that names it."""


class Settings(BaseModel):
    """The settings of one runner, named as in the environment, in lower case."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    #: The control plane's API, ``https://host/api``; ``/runner/…`` is added.
    control_url: str
    runner_bootstrap_token: str = Field(min_length=8, repr=False)
    #: One directory per runner; no other process uses it at the same time.
    data_directory: Path
    capacity: int = Field(default=8, ge=1, le=MAX_CAPACITY)
    #: The replies that a line begins in a minute, over all of its chats; 0: no limit.
    line_replies_per_minute: int = Field(default=REPLIES_PER_MINUTE, ge=0, le=600)
    chromium: Path | None = None
    #: The whole value of Chromium's ``--host-resolver-rules``.
    browser_host_rules: str = Field(default=PRODUCTION_HOST_RULES, min_length=1)
    browser_certificate_spki: str | None = None
    #: The heap that a page's scripts may have; beyond it the page crashes.
    browser_heap_mb: int = Field(default=512, ge=128, le=4096)
    #: The directory with the slots of the boot gate, for all runners of a machine; without it each has its own.
    boot_gate_directory: Path | None = None
    #: The whole environment that browsers inherit; not a variable itself.
    browser_environment: dict[str, str] = Field(default_factory=dict)
    #: Chromium without its sandbox: for root, and for containers that forbid user namespaces.
    no_sandbox: bool = Field(default_factory=lambda: os.geteuid() == 0)
    wa_js: Path = WA_JS
    whatsapp_url: str = "https://web.whatsapp.com/"
    #: The supervisor's name for this process; on ECS the runner asks for the task's ARN instead.
    task: str = ""
    ecs_container_metadata_uri_v4: str | None = None
    image: str = ""
    commit: str = ""
    log_level: str = "INFO"

    @field_validator("control_url")
    @classmethod
    def _require_address(cls, value: str) -> str:
        if urlsplit(value).scheme not in {"https", "http"}:
            raise ValueError("must be an http(s) address")
        return value.rstrip("/")

    @field_validator("log_level")
    @classmethod
    def _require_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("data_directory", "wa_js")
    @classmethod
    def _make_absolute(cls, value: Path) -> Path:
        return value.absolute()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Reads the settings; an empty variable counts as unset. Raises SettingsError."""
    given = {name: environment[name.upper()] for name in Settings.model_fields if environment.get(name.upper())}
    try:
        settings = Settings.model_validate({**given, "browser_environment": browser_variables(environment)})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"The runner's environment is incomplete: {wrong}.") from None
    if not settings.wa_js.is_file():
        raise SettingsError(f"wa-js is not at {settings.wa_js}; install it with `npm ci` in runner/.")
    return settings
