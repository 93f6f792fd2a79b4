"""The runners' bootstrap token made anew, when somebody may know it."""

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws import bootstrap_token
from infrastructure.deploying.deployment import Place
from infrastructure.deploying.settings import Settings


def rotate_token(place: Place, settings: Settings) -> None:
    """Nothing that runs is disturbed. Raises CannotDeploy."""
    if not bootstrap_token.rotate(place.account.client("ssm"), settings.stack):
        raise CannotDeploy(f"There is no stage {settings.stage} in this account and region.")
    place.say(
        f"{settings.stage} has a new bootstrap token: runners that are there keep their own tokens, new ones start with"
        " the new one, the former one opens nothing after five minutes, and a task that was just starting with it ends"
        " and is replaced by ECS."
    )
