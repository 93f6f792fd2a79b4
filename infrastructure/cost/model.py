"""Cost model: the monthly costs of an installation, derived from what the code does and AWS's list prices.

Free tiers, taxes, discounts and support are not counted.
"""

import math
from dataclasses import dataclass, field

from infrastructure.cost import prices

HOURS_A_MONTH = 730
DAYS_A_MONTH = HOURS_A_MONTH / 24
SECONDS_A_MONTH = HOURS_A_MONTH * 3600
MINUTES_A_MONTH = HOURS_A_MONTH * 60


def _assume(default: float, sentence: str) -> float:
    """A field with its default and the sentence that prints it."""
    value: float = field(default=default, metadata={"sentence": sentence})
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """Assumptions that the code does not contain: the use of lines, the speed of models. Each is an option."""

    messages_per_day: float = _assume(100, "{:g} messages answered for each tenant in a day")
    active_hours_per_day: float = _assume(12, "they come evenly over {:g} hours")
    snapshot_megabytes: float = _assume(
        40, "an archived browser profile has {:g} MB (not measured on real accounts yet)"
    )
    model_seconds: float = _assume(3, "OpenAI takes {:g} s for a reply")
    input_tokens: float = _assume(1_500, "{:,.0f} tokens are sent for it")
    output_tokens: float = _assume(150, "{:,.0f} tokens come back")
    spot_discount: float = _assume(0.6, "Spot is cheaper by {:.0%} (it moves between 50 and 70 %)")
    page_views_per_tenant: float = _assume(2_000, "owners and operators load {:,.0f} pages or parts for each tenant")
    mails_per_tenant: float = _assume(2, "{:g} mails go to each tenant")

    def __post_init__(self) -> None:
        if not 0 < self.active_hours_per_day <= 24:
            raise ValueError("a day has more than 0 and at most 24 active hours")
        if not 0 <= self.spot_discount <= 1:
            raise ValueError("Spot's discount is a share between 0 and 1")


# -- constants of the code; tests/unit/infrastructure/cost compares each with its source -----------------------------
RUNNER_CAPACITY = 8  # RunnerCapacity, infrastructure/cloudformation/runners.yaml
RUNNER_VCPU = 2  # RunnerCpuUnits
RUNNER_GB = 8  # RunnerMemoryMiB
RUNNERS_AT_LEAST = 1  # RunnersAtLeast
LAMBDA_GB = 0.5  # lambda_memory_size, chalice_app/.chalice/config.json
LOGS_KEPT_DAYS = 30  # LogRetentionDays
#: A runner syncs so often (runner_api.py: NEXT_CALL_MS), and once more for each change.
SYNC_EVERY_SECONDS = 3.0
#: After the bell, the next call for it is held to its end, while the reply is sent (wire.py: MAX_BELL_HOLD_MS).
BELL_HELD_AT_MOST_SECONDS = 10.0
BELL_POLLED_EVERY_SECONDS = 0.2  # runner_api.py
AUTHORIZED_EVERY_SECONDS = 30.0  # authorizerResultTtlInSeconds, infrastructure/cloudformation/functions.yaml
LEASE_RENEWED_EVERY_SECONDS = 10.0  # model/session.py
DEBOUNCE_SECONDS = 2.0  # model/conversation.py: before the model is asked
#: After a message "caught up to" moves in steps until it reaches it
#: (runner/messages/conversation.py: LAG / STEP, and one).
CAUGHT_UP_REPORTS = 3
CAUGHT_UP_STEP_SECONDS = 60
#: A snapshot follows a message and its reply in the next quiet moment; under load, one a minute, or a large one more
#: rarely, in proportion to its size (runner/profile/schedule.py: TYPICAL_BYTES, MAX_PAUSE_SECONDS).
SNAPSHOT_EVERY_SECONDS, TYPICAL_MEGABYTES, SNAPSHOT_AT_LEAST_EVERY_SECONDS = 60.0, 40.0, 900.0
SNAPSHOTS_REFERRED_TO = 9  # model/snapshot.py: the newest three, and the last of each day for a week
#: An unreferenced object waits for the daily garbage collection (ORPHANS_KEPT_FOR and half a day) …
COLLECTED_AFTER_DAYS = 1.5
#: … and the bucket keeps deleted objects (NoncurrentDays, infrastructure/cloudformation/resources.yaml).
DELETED_KEPT_DAYS = 7
MESSAGES_KEPT_DAYS = 30  # model/tenant.py: retention_days

