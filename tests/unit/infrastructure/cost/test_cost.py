"""Monthly costs: docs/costs.md contains the script's output, and the script's numbers are the code's own."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise
from typing import cast

import pytest

from chalicelib import metrics
from chalicelib.aws.sqs import TurnCheck
from chalicelib.model import (
    DEBOUNCE,
    LEASE_RENEWED_EVERY,
    Assistant,
    Policies,
    Tenant,
    TenantState,
    snapshot_key,
)
from chalicelib.model import SnapshotVersion as Stored
from chalicelib.model.snapshot import DAILY_KEPT_FOR, ORPHANS_KEPT_FOR, VERSIONS_KEPT
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.replies.turn_taking import take_turn
from chalicelib.store.table import Table
from chalicelib.web import runner_api, snapshot_api
from chalicelib.wiring import Services
from infrastructure.checkout import REPOSITORY
from infrastructure.cost import __main__ as script
from infrastructure.cost import model, prices
from infrastructure.cost.model import Assumed, cost, load
from infrastructure.packaging import template
from runner.messages import conversation
from runner.profile import schedule
from tests.unit.conftest import Clock, FakeLlmClient
from tests.unit.support.billed_table import BilledTable, size_bytes
from wire import (
    MAX_BELL_HOLD_MS,
    BellAnswer,
    BellRequest,
    CommitRequest,
    Hold,
    Message,
    MessageKind,
    MessagesRequest,
    Phase,
    SentRequest,
    SessionReport,
    SyncAnswer,
    SyncRequest,
    TakeRequest,
    UploadRequest,
)

ROOT = REPOSITORY
COSTS = (ROOT / "docs/costs.md").read_text()
USUAL = Assumed()

# -- what is printed ------------------------------------------------------------------------------------------


def test_the_document_shows_the_output_of_the_script() -> None:
    assert script.report(script.TENANTS_SHOWN, USUAL) in COSTS, "run `make cost` and put its output into docs/costs.md"


def test_other_assumptions_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--tenants", "20", "--messages-per-day", "200"]) == 0
    printed = capsys.readouterr().out
    assert script.report([20], replace(USUAL, messages_per_day=200)) in printed
    assert "200 messages answered" in printed


@pytest.mark.parametrize("wrong", [["--tenants", "0"], ["--messages-per-day", "-1"], ["--active-hours-per-day", "25"]])
def test_nonsense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        script.main(wrong)
    assert ended.value.code == 2 and "make cost: error:" in capsys.readouterr().err


def test_every_price_has_a_page_and_is_on_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--prices"])
    printed = capsys.readouterr().out
    every = list(prices.every())
    assert len(every) > 25 and all(price.dollars > 0 for price in every)
    assert all(price.unit in printed and price.address in printed for price in every)
    assert printed.count("(unconfirmed)") == sum(not price.confirmed for price in every)


# -- how the model behaves ------------------------------------------------------------------------------------


def test_more_tenants_never_cost_less_and_a_single_one_gets_cheaper() -> None:
    totals = [cost(tenants, USUAL).total for tenants in range(1, 600)]
    assert all(fewer < more for fewer, more in pairwise(totals))
    assert totals[499] / 500 < totals[49] / 50 < totals[4] / 5


@pytest.mark.parametrize("name", [each.name for each in fields(Assumed) if each.name != "spot_discount"])
def test_more_of_anything_costs_more(name: str) -> None:
    more = cost(50, replace(USUAL, **{name: getattr(USUAL, name) * 1.5}))
    usual = cost(50, USUAL)
    assert more.total + more.openai > usual.total + usual.openai


def test_spot_and_arm_save_on_the_machines_only() -> None:
    usual, on_spot = cost(50, USUAL), cost(50, USUAL, spot=True)
    assert on_spot.fargate == pytest.approx(usual.fargate * (1 - USUAL.spot_discount))
    assert usual.total - on_spot.total == pytest.approx(usual.fargate - on_spot.fargate)
    assert cost(50, USUAL, architecture="x86_64").total > usual.total


def test_openais_bill_is_in_no_sum() -> None:
    dear = cost(50, replace(USUAL, output_tokens=100_000))
    assert dear.openai > cost(50, USUAL).openai and dear.total == cost(50, USUAL).total


def test_an_idle_installation_costs_its_runners_and_their_calls() -> None:
    idle = load(8, replace(USUAL, messages_per_day=0, page_views_per_tenant=0))
    assert idle.runners == 1 and idle.held_seconds == idle.bells == 0 and idle.snapshots == 0
    assert idle.calls == pytest.approx(730 * 3600 / 3)


def test_a_runner_holds_one_call_at_a_time_and_a_session_saves_once_a_minute_under_any_load() -> None:
    flooded = load(8, replace(USUAL, messages_per_day=1e7))
    assert flooded.held_seconds == pytest.approx(12 / 24 * 730 * 3600)
    assert flooded.snapshots == pytest.approx(8 * 730 / 2 * 60)


# -- whose numbers they are -----------------------------------------------------------------------------------


def test_the_intervals_are_the_codes_own() -> None:
    assert model.SYNC_EVERY_SECONDS == runner_api.NEXT_CALL_MS / 1000
    assert model.BELL_HELD_AT_MOST_SECONDS == MAX_BELL_HOLD_MS / 1000
    assert model.BELL_POLLED_EVERY_SECONDS == runner_api.BELL_POLLED_EVERY_SECONDS
    assert LEASE_RENEWED_EVERY.total_seconds() == model.LEASE_RENEWED_EVERY_SECONDS
    assert DEBOUNCE.total_seconds() == model.DEBOUNCE_SECONDS
    assert model.CAUGHT_UP_STEP_SECONDS == conversation.CAUGHT_UP_STEP_SECONDS
    assert model.CAUGHT_UP_REPORTS == conversation.CAUGHT_UP_LAG_SECONDS / conversation.CAUGHT_UP_STEP_SECONDS + 1
    assert model.SNAPSHOT_EVERY_SECONDS == schedule.MAX_UNSAVED_SECONDS
    assert model.TYPICAL_MEGABYTES == schedule.TYPICAL_BYTES / 1_000_000
    assert model.SNAPSHOT_AT_LEAST_EVERY_SECONDS == schedule.MAX_PAUSE_SECONDS
    assert [model.snapshot_every_seconds(megabytes) for megabytes in (1, 40, 200, 2_000)] == [60, 60, 300, 900]
    assert VERSIONS_KEPT + DAILY_KEPT_FOR.days - 1 == model.SNAPSHOTS_REFERRED_TO
    assert ORPHANS_KEPT_FOR.days + 0.5 == model.COLLECTED_AFTER_DAYS
    assert Policies().retention_days == model.MESSAGES_KEPT_DAYS


def test_the_authorizers_answer_is_kept_as_long_as_the_template_says() -> None:
    body = template.load(ROOT / "infrastructure" / "cloudformation" / "functions.yaml")["Resources"]["RestAPI"]
    (authorizer,) = body["Properties"]["DefinitionBody"]["securityDefinitions"].values()
    kept = authorizer["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"]
    assert kept == model.AUTHORIZED_EVERY_SECONDS


def test_the_sizes_are_the_templates_own() -> None:
    config = json.loads((ROOT / "chalice_app" / ".chalice" / "config.json").read_text())
    assert config["lambda_memory_size"] == model.LAMBDA_GB * 1024
    declared = template.load(ROOT / "infrastructure" / "cloudformation" / "resources.yaml")
    default = {name: parameter.get("Default") for name, parameter in declared["Parameters"].items()}
    assert default["RunnerCapacity"] == model.RUNNER_CAPACITY
    assert default["RunnerCpuUnits"] == model.RUNNER_VCPU * 1024
    assert default["RunnerMemoryMiB"] == model.RUNNER_GB * 1024
    assert default["RunnersAtLeast"] == model.RUNNERS_AT_LEAST
    assert default["LogRetentionDays"] == model.LOGS_KEPT_DAYS
    rules = declared["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    days = [rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules]
    assert days == [model.DELETED_KEPT_DAYS]


def test_each_metric_and_alarm_is_paid_for() -> None:
    kinds_of_errors = model.METRICS - len(metrics.UNITS)
    assert 5 <= kinds_of_errors <= 10
    watching = template.load(ROOT / "infrastructure" / "cloudformation" / "watching.yaml")["Resources"].values()
    alarms = [each["Properties"] for each in watching if each["Type"] == "AWS::CloudWatch::Alarm"]
    of_each = [sum("MetricStat" in metric for metric in alarm.get("Metrics", ())) or 1 for alarm in alarms]
    assert sum(of_each) == model.ALARM_METRICS
    kinds = [each["Type"] for each in watching]
    assert kinds.count("AWS::CloudWatch::CompositeAlarm") == model.COMPOSITE_ALARMS
    assert kinds.count("AWS::CloudWatch::Dashboard") == model.DASHBOARDS


# -- what was measured ----------------------------------------------------------------------------------------


class Runner:
    """A full runner whose sessions are all online, each with as many snapshots as are kept, before the real API."""

    def __init__(self, services: Services, table: BilledTable, clock: Clock) -> None:
        self.services, self.clock, self._table = services, clock, table
        self._token = services.runner_token()
        self._sequence = self._bell = 0
        for number in range(model.RUNNER_CAPACITY):
            self._create(f"tenant{number:04d}")
        self.sync()
        for tenant, _ in services.tenants.list_all():
            services.placement.keep_awake(tenant.id, clock())
        self.holds = self.sync().hold
        self.report(1)
        for day in range(DAILY_KEPT_FOR.days + 2):
            for hold in self.holds:
                self._snapshots(hold, day)
            clock.pass_seconds(86_400)
        self.sync()

    @property
    def id(self) -> str:
        return self._token.split(".")[0]

    def billed(self, what: Callable[[], object]) -> tuple[float, float]:
        """Returns the write and read units."""
        before = self._table.write_units, self._table.read_units
        what()
        return self._table.write_units - before[0], self._table.read_units - before[1]

    def wait_for_bell(self, wait_ms: int = 0) -> BellAnswer:
        answer = runner_api.wait_for_bell(self.services, self._token, BellRequest(bell=self._bell, wait_ms=wait_ms))
        self._bell = answer.bell
        return answer

    def sync(self, *reports: SessionReport) -> SyncAnswer:
        self._sequence += 1
        task = f"arn:aws:ecs:us-east-1:123456789012:task/answerline-prod/{0:032x}"
        image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/answerline-prod@sha256:{0:064x}"
        request = SyncRequest(
            sequence=self._sequence,
            capacity=model.RUNNER_CAPACITY,
            bell=self._bell,
            task=task,
            image=image,
            commit="abc1234",
            chromium="150.0.7000.100",
            wa_js="3.20.1",
            sessions=reports,
        )
        answer = runner_api.sync(self.services, self._token, request)
        if answer.identity is not None:
            self._token = answer.identity.token
        self._bell = answer.bell
        return answer

    def report(self, sequence: int) -> None:
        """Reports every session as caught up to this message."""
        caught_up = self.clock() // 60_000 * 60_000
        for hold in self.holds:
            self.sync(
                SessionReport(
                    tenant=hold.tenant,
                    epoch=hold.epoch,
                    sequence=sequence,
                    phase=Phase.ONLINE,
                    number="491709999999",
                    caught_up_to_ms=caught_up,
                    probed_ms_ago=100,
                )
            )

    def answer(self, number: int) -> None:
        """Answers a contact: message, model call, sent reply, and the reply's echo."""
        hold = self.holds[0]
        message = Message(
            id=f"3AB0{number:018d}",
            chat="4711@lid",
            chat_alias="491700000001@c.us",
            phone="491700000001",
            from_me=False,
            sent_at_ms=self.clock() // 1000 * 1000,
            kind=MessageKind.TEXT,
            text="Hello, do you have rye bread on Saturdays, too? And until when are you open?",
        )
        self._hand_in(hold, message)
        self.clock.pass_seconds(2)
        llm = cast(FakeLlmClient, self.services.llm)
        llm.next.append("Yes, we have rye bread on Saturdays, from eight o'clock until we are sold out. " * 3)
        assert take_turn(self.services, TurnCheck(tenant=hold.tenant, chat=message.chat)) is ReplyOutcome.RANG
        (delivery,) = self.wait_for_bell(MAX_BELL_HOLD_MS).deliver
        named = {"tenant": hold.tenant, "epoch": hold.epoch, "chat": delivery.chat, "turn": delivery.turn}
        (part,) = runner_api.take(self.services, self._token, TakeRequest(**named)).parts
        sent = SentRequest(**named, part=0, message=part.id)
        assert runner_api.sent(self.services, self._token, sent).done
        self._hand_in(hold, message.model_copy(update={"id": part.id, "from_me": True, "text": part.text}))

    def save(self) -> None:
        """Announces and commits a snapshot, without S3."""
        hold, sha256 = self.holds[0], f"{1:064x}"
        upload = UploadRequest(
            tenant=hold.tenant, epoch=hold.epoch, sequence=9_999, sha256=sha256, size_bytes=4 * 10**7
        )
        snapshot_api.upload(self.services, self._token, upload)
        commit = CommitRequest(**upload.model_dump(), chromium="150.0.7000.100", wa_js="3.20.1")
        assert snapshot_api.commit(self.services, self._token, commit).committed

    def _hand_in(self, hold: Hold, message: Message) -> None:
        request = MessagesRequest(tenant=hold.tenant, epoch=hold.epoch, messages=(message,))
        runner_api.messages(self.services, self._token, request)

    def _create(self, id: str) -> None:
        tenant = Tenant(
            id=id,
            name="The bakery at the corner",
            owner_email="owner@bakery.example.com",
            language="en",
            state=TenantState.ACTIVE,
            revision=1,
            created_at=self.clock(),
            assistant_version=1,
            key_ciphertext=self.services.key_encryption.encrypt(id, "sk-proj-" + "x" * 156),
            key_last4="xxxx",
        )
        assistant = Assistant(1, "gpt-6-luna", "You answer for a bakery. " * 80)
        self.services.tenants.create(tenant, assistant, by="operator@example.com")

    def _snapshots(self, hold: Hold, day: int) -> None:
        for sequence in range(day * VERSIONS_KEPT + 1, (day + 1) * VERSIONS_KEPT + 1):
            sha256 = f"{sequence:064x}"
            stored = Stored(
                key=snapshot_key(hold.tenant, hold.epoch, sequence, sha256),
                epoch=hold.epoch,
                sequence=sequence,
                sha256=sha256,
                size_bytes=4 * 10**7,
                chromium="150.0.7000.100",
                wa_js="3.20.1",
                taken_at=self.clock(),
            )
            assert self.services.snapshots.commit(hold.tenant, self.id, stored, self.clock())


