"""`python -m infrastructure.doctor`: is this installation well? One line per check (`make doctor [STAGE=…]`)."""

import os
import sys
import time
from collections.abc import Mapping, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure import deploy
from infrastructure.checkout import REPOSITORY, checkout
from infrastructure.checks import Finding, is_bad
from infrastructure.deploying.aws.account import Account
from infrastructure.doctor import machine
from infrastructure.doctor import stage as doctor_stage
from infrastructure.local import settings as local_settings


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """0 if nothing is bad, 1 otherwise."""
    commit = checkout(REPOSITORY).commit or "unknown"
    now, wa_js = time.time_ns() // 1_000_000, doctor_stage.wa_js_of(REPOSITORY)
    stage = environment.get("STAGE", "")
    try:
        if stage:
            account = Account(deploy.session(environment), deploy.endpoint(environment))
            found = doctor_stage.examine(doctor_stage.Stage(account, stage, commit, wa_js, now, time.sleep))
        else:
            settings = local_settings.parse(arguments, environment)
            found = machine.examine(machine.Machine(settings, commit, wa_js, now, time.sleep))
    except (local_settings.CannotStart, ClientError, BotoCoreError) as error:
        print(error, file=sys.stderr)
        return 1
    return told(found)


def told(found: Sequence[Finding]) -> int:
    """Each on its line; the exit code."""
    for finding in found:
        print(finding)
    return 1 if is_bad(found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
