"""SSM: parameters that must not be in a template or an environment, read through a cache."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from chalicelib.errors import NotDeployed

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

#: Every process reads a changed parameter within this time.
CACHED_FOR_MS: Final = 300_000


class Parameters:
    """Values of the Parameter Store, with a cache of five minutes.

    Args:
        client: a boto3 SSM client.
        clock: epoch milliseconds.
    """

    def __init__(self, client: "SSMClient", clock: Callable[[], int]) -> None:
        self._client = client
        self._clock = clock
        self._cache: dict[str, tuple[int, str]] = {}

    def get(self, name: str, *, max_age_ms: int = CACHED_FOR_MS) -> str:
        """Returns the decrypted value. Raises NotDeployed when there is none.

        Args:
            max_age_ms: a cached value older than this is read again.
        """
        now = self._clock()
        cached = self._cache.get(name)
        if cached is not None and now - cached[0] < max_age_ms:
            return cached[1]
        try:
            answer = self._client.get_parameter(Name=name, WithDecryption=True)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ParameterNotFound":
                raise
            raise NotDeployed(f"The parameter {name} is missing; deploying again creates it.") from None
        value = answer["Parameter"]["Value"]
        self._cache[name] = (now, value)
        return value