@pytest.fixture
def memory_table() -> Table:
    return BilledTable()


@pytest.fixture
def runner(services: Services, memory_table: BilledTable, clock: Clock) -> Runner:
    services.__dict__["blobs"] = Shelf()
    return Runner(services, memory_table, clock)


class Shelf:
    """A store that has every object."""

    def sign_upload(self, key: str, *, size_bytes: int, sha256: str) -> "Shelf":
        self.url, self.headers = "https://store.example.com/" + key, dict[str, str]()
        self.size_bytes, self.sha256 = size_bytes, sha256
        return self

    def head(self, key: str) -> "Shelf":
        return self


def test_a_quiet_runner_writes_its_lease_and_nothing_else(runner: Runner, clock: Clock) -> None:
    renewals = [0.0, 0.0]
    for _ in range(30):
        clock.pass_seconds(10)
        for place, units in enumerate(runner.billed(runner.sync)):
            renewals[place] += units / 30
    idle = runner.billed(runner.sync)
    assert idle == pytest.approx((0, model.SYNC_READ_UNITS))
    assert renewals[0] == pytest.approx(model.RENEWAL_WRITE_UNITS, rel=0.05)
    assert renewals[1] == pytest.approx(model.RENEWAL_READ_UNITS, rel=0.05)
    polls = MAX_BELL_HOLD_MS / 1000 / model.BELL_POLLED_EVERY_SECONDS + 1
    assert runner.billed(lambda: runner.wait_for_bell(MAX_BELL_HOLD_MS)) == pytest.approx((0, 1 + polls))