# -- measured with the real code on a table that counts (tests/unit/infrastructure/cost) ------------------------------
ANSWER_WRITE_UNITS = 50  # hand in, think, take, sent
ANSWER_READ_UNITS = 42  # with the 60 messages and turns of a contact's chat that a check reads
ANSWER_STORED_BYTES = 1_100  # a message and its turn; the index holds them once more
REPORT_WRITE_UNITS, REPORT_READ_UNITS = 15, 4
SNAPSHOT_WRITE_UNITS, SNAPSHOT_READ_UNITS = 6, 5
RENEWAL_WRITE_UNITS, RENEWAL_READ_UNITS, SYNC_READ_UNITS = 4.8, 2.5, 2  # a renewal: with its sync
BELL_READ_UNITS = 2  # without the polls: the runner's record before, and for the turns to take
RUNNER_BYTES, TENANT_BYTES = 1_700, 3_500  # as stored in the directory

# -- assumptions about machines, too small to be options ----------------------------------------------------------
SHORT_CALL_SECONDS = 0.06
THINK_SECONDS = 0.5  # without the model
RECONCILE_SECONDS, RECONCILE_SECONDS_PER_TENANT = 0.5, 0.004
CHECKS_PER_ANSWER = 1.2
CALLS_PER_ANSWER = 4  # messages, take, sent, and messages again with our own reply
CALLS_PER_SNAPSHOT = 2
QUEUE_REQUESTS_PER_CHECK = 3
EMPTY_RECEIVES_PER_MINUTE = 15  # Lambda's own five pollers
LOG_BYTES_PER_CALL = 650  # Lambda's own lines, and API Gateway's
LOG_BYTES_PER_ANSWER, LOG_BYTES_PER_MINUTE = 4_000, 2_500
METRICS = 33  # chalicelib/metrics.py, and kinds of errors
ALARM_METRICS, COMPOSITE_ALARMS, DASHBOARDS = 45, 1, 1  # infrastructure/cloudformation/watching.yaml
SYNC_ANSWER_BYTES = 2_500
WHATSAPP_OUT_MB_PER_TENANT = 200
IMAGES_GB = 0.28 * 10  # IMAGES_KEPT, infrastructure/deploying/aws/images.py


@dataclass(frozen=True, slots=True)
class Cost:
    """The monthly costs of one installation, in dollars."""

    tenants: int
    runners: int
    fargate: float
    addresses: float
    calls: float  #: API Gateway, Lambda, SQS
    table: float
    snapshots: float
    watching: float
    rest: float  #: KMS, mail, images, traffic out of AWS
    #: The tenants' own payments to OpenAI, in no sum.
    openai: float

    @property
    def total(self) -> float:
        """The monthly bill of AWS."""
        return self.fargate + self.addresses + self.calls + self.table + self.snapshots + self.watching + self.rest


@dataclass(frozen=True, slots=True)
class Load:
    """The number of events in a month, of all tenants together."""

    runners: int
    answers: float
    reports: float
    snapshots: float
    #: Seconds in which a call for the bell is held, summed over all runners, each of which has at most one at a time.
    held_seconds: float
    bells: float
    syncs: float
    page_views: float
    #: Calls of the authorizer; API Gateway keeps what it said.
    authorizations: float

    @property
    def calls(self) -> float:
        """The requests to the API, of every kind."""
        own = self.answers * CALLS_PER_ANSWER + self.snapshots * CALLS_PER_SNAPSHOT
        return self.syncs + self.bells + own + self.page_views


