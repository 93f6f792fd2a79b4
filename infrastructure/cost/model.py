"""What an installation costs in a month, derived from what the code does and AWS's list prices.

Free tiers, taxes, discounts and support are not counted.
"""

import math
from dataclasses import dataclass, field

from infrastructure.cost import prices

HOURS_A_MONTH = 730
DAYS_A_MONTH = HOURS_A_MONTH / 24
SECONDS_A_MONTH = HOURS_A_MONTH * 3600
MINUTES_A_MONTH = HOURS_A_MONTH * 60


def _said(default: float, sentence: str) -> float:
    """An assumption with what it says of a month."""
    value: float = field(default=default, metadata={"said": sentence})
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What nobody can read in the code: how lines are used, and what machines and models take. Each is an option."""

    messages_per_day: float = _said(100, "{:g} messages answered for each tenant in a day")
    active_hours_per_day: float = _said(12, "they come evenly over {:g} hours")
    snapshot_megabytes: float = _said(40, "an archived browser profile has {:g} MB (not measured on real accounts yet)")
    model_seconds: float = _said(3, "OpenAI takes {:g} s for a reply")
    input_tokens: float = _said(1_500, "{:,.0f} tokens are sent for it")
    output_tokens: float = _said(150, "{:,.0f} tokens come back")
    spot_discount: float = _said(0.6, "Spot is cheaper by {:.0%} (it moves between 50 and 70 %)")
    page_views_per_tenant: float = _said(2_000, "owners and operators load {:,.0f} pages or parts for each tenant")
    mails_per_tenant: float = _said(2, "{:g} mails go to each tenant")

    def __post_init__(self) -> None:
        if not 0 < self.active_hours_per_day <= 24:
            raise ValueError("a day has more than 0 and at most 24 active hours")
        if not 0 <= self.spot_discount <= 1:
            raise ValueError("Spot's discount is a share between 0 and 1")


# -- what the code says; tests/unit/infrastructure/cost holds each to its source -------------------------------------
RUNNER_CAPACITY = 8  # RunnerCapacity, infrastructure/cloudformation/runners.yaml
RUNNER_VCPU = 2  # RunnerCpuUnits
RUNNER_GB = 8  # RunnerMemoryMiB
RUNNERS_AT_LEAST = 1  # RunnersAtLeast
LAMBDA_GB = 0.5  # lambda_memory_size, chalice_app/.chalice/config.json
LOGS_KEPT_DAYS = 30  # LogRetentionDays
#: A sync that nothing waits for is answered at once and comes again (runner_api.py: NEXT_CALL_MS).
IDLE_SYNC_EVERY_SECONDS = 3.0
#: After the bell rang, the next call is held to its end, while the reply is sent (wire.py: SYNC_HELD_AT_MOST_MS).
SYNC_HELD_AT_MOST_SECONDS = 10.0
BELL_POLLED_EVERY_SECONDS = 0.2  # runner_api.py
LEASE_RENEWED_EVERY_SECONDS = 10.0  # model/session.py
DEBOUNCE_SECONDS = 2.0  # model/conversation.py: before the model is asked
#: After a message "caught up to" moves in steps until it reaches it
#: (runner/messages/conversation.py: LAG / STEP, and one).
CAUGHT_UP_REPORTS = 3
CAUGHT_UP_STEP_SECONDS = 60
#: A message and its reply are one quiet moment later in a snapshot;
#: under load, one a minute (runner/profile/schedule.py).
SNAPSHOTS_APART_SECONDS = 60.0
SNAPSHOTS_REFERRED_TO = 9  # model/snapshot.py: the newest three, and the last of each day for a week
#: Then an object waits for the daily sweep (ORPHANS_KEPT_FOR and half a day) …
SWEPT_AFTER_DAYS = 1.5
#: … and the bucket keeps what was deleted (NoncurrentDays, infrastructure/cloudformation/resources.yaml).
DELETED_KEPT_DAYS = 7
MESSAGES_KEPT_DAYS = 30  # model/tenant.py: retention_days

# -- what was measured with the real code on a table that counts (tests/unit/infrastructure/cost) ---
ANSWER_WRITE_UNITS = 43  # hand in, think, take, sent
ANSWER_READ_UNITS = 34  # with the 20 messages that a contact's chat holds
ANSWER_STORED_BYTES = 780  # a message and its turn; the index holds them once more
REPORT_WRITE_UNITS, REPORT_READ_UNITS = 15, 4
SNAPSHOT_WRITE_UNITS, SNAPSHOT_READ_UNITS = 6, 5
RENEWAL_WRITE_UNITS, SYNC_READ_UNITS = 4, 2
RUNNER_BYTES, TENANT_BYTES = 1_700, 3_500  # as they stand in the directory

# -- what is assumed of machines; too small to be options -------------------------------------------------------------
SHORT_CALL_SECONDS = 0.06
THINK_SECONDS = 0.5  # beside the model
RECONCILE_SECONDS, RECONCILE_SECONDS_PER_TENANT = 0.5, 0.004
LOOKS_PER_ANSWER = 1.2
CALLS_PER_ANSWER = 4  # messages, take, sent, and messages again with our own reply
CALLS_PER_SNAPSHOT = 2
QUEUE_REQUESTS_PER_LOOK = 3
EMPTY_RECEIVES_PER_MINUTE = 15  # Lambda's own five pollers
LOG_BYTES_PER_CALL = 650  # Lambda's own lines, and API Gateway's
LOG_BYTES_PER_ANSWER, LOG_BYTES_PER_MINUTE = 4_000, 2_500
METRICS = 28  # chalicelib/metrics.py, and kinds of errors
ALARM_METRICS, COMPOSITE_ALARMS, DASHBOARDS = 35, 1, 1  # infrastructure/cloudformation/watching.yaml
SYNC_ANSWER_BYTES = 2_500
WHATSAPP_OUT_MB_PER_TENANT = 200
IMAGES_GB = 0.28 * 10  # IMAGES_KEPT, infrastructure/deploying/aws/images.py


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars in a month, of one installation."""

    tenants: int
    runners: int
    fargate: float
    addresses: float
    calls: float  #: API Gateway, Lambda, SQS
    table: float
    snapshots: float
    watching: float
    rest: float  #: KMS, mail, images, what leaves AWS
    #: What tenants pay to OpenAI themselves; in no sum.
    openai: float

    @property
    def total(self) -> float:
        return self.fargate + self.addresses + self.calls + self.table + self.snapshots + self.watching + self.rest


