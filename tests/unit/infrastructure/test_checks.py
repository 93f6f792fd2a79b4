"""Results of checks, and checks that cannot be made."""

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infrastructure.checks import CheckResult, State, bad, ok, run_check


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetAccount"), "may not call GetAccount"),
        (ClientError({"Error": {"Code": "Throttling"}}, "GetAccount"), "Throttling"),
        (EndpointConnectionError(endpoint_url="https://aws.example"), "cannot be reached"),
    ],
)
def test_a_check_that_cannot_be_made_is_unknown_and_ends_nothing(error: Exception, says: str) -> None:
    def check() -> CheckResult:
        raise error

    (found,) = run_check("SES", check)
    assert found.state is State.UNKNOWN
    assert says in found.fix


def test_a_result_is_one_line_with_its_fix() -> None:
    check: Callable[[], CheckResult] = lambda: bad("no region", "set it")  # noqa: E731
    assert [str(result) for result in run_check("region", check)] == ["bad      no region — set it"]
    assert str(ok("fine")) == "ok       fine"
