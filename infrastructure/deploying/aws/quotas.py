"""How much of Fargate and Lambda this account may use, against what the runners and functions need."""

from typing import Any, Final

from botocore.exceptions import ClientError

from infrastructure.checks import Finding, State, bad, ok, unknown

#: Service Quotas' codes: vCPUs of Fargate tasks that run at the same time.
FARGATE_ON_DEMAND: Final = "L-3032A538"
FARGATE_SPOT: Final = "L-36FBB829"
#: Chats that are thought about at the same time, where Lambda allows enough.
THINK_AT_ONCE: Final = 50
#: SQS lets no trigger take less.
THINK_AT_ONCE_AT_LEAST: Final = 2
#: A runner's held call takes one of Lambda's places, a second one may report a change meanwhile.
CALLS_PER_RUNNER: Final = 2
#: Doors, looks at chats and events.
CALLS_BESIDES: Final = 5


def look_at_fargate(service_quotas: Any, *, runners: int, cpu_units: int, spot: bool) -> Finding:
    """While runners are being replaced, twice as many run."""
    needed = 2 * max(1, runners) * cpu_units / 1024
    kind = "Fargate Spot" if spot else "Fargate"
    try:
        answer = service_quotas.get_service_quota(
            ServiceCode="fargate", QuotaCode=FARGATE_SPOT if spot else FARGATE_ON_DEMAND
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchResourceException":
            raise
        return unknown(f"{kind}: this region tells no vCPU quota", f"see Service Quotas: {needed:g} vCPU are needed")
    allowed = float(answer["Quota"]["Value"])
    what = f"{kind}: {allowed:g} vCPU allowed, {needed:g} needed to replace {max(1, runners)} runner(s)"
    if allowed < needed:
        return bad(what, f"ask for more in Service Quotas (fargate, {FARGATE_SPOT if spot else FARGATE_ON_DEMAND})")
    return ok(what)


def look_at_lambda(client: Any, *, runners: int) -> Finding:
    """New accounts may run only ten functions at the same time."""
    needed = CALLS_PER_RUNNER * max(1, runners) + CALLS_BESIDES
    allowed = _functions(client)
    what = f"Lambda: {allowed} at the same time allowed, {needed} needed for {max(1, runners)} runner(s)"
    if allowed < needed:
        return bad(what, "ask for 1000 in Service Quotas (lambda, Concurrent executions)")
    return ok(what)


def look_at_thinking(client: Any, *, at_once: int, given: bool) -> Finding:
    """A quota that was raised is used from the next deployment on; ``given``: an operator said the number."""
    allowed = think_at_once(client)
    what = f"Lambda: {at_once} chats are thought about at once"
    if allowed > at_once and not given:
        return Finding(State.OK, f"{what}, {allowed} would be by the quota of today", "deploy again to use it")
    return ok(what)


def think_at_once(client: Any) -> int:
    """At most half of the functions think, so that doors answer however many chats there are."""
    return max(THINK_AT_ONCE_AT_LEAST, min(THINK_AT_ONCE, _functions(client) // 2))


def _functions(client: Any) -> int:
    """How many may run at the same time, without those that somebody reserved for others."""
    limit = client.get_account_settings()["AccountLimit"]
    return int(limit.get("UnreservedConcurrentExecutions", limit["ConcurrentExecutions"]))
