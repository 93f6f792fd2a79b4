"""Only SSM: the few values that must not live in a template or an environment."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from chalicelib.errors import NotDeployed

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

#: A changed parameter is seen by every process within this time.
REMEMBERED_FOR_MS: Final = 300_000


class Parameters:
    """Values of the Parameter Store, remembered for five minutes.

    Args:
        client: a boto3 SSM client.
        clock: epoch milliseconds.
    """

    def __init__(self, client: "SSMClient", clock: Callable[[], int]) -> None:
        self._client = client
        self._clock = clock
        self._remembered: dict[str, tuple[int, str]] = {}

    def get(self, name: str, *, max_age_ms: int = REMEMBERED_FOR_MS) -> str:
        """The decrypted value. Raises NotDeployed when there is none."""
        now = self._clock()
        remembered = self._remembered.get(name)
        if remembered is not None and now - remembered[0] < max_age_ms:
            return remembered[1]
        try:
            answer = self._client.get_parameter(Name=name, WithDecryption=True)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ParameterNotFound":
                raise
            raise NotDeployed(f"The parameter {name} is missing; deploying again creates it.") from None
        value = answer["Parameter"]["Value"]
        self._remembered[name] = (now, value)
        return value
