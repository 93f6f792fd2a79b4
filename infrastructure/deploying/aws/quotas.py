"""Service Quotas and Lambda: the account's limits, against the need of the runners and functions."""

from typing import Any, Final

from botocore.exceptions import ClientError

from infrastructure.checks import CheckResult, State, bad, ok, unknown

#: Service Quotas' codes: vCPUs of Fargate tasks that run at the same time.
FARGATE_ON_DEMAND: Final = "L-3032A538"
FARGATE_SPOT: Final = "L-36FBB829"
#: Invocations of the think function at the same time, where Lambda's quota allows it.
THINK_AT_ONCE: Final = 50
#: SQS takes no lower limit of a trigger.
THINK_AT_ONCE_AT_LEAST: Final = 2
#: A runner's call for the bell, which is held, and its sync.
CALLS_PER_RUNNER: Final = 2
#: Invocations for pages, turn-taking checks and events.
CALLS_BESIDES: Final = 5


def check_fargate(service_quotas: Any, *, runners: int, cpu_units: int, spot: bool) -> CheckResult:
    """Checks the quota of vCPUs: while runners are replaced, twice as many run."""
    needed = 2 * max(1, runners) * cpu_units / 1024
    kind = "Fargate Spot" if spot else "Fargate"
    try:
        answer = service_quotas.get_service_quota(
            ServiceCode="fargate", QuotaCode=FARGATE_SPOT if spot else FARGATE_ON_DEMAND
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchResourceException":
            raise
        return unknown(f"{kind}: this region reports no vCPU quota", f"see Service Quotas: {needed:g} vCPU are needed")
    allowed = float(answer["Quota"]["Value"])
    subject = f"{kind}: {allowed:g} vCPU allowed, {needed:g} needed to replace {max(1, runners)} runner(s)"
    if allowed < needed:
        return bad(subject, f"ask for more in Service Quotas (fargate, {FARGATE_SPOT if spot else FARGATE_ON_DEMAND})")
    return ok(subject)


def check_lambda(client: Any, *, runners: int) -> CheckResult:
    """Checks the quota of concurrent executions, which is ten in a new account."""
    needed = CALLS_PER_RUNNER * max(1, runners) + CALLS_BESIDES
    allowed = _concurrent_executions(client)
    subject = f"Lambda: {allowed} concurrent executions allowed, {needed} needed for {max(1, runners)} runner(s)"
    if allowed < needed:
        return bad(subject, "ask for 1000 in Service Quotas (lambda, Concurrent executions)")
    return ok(subject)


def check_think_limit(client: Any, *, limit: int, given: bool) -> CheckResult:
    """Checks whether a raised quota is unused; ``given``: an operator chose the limit."""
    allowed = think_at_once(client)
    subject = f"Lambda: {limit} chats are checked at the same time"
    if allowed > limit and not given:
        return CheckResult(State.OK, f"{subject}, today's quota allows {allowed}", "deploy again to use it")
    return ok(subject)


def think_at_once(client: Any) -> int:
    """Returns the limit of the think function: at most half of the quota, so that pages are served under any load."""
    return max(THINK_AT_ONCE_AT_LEAST, min(THINK_AT_ONCE, _concurrent_executions(client) // 2))


def _concurrent_executions(client: Any) -> int:
    """The account's limit, without the part that is reserved for other functions."""
    limit = client.get_account_settings()["AccountLimit"]
    return int(limit.get("UnreservedConcurrentExecutions", limit["ConcurrentExecutions"]))
