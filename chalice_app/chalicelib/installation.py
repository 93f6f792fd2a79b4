"""The settings of this installation, as the deployment put them into the environment."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from chalicelib.errors import Misconfigured
from chalicelib.model.mail_address import parse_recipients
from chalicelib.model.notices.quiet_hours import QuietHours, parse_quiet_hours
from chalicelib.model.openai_servers import parse_servers


class SetupAdvice(BaseModel):
    """Sentences of whoever installed this, for the page of the setup; commands in them stand between backticks."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: which outside services something here stands in for: no message or reply is a real one; empty: none
    stand_ins: str = ""
    #: the command that has the real ones instead, in a sentence
    make_real: str = ""
    #: the address of the page on which mails stop; empty: they leave for their readers
    mailbox: str = ""
    #: for a step that is open, by its topic: which command or document helps
    steps: Mapping[str, str] = {}

    @classmethod
    def parse(cls, text: str) -> "SetupAdvice":
        """Reads the setting; none, or one of unknown form, is no advice."""
        try:
            return cls.model_validate_json(text) if text else NO_ADVICE
        except ValidationError:
            return NO_ADVICE


NO_ADVICE: Final = SetupAdvice()


class Installation:
    """The settings that need no service.

    Args:
        environment: the process's.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    @property
    def stage(self) -> str:
        return self._environment.get("STAGE", "unknown")

    @property
    def commit(self) -> str:
        return self._environment.get("COMMIT", "unknown")

    @property
    def release(self) -> str:
        """The release that new runners are started from, as they report it; the commit where it is not set."""
        return self._environment.get("RUNNER_RELEASE") or self.commit

    @property
    def backup_state_parameter(self) -> str:
        """The name of the parameter in which backups are reported; empty where this installation makes none itself."""
        return self._environment.get("BACKUP_STATE_PARAMETER", "")

    @property
    def setup_advice(self) -> SetupAdvice:
        """The advice for the page of the setup; empty where none is given."""
        return SetupAdvice.parse(self._environment.get("SETUP_ADVICE", ""))

    @property
    def operators_emails(self) -> tuple[str, ...]:
        """The addresses that get the operators' notices; none where no operator wants them."""
        return parse_recipients(self._environment.get("OPERATORS_EMAIL", ""))

    @property
    def quiet_hours(self) -> QuietHours | None:
        """The hours in which people hear only of what cannot wait; None for no such hours."""
        return parse_quiet_hours(self._environment.get("QUIET_HOURS", ""))

    @property
    def mail_configuration_set(self) -> str:
        """The configuration set under which SES reports bounces and complaints; empty where it reports none."""
        return self._environment.get("MAIL_CONFIGURATION_SET", "")

    @property
    def openai_servers(self) -> tuple[str, ...]:
        """The addresses of servers with OpenAI's Responses API that an assistant may use besides OpenAI."""
        return parse_servers(self._environment.get("OPENAI_SERVERS", ""))

    @property
    def proxies(self) -> int:
        """The number of the operator's own proxies in front of the API, whose X-Forwarded-For is believed."""
        return int(self._environment.get("PROXIES", "0"))

    @property
    def runner_capacity(self) -> int:
        return int(self._environment.get("RUNNER_CAPACITY", "8"))

    @property
    def think_at_once(self) -> int:
        """The concurrency limit of the function that calls the model: an operator's own, or else the deployment's."""
        return next(filter(None, map(int, self._environment.get("THINK_AT_ONCE", "50").split())), 0)

    @property
    def runners_at_least(self) -> int:
        return int(self._environment.get("RUNNERS_AT_LEAST", "1"))

    def _required(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            raise Misconfigured(f"The environment variable {name} is missing; the deployment sets it.")
        return value