def load(tenants: int, assumed: Assumed) -> Load:
    """Estimates the load of so many tenants."""
    runners = max(RUNNERS_AT_LEAST, math.ceil(tenants / RUNNER_CAPACITY))
    active_seconds = assumed.active_hours_per_day * 3600 * DAYS_A_MONTH
    answers = assumed.messages_per_day * DAYS_A_MONTH
    rung_after = DEBOUNCE_SECONDS + THINK_SECONDS + assumed.model_seconds
    held = rung_after + BELL_HELD_AT_MOST_SECONDS
    # Messages come at random: this is the share of time in which at least one is being answered.
    busy = 1 - math.exp(-answers * tenants / runners / active_seconds * held)
    held_seconds = busy * active_seconds * runners
    reports = tenants * min(answers * CAUGHT_UP_REPORTS, active_seconds / CAUGHT_UP_STEP_SECONDS)
    return Load(
        runners=runners,
        answers=answers * tenants,
        reports=reports,
        snapshots=tenants * min(answers, active_seconds / snapshot_every_seconds(assumed.snapshot_megabytes)),
        held_seconds=held_seconds,
        # One call ends with the bell, the next one by itself.
        bells=held_seconds / (held / 2),
        # A reply that is expected, and one that is ready, bring a sync of their own.
        syncs=runners * SECONDS_A_MONTH / SYNC_EVERY_SECONDS + 2 * answers * tenants + reports,
        page_views=assumed.page_views_per_tenant * tenants,
        authorizations=runners * SECONDS_A_MONTH / AUTHORIZED_EVERY_SECONDS,
    )


def cost(tenants: int, assumed: Assumed, *, architecture: str = "arm64", spot: bool = False) -> Cost:
    """Estimates the costs of so many tenants."""
    expected = load(tenants, assumed)
    runner_hour = (
        RUNNER_VCPU * prices.FARGATE_VCPU_HOUR[architecture].dollars
        + RUNNER_GB * prices.FARGATE_GB_HOUR[architecture].dollars
    )
    discount = assumed.spot_discount if spot else 0.0
    tokens = (
        assumed.input_tokens * prices.MODEL_INPUT_TOKEN.dollars
        + assumed.output_tokens * prices.MODEL_OUTPUT_TOKEN.dollars
    )
    return Cost(
        tenants=tenants,
        runners=expected.runners,
        fargate=expected.runners * HOURS_A_MONTH * runner_hour * (1 - discount),
        addresses=expected.runners * HOURS_A_MONTH * prices.PUBLIC_IPV4_HOUR.dollars,
        calls=_calls(tenants, expected, assumed, architecture),
        table=_table(tenants, expected),
        snapshots=_snapshots(tenants, expected, assumed),
        watching=_watching(expected),
        rest=_rest(tenants, expected, assumed),
        openai=expected.answers * tokens,
    )


def _calls(tenants: int, expected: Load, assumed: Assumed, architecture: str) -> float:
    checks = expected.answers * CHECKS_PER_ANSWER
    seconds = (
        (expected.calls + expected.authorizations) * SHORT_CALL_SECONDS
        + expected.held_seconds
        + expected.answers * (assumed.model_seconds + THINK_SECONDS)
        + MINUTES_A_MONTH * (RECONCILE_SECONDS + RECONCILE_SECONDS_PER_TENANT * tenants)
    )
    return (
        expected.calls * prices.API_REQUEST.dollars
        + (expected.calls + expected.authorizations + checks + MINUTES_A_MONTH) * prices.LAMBDA_REQUEST.dollars
        + seconds * LAMBDA_GB * prices.LAMBDA_GB_SECOND[architecture].dollars
        + (checks * QUEUE_REQUESTS_PER_CHECK + MINUTES_A_MONTH * EMPTY_RECEIVES_PER_MINUTE)
        * prices.QUEUE_REQUEST.dollars
    )


