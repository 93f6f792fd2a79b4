"""`python -m infrastructure.deploying VERB`: the command behind `make deploy STAGE=…`, rollback, destroy and others."""

import os
import sys
from collections.abc import Mapping, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.checkout import REPOSITORY
from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.context import Context
from infrastructure.deploying.deployment import deploy
from infrastructure.deploying.rollback import rollback
from infrastructure.deploying.settings import parse
from infrastructure.deploying.teardown import destroy
from infrastructure.deploying.token_rotation import rotate_token
from infrastructure.packaging.deployment_zip import NotCompiled
from infrastructure.packaging.lambda_python import PythonMissing
from infrastructure.packaging.package import PackageFailed
from infrastructure.packaging.template import Clash

VERBS = {"deploy": deploy, "rollback": rollback, "rotate-token": rotate_token, "destroy": destroy}


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Runs one verb; returns 0, or 1 after printing on standard error what the operator must do."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"name one of {', '.join(VERBS)}", file=sys.stderr)
        return 1
    try:
        settings = parse(environment)
        context = Context(Account.of_operator(environment), REPOSITORY, report=lambda text: print(text, flush=True))
        VERBS[arguments[0]](context, settings)
    except (CannotDeploy, PackageFailed, PythonMissing, Clash, NotCompiled) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(f"\nAWS refused: {error}\nFix that and run the same command again: it goes on.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped here; a change that CloudFormation has begun goes on by itself", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