@dataclass(frozen=True, slots=True)
class Load:
    """How often what happens in a month, of all tenants together."""

    runners: int
    answers: float
    reports: float
    snapshots: float
    #: Seconds in which some call is held, of all runners; at most one a runner at a time.
    held_seconds: float
    syncs: float
    page_views: float

    @property
    def calls(self) -> float:
        return self.syncs + self.answers * CALLS_PER_ANSWER + self.snapshots * CALLS_PER_SNAPSHOT + self.page_views


def load(tenants: int, assumed: Assumed) -> Load:
    """What so many tenants make the installation do."""
    runners = max(RUNNERS_AT_LEAST, math.ceil(tenants / RUNNER_CAPACITY))
    active_seconds = assumed.active_hours_per_day * 3600 * DAYS_A_MONTH
    answers = assumed.messages_per_day * DAYS_A_MONTH
    rung_after = DEBOUNCE_SECONDS + THINK_SECONDS + assumed.model_seconds
    held = rung_after + SYNC_HELD_AT_MOST_SECONDS
    # Messages come at random: the part of the time in which at least one is being answered.
    busy = 1 - math.exp(-answers * tenants / runners / active_seconds * held)
    held_seconds = busy * active_seconds * runners
    reports = tenants * min(answers * CAUGHT_UP_REPORTS, active_seconds / CAUGHT_UP_STEP_SECONDS)
    idle_syncs = (runners * SECONDS_A_MONTH - held_seconds) / IDLE_SYNC_EVERY_SECONDS
    return Load(
        runners=runners,
        answers=answers * tenants,
        reports=reports,
        snapshots=tenants * min(answers, active_seconds / SNAPSHOTS_APART_SECONDS),
        held_seconds=held_seconds,
        # A held call ends when the bell rings, the next one by itself; and one says that a reply is expected.
        syncs=idle_syncs + held_seconds / (held / 2) + answers * tenants + reports,
        page_views=assumed.page_views_per_tenant * tenants,
    )


def cost(tenants: int, assumed: Assumed, *, architecture: str = "arm64", spot: bool = False) -> Cost:
    """A month of so many tenants."""
    asked = load(tenants, assumed)
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
        runners=asked.runners,
        fargate=asked.runners * HOURS_A_MONTH * runner_hour * (1 - discount),
        addresses=asked.runners * HOURS_A_MONTH * prices.PUBLIC_IPV4_HOUR.dollars,
        calls=_calls(tenants, asked, assumed, architecture),
        table=_table(tenants, asked),
        snapshots=_snapshots(tenants, asked, assumed),
        watching=_watching(asked),
        rest=_rest(tenants, asked, assumed),
        openai=asked.answers * tokens,
    )


