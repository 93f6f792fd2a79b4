"""`python -m infrastructure.doctor`: checks this machine's stack, or a stage on AWS (`make doctor [STAGE=…]`)."""

import os
import sys
import time
from collections.abc import Mapping, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.checkout import REPOSITORY, release_of
from infrastructure.checks import CheckResult, any_bad
from infrastructure.deploying.aws.account import Account
from infrastructure.doctor import machine, news, stage
from infrastructure.local import settings as local_settings
from infrastructure.local.service.installation import with_service


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Prints a line for each check; returns 0 if nothing is bad, 1 otherwise."""
    commit = release_of(REPOSITORY, environment)
    now, wa_js = time.time_ns() // 1_000_000, stage.wa_js_of(REPOSITORY)
    post = news.post_once if environment.get(news.TRY_WEBHOOK) else None
    name = environment.get("STAGE", "")
    try:
        if name:
            account = Account.of_operator(environment)
            results = stage.examine(stage.Stage(account, name, commit, wa_js, now, time.sleep, post=post))
        else:
            settings = local_settings.parse(arguments, with_service(environment))
            results = machine.examine(machine.Machine(settings, commit, wa_js, now, time.sleep, post=post))
    except (local_settings.CannotStart, ClientError, BotoCoreError) as error:
        print(error, file=sys.stderr)
        return 1
    return report(results)


def report(results: Sequence[CheckResult]) -> int:
    """Prints each result on its line; returns the exit code. A reader such as `head` may end earlier."""
    try:
        for result in results:
            print(result)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python writes the rest at its end; where nobody reads, it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if any_bad(results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
