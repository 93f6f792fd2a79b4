"""`python -m infrastructure.deploying VERB`: what `make deploy STAGE=…` and its like do to a stage on AWS."""

import os
import sys
from collections.abc import Mapping, Sequence

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.checkout import REPOSITORY
from infrastructure.deploying import CannotDeploy, teardown
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.deployment import Place, deploy, rollback
from infrastructure.deploying.settings import parse
from infrastructure.deploying.token_rotation import rotate_token
from infrastructure.packaging.deployment_zip import NotCompiled
from infrastructure.packaging.lambda_python import PythonMissing
from infrastructure.packaging.package import PackageFailed
from infrastructure.packaging.template import Clash

VERBS = {"deploy": deploy, "rollback": rollback, "rotate-token": rotate_token, "destroy": teardown.destroy}


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """0 when it is done, 1 with what to do on standard error otherwise."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"say one of {', '.join(VERBS)}", file=sys.stderr)
        return 1
    try:
        settings = parse(environment)
        place = Place(
            Account(session(environment), endpoint(environment)), REPOSITORY, say=lambda text: print(text, flush=True)
        )
        VERBS[arguments[0]](place, settings)
    except (CannotDeploy, PackageFailed, PythonMissing, Clash, NotCompiled) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(f"\nAWS refused: {error}\nMend that and run the same command again: it goes on.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped here; what CloudFormation was told to do goes on by itself", file=sys.stderr)
        return 1
    return 0


def session(environment: Mapping[str, str]) -> boto3.Session:
    """The operator's own credentials and region, as the AWS CLI finds them; boto3 alone overlooks AWS_REGION."""
    return boto3.Session(region_name=environment.get("AWS_REGION") or None)


def endpoint(environment: Mapping[str, str]) -> str | None:
    """An emulator, where one is named."""
    return environment.get("AWS_ENDPOINT_URL") or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