def _calls(tenants: int, asked: Load, assumed: Assumed, architecture: str) -> float:
    looks = asked.answers * LOOKS_PER_ANSWER
    seconds = (
        asked.calls * SHORT_CALL_SECONDS
        + asked.held_seconds
        + asked.answers * (assumed.model_seconds + THINK_SECONDS)
        + MINUTES_A_MONTH * (RECONCILE_SECONDS + RECONCILE_SECONDS_PER_TENANT * tenants)
    )
    return (
        asked.calls * prices.API_REQUEST.dollars
        + (asked.calls + looks + MINUTES_A_MONTH) * prices.LAMBDA_REQUEST.dollars
        + seconds * LAMBDA_GB * prices.LAMBDA_GB_SECOND[architecture].dollars
        + (looks * QUEUE_REQUESTS_PER_LOOK + MINUTES_A_MONTH * EMPTY_RECEIVES_PER_MINUTE) * prices.QUEUE_REQUEST.dollars
    )


def _table(tenants: int, asked: Load) -> float:
    renewals = asked.runners * SECONDS_A_MONTH / LEASE_RENEWED_EVERY_SECONDS
    # Each renewal looks at all runners for silent ones, each minute at all tenants; half a unit for 4 KB.
    all_runners = math.ceil(asked.runners * RUNNER_BYTES / 4096) / 2
    all_tenants = math.ceil(tenants * TENANT_BYTES / 4096) / 2
    writes = (
        asked.answers * ANSWER_WRITE_UNITS
        + asked.reports * REPORT_WRITE_UNITS
        + asked.snapshots * SNAPSHOT_WRITE_UNITS
        + renewals * RENEWAL_WRITE_UNITS
    )
    reads = (
        asked.answers * ANSWER_READ_UNITS
        + asked.reports * REPORT_READ_UNITS
        + asked.snapshots * SNAPSHOT_READ_UNITS
        + asked.syncs * SYNC_READ_UNITS
        + asked.held_seconds / BELL_POLLED_EVERY_SECONDS
        + renewals * (0.5 + all_runners)
        + MINUTES_A_MONTH * (all_tenants + 2 * all_runners)
    )
    stored_gb = asked.answers / DAYS_A_MONTH * MESSAGES_KEPT_DAYS * ANSWER_STORED_BYTES * 2 / 1e9
    return (
        writes * prices.TABLE_WRITE_UNIT.dollars
        + reads * prices.TABLE_READ_UNIT.dollars
        + stored_gb * prices.TABLE_GB_MONTH.dollars
    )


def _snapshots(tenants: int, asked: Load, assumed: Assumed) -> float:
    waiting_to_go = asked.snapshots / DAYS_A_MONTH * (SWEPT_AFTER_DAYS + DELETED_KEPT_DAYS)
    stored_gb = (tenants * SNAPSHOTS_REFERRED_TO + waiting_to_go) * assumed.snapshot_megabytes / 1000
    return stored_gb * prices.S3_GB_MONTH.dollars + asked.snapshots * (prices.S3_WRITE.dollars + prices.S3_READ.dollars)


def _watching(asked: Load) -> float:
    looks = asked.answers * LOOKS_PER_ANSWER
    logs_gb = (
        (asked.calls + looks) * LOG_BYTES_PER_CALL
        + asked.answers * LOG_BYTES_PER_ANSWER
        + MINUTES_A_MONTH * LOG_BYTES_PER_MINUTE
    ) / 1e9
    return (
        logs_gb * (prices.LOG_GB.dollars + prices.LOG_GB_MONTH.dollars * LOGS_KEPT_DAYS / DAYS_A_MONTH)
        + METRICS * prices.METRIC_MONTH.dollars
        + ALARM_METRICS * prices.ALARM_MONTH.dollars
        + COMPOSITE_ALARMS * prices.COMPOSITE_ALARM_MONTH.dollars
        + DASHBOARDS * prices.DASHBOARD_MONTH.dollars
    )


def _rest(tenants: int, asked: Load, assumed: Assumed) -> float:
    out_gb = asked.syncs * SYNC_ANSWER_BYTES / 1e9 + tenants * WHATSAPP_OUT_MB_PER_TENANT / 1000
    return (
        prices.KEY_MONTH.dollars
        + asked.answers * prices.KEY_REQUEST.dollars
        + tenants * assumed.mails_per_tenant * prices.MAIL.dollars
        + IMAGES_GB * prices.IMAGE_GB_MONTH.dollars
        + out_gb * prices.OUT_GB.dollars
    )
