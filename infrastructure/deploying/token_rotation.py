"""Rotation of the runners' bootstrap token, for the case that it has become known."""

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws import bootstrap_token
from infrastructure.deploying.context import Context
from infrastructure.deploying.settings import Settings


def rotate_token(context: Context, settings: Settings) -> None:
    """Replaces the token; running runners are not disturbed. Raises CannotDeploy."""
    if not bootstrap_token.rotate(context.account.client("ssm"), settings.stack):
        raise CannotDeploy(f"There is no stage {settings.stage} in this account and region.")
    context.report(
        f"{settings.stage} has a new bootstrap token: running runners keep their own tokens, new ones start with the"
        " new one, the former one is refused after five minutes, and a task that was just starting with it ends and is"
        " replaced by ECS."
    )
