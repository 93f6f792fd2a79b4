"""`python -m infrastructure.local.service install|remove|caddyfile|upgrade`: `make service` and its relatives."""

import json
import os
import sys
from collections.abc import Mapping, Sequence

from infrastructure.checkout import REPOSITORY
from infrastructure.local.service import installation, upgrade
from infrastructure.local.service.caddyfile import caddyfile
from infrastructure.local.service.installed import Places
from infrastructure.local.settings import HOST, CannotStart, Settings, parse


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Returns 0, or 1 with one sentence on standard error."""
    try:
        match list(arguments):
            case ["install"]:
                _print_addresses(installation.install(REPOSITORY, environment, _print))
            case ["remove"]:
                installation.remove(environment, _print)
            case ["caddyfile"]:
                _print(caddyfile(_settings(environment)).rstrip("\n"))
            case ["check"]:
                installation.check_as_account(parse([], environment))
            case ["upgrade"]:
                return upgrade.upgrade(REPOSITORY, environment, _print)
            case _:
                raise CannotStart("Say what: `make service`, `make service-remove`, `make caddyfile`, `make upgrade`.")
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _settings(environment: Mapping[str, str]) -> Settings:
    """Returns the settings of this command line, or those of the installed service where it names no address."""
    places = Places.from_environment(environment)
    if environment.get("BASE_URL") or not places.settings.exists():
        return parse([], environment)
    return installation.read_settings(places, environment)


def _print_addresses(settings: Settings) -> None:
    password = ""
    try:
        first = json.loads((settings.data / "operator.json").read_text()).get("first_password")
        password = f", first password {first}" if first else ", the password you chose"
    except (OSError, ValueError):
        pass  # the journal says where it is
    _print(f"  admin  {settings.base_url}/admin")
    _print(f"         {settings.operator_email}{password}")
    if settings.simulate_whatsapp:
        _print(f"  phone  http://{HOST}:{settings.ports.phone}, and the mails http://{HOST}:{settings.ports.outbox}")
        _print("         both on this machine alone; from another: ssh -L PORT:localhost:PORT")
    for sentence in settings.warnings():
        _print(f"  ! {sentence}")
    _print("  It starts at boot. `journalctl -u answerline -f` shows what it does, `make doctor` whether it is well.")


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