def test_an_answered_message_costs_what_the_model_says(runner: Runner, clock: Clock, memory_table: BilledTable) -> None:
    for number in range(1, 21):
        runner.answer(number)
        clock.pass_seconds(3_600)
        runner.sync()
    writes, reads = runner.billed(lambda: runner.answer(21))
    assert writes == pytest.approx(model.ANSWER_WRITE_UNITS, rel=0.15)
    assert reads == pytest.approx(model.ANSWER_READ_UNITS, rel=0.15)
    stored = sum(size_bytes(item) for item in memory_table.items() if item["pk"].startswith("CHAT#"))
    assert stored / 21 == pytest.approx(model.ANSWER_STORED_BYTES, rel=0.15)


def test_a_report_and_a_snapshot_cost_what_the_model_says(runner: Runner, clock: Clock) -> None:
    clock.pass_seconds(11)
    runner.sync()
    writes, reads = (units / len(runner.holds) for units in runner.billed(lambda: runner.report(2)))
    assert writes == pytest.approx(model.REPORT_WRITE_UNITS, rel=0.15)
    assert reads == pytest.approx(model.REPORT_READ_UNITS + model.SYNC_READ_UNITS, rel=0.35)
    writes, reads = runner.billed(runner.save)
    assert writes == pytest.approx(model.SNAPSHOT_WRITE_UNITS, rel=0.15)
    assert reads == pytest.approx(model.SNAPSHOT_READ_UNITS, rel=0.15)


def test_runners_and_tenants_are_as_large_as_the_model_says(runner: Runner, memory_table: BilledTable) -> None:
    by_kind = {kind: [item for item in memory_table.items() if item["sk"] == kind] for kind in ("RUNNER", "TENANT")}
    sessions = [item for item in memory_table.items() if item["sk"] == "SESSION"]
    assert size_bytes(by_kind["RUNNER"][0]) == pytest.approx(model.RUNNER_BYTES, rel=0.15)
    assert size_bytes(by_kind["TENANT"][0]) + size_bytes(sessions[0]) == pytest.approx(model.TENANT_BYTES, rel=0.15)
    assert len(sessions[0]["snapshots"]) == model.SNAPSHOTS_REFERRED_TO
