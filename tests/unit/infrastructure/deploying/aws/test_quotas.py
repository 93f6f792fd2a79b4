"""The limits of Fargate and Lambda, against what runners and functions need."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrastructure.checks import State
from infrastructure.deploying.aws import (
    quotas,
)


class Quotas:
    """moto knows only quotas of VPCs."""

    def __init__(self, value: float | None) -> None:
        self._value = value
        self.asked: list[dict[str, str]] = []

    def get_service_quota(self, **request: str) -> dict[str, Any]:
        self.asked.append(request)
        if self._value is None:
            raise ClientError({"Error": {"Code": "NoSuchResourceException"}}, "GetServiceQuota")
        return {"Quota": {"Value": self._value}}


@pytest.mark.parametrize(
    ("value", "runners", "state"),
    [(6.0, 1, State.OK), (6.0, 2, State.BAD), (8.0, 2, State.OK), (3.0, 1, State.BAD), (None, 1, State.UNKNOWN)],
)
def test_fargate_must_hold_twice_the_runners_while_they_are_replaced(
    value: float | None, runners: int, state: State
) -> None:
    assert quotas.check_fargate(Quotas(value), runners=runners, cpu_units=2048, spot=False).state is state


def test_spot_has_a_quota_of_its_own() -> None:
    asked = Quotas(100)
    quotas.check_fargate(asked, runners=1, cpu_units=2048, spot=True)
    assert asked.asked == [{"ServiceCode": "fargate", "QuotaCode": quotas.FARGATE_SPOT}]


class Lambda:
    """moto has no GetAccountSettings."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": self._allowed}}


@pytest.mark.parametrize(("allowed", "at_once"), [(10, 5), (3, 2), (99, 49), (100, 50), (1000, 50)])
def test_half_of_the_quota_is_left_for_pages_and_runners(allowed: int, at_once: int) -> None:
    assert quotas.think_at_once(Lambda(allowed)) == at_once


@pytest.mark.parametrize(("allowed", "runners", "state"), [(10, 1, State.OK), (10, 3, State.BAD), (1000, 90, State.OK)])
def test_each_runner_may_hold_a_call(allowed: int, runners: int, state: State) -> None:
    assert quotas.check_lambda(Lambda(allowed), runners=runners).state is state