def _table(tenants: int, expected: Load) -> float:
    renewals = expected.runners * SECONDS_A_MONTH / LEASE_RENEWED_EVERY_SECONDS
    # Each minute reads all runners and all tenants; 4 KB cost half a unit.
    all_runners = math.ceil(expected.runners * RUNNER_BYTES / 4096) / 2
    all_tenants = math.ceil(tenants * TENANT_BYTES / 4096) / 2
    writes = (
        expected.answers * ANSWER_WRITE_UNITS
        + expected.reports * REPORT_WRITE_UNITS
        + expected.snapshots * SNAPSHOT_WRITE_UNITS
        + renewals * RENEWAL_WRITE_UNITS
    )
    reads = (
        expected.answers * ANSWER_READ_UNITS
        + expected.reports * REPORT_READ_UNITS
        + expected.snapshots * SNAPSHOT_READ_UNITS
        + expected.syncs * SYNC_READ_UNITS
        + expected.bells * BELL_READ_UNITS
        + expected.authorizations
        + expected.held_seconds / BELL_POLLED_EVERY_SECONDS
        + renewals * (RENEWAL_READ_UNITS - SYNC_READ_UNITS)
        + MINUTES_A_MONTH * (all_tenants + 2 * all_runners)
    )
    stored_gb = expected.answers / DAYS_A_MONTH * MESSAGES_KEPT_DAYS * ANSWER_STORED_BYTES * 2 / 1e9
    return (
        writes * prices.TABLE_WRITE_UNIT.dollars
        + reads * prices.TABLE_READ_UNIT.dollars
        + stored_gb * prices.TABLE_GB_MONTH.dollars
    )


def snapshot_every_seconds(megabytes: float) -> float:
    """Returns the seconds between two snapshots of a line that is always busy."""
    pause_seconds = SNAPSHOT_EVERY_SECONDS * max(1.0, megabytes / TYPICAL_MEGABYTES)
    return min(SNAPSHOT_AT_LEAST_EVERY_SECONDS, pause_seconds)


def _snapshots(tenants: int, expected: Load, assumed: Assumed) -> float:
    unreferenced = expected.snapshots / DAYS_A_MONTH * (COLLECTED_AFTER_DAYS + DELETED_KEPT_DAYS)
    stored_gb = (tenants * SNAPSHOTS_REFERRED_TO + unreferenced) * assumed.snapshot_megabytes / 1000
    return stored_gb * prices.S3_GB_MONTH.dollars + expected.snapshots * (
        prices.S3_WRITE.dollars + prices.S3_READ.dollars
    )


def _watching(expected: Load) -> float:
    checks = expected.answers * CHECKS_PER_ANSWER
    logs_gb = (
        (expected.calls + checks) * LOG_BYTES_PER_CALL
        + expected.answers * LOG_BYTES_PER_ANSWER
        + MINUTES_A_MONTH * LOG_BYTES_PER_MINUTE
    ) / 1e9
    return (
        logs_gb * (prices.LOG_GB.dollars + prices.LOG_GB_MONTH.dollars * LOGS_KEPT_DAYS / DAYS_A_MONTH)
        + METRICS * prices.METRIC_MONTH.dollars
        + ALARM_METRICS * prices.ALARM_MONTH.dollars
        + COMPOSITE_ALARMS * prices.COMPOSITE_ALARM_MONTH.dollars
        + DASHBOARDS * prices.DASHBOARD_MONTH.dollars
    )


def _rest(tenants: int, expected: Load, assumed: Assumed) -> float:
    out_gb = expected.syncs * SYNC_ANSWER_BYTES / 1e9 + tenants * WHATSAPP_OUT_MB_PER_TENANT / 1000
    return (
        prices.KEY_MONTH.dollars
        + expected.answers * prices.KEY_REQUEST.dollars
        + tenants * assumed.mails_per_tenant * prices.MAIL.dollars
        + IMAGES_GB * prices.IMAGE_GB_MONTH.dollars
        + out_gb * prices.OUT_GB.dollars
    )
