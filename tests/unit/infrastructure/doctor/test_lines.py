"""The doctor's checks of lines, runners and secrets."""

from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.model import Assignment, Problem, Runner, RunnerState, Session, Tenant, TenantState
from chalicelib.model.turn_rules.outcomes import TurnOutcomes
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from infrastructure.checks import CheckResult, State
from infrastructure.doctor import lines
from infrastructure.doctor.lines import Lines
from tests.unit.conftest import REGION, STACK, a_tenant
from wire import Phase, ProblemCode

NOW = 1_790_000_000_000
URL = "https://line.agency.example/api"
TENANT = a_tenant("bakery0001", key_ciphertext="c2VhbGVk")
ONLINE = Session(tenant=TENANT.id, phase=Phase.ONLINE, number="4915112345678", runner="r1")
RUNNER = Runner(
    id="r1",
    state=RunnerState.ALIVE,
    token_sha256="",
    lease_until=NOW + 30_000,
    capacity=8,
    registered_at=0,
    lease_held_since=0,
    assigned=(Assignment(tenant=TENANT.id, epoch=1),),
    commit="abc",
    chromium="147.0.1",
    wa_js="4.6.0",
)


def some_lines(*tenants: tuple[Tenant, Session], runners: tuple[Runner, ...] = (RUNNER,)) -> Lines:
    return Lines(list(tenants), list(runners), NOW)


def bads(found: list[CheckResult]) -> list[str]:
    return [result.subject for result in found if result.state is State.BAD]


@pytest.mark.parametrize(
    ("tenant", "session", "wrong"),
    [
        (TENANT, ONLINE, False),
        (TENANT, replace(ONLINE, phase=Phase.OFFLINE), True),
        (TENANT, replace(ONLINE, phase=Phase.IDLE, runner=None), True),
        (replace(TENANT, state=TenantState.PAUSED), replace(ONLINE, phase=Phase.IDLE), False),
        (TENANT, Session(tenant=TENANT.id), False),  # not linked, and no page is open
        (TENANT, Session(tenant=TENANT.id, awake_until=NOW + 1000), True),
        (TENANT, Session(tenant=TENANT.id, awake_until=NOW + 1000, phase=Phase.QR), False),
    ],
)
def test_an_active_line_must_run(tenant: Tenant, session: Session, wrong: bool) -> None:
    found = lines.check_tenants(some_lines((tenant, session)))
    assert bool(bads(found)) is wrong
    if wrong:
        assert f"{tenant.id} is {session.phase}" in bads(found)[1]


def test_a_problem_that_needs_a_person_is_named() -> None:
    tenant = replace(TENANT, assistant_problem=Problem(ProblemCode.OUT_OF_CREDIT, NOW, ""))
    assert "out_of_credit" in bads(lines.check_tenants(some_lines((tenant, ONLINE))))[0]


def test_the_problem_of_a_line_that_goes_on_is_named_once() -> None:
    restricted = replace(ONLINE, problem=Problem(ProblemCode.RESTRICTED, NOW, ""))
    assert bads(lines.check_tenants(some_lines((TENANT, restricted)))) == [f"  {TENANT.id}: restricted"]
    down = bads(lines.check_tenants(some_lines((TENANT, replace(restricted, phase=Phase.OFFLINE)))))
    assert [subject.count("restricted") for subject in down] == [0, 1]
    paused = replace(TENANT, state=TenantState.PAUSED)
    assert bads(lines.check_tenants(some_lines((paused, restricted)))) == []


def saving(**more: Any) -> Runner:
    return replace(RUNNER, assigned=(Assignment(tenant=TENANT.id, epoch=1, **more),))


@pytest.mark.parametrize(
    ("runner", "subject", "wrong"),
    [
        (saving(saved_at=NOW), "1 of 1 logins are saved", []),
        (saving(), "0 of 0 logins are saved", []),  # a runner of a former release
        (saving(saved_at=NOW - 7_200_000), "0 of 1 logins are saved", ["bakery0001: Not saved for 2 hours"]),
        (
            saving(saved_at=NOW, save_problem="too_large"),
            "0 of 1 logins are saved",
            ["bakery0001: Not saved the last time"],
        ),
    ],
)
def test_logins_that_are_not_saved_are_named_with_their_reason(runner: Runner, subject: str, wrong: list[str]) -> None:
    found = lines.check_saved(some_lines((TENANT, ONLINE), runners=(runner,)))
    assert found[0].subject == subject
    assert [each.strip() for each in bads(found)[1:]] == wrong
    assert all(result.fix for result in found if result.state is State.BAD)


def test_a_paused_line_needs_no_snapshot() -> None:
    paused = replace(TENANT, state=TenantState.PAUSED)
    late = saving(saved_at=NOW - 7_200_000)
    assert bads(lines.check_saved(some_lines((paused, ONLINE), runners=(late,)))) == []


def test_a_runner_whose_disk_is_full_is_named() -> None:
    full = replace(RUNNER, disk="disk-1", disk_full=True)
    found = lines.check_runners(some_lines(runners=(full,)), commit="abc", wa_js="4.6.0", again="deploy")
    assert bads(found) == ["the disk of runner r1 is full: it saves no login"]


def test_many_lines_that_are_down_are_counted() -> None:
    down = [(replace(TENANT, id=f"t{n}"), replace(ONLINE, tenant=f"t{n}", phase=Phase.OFFLINE)) for n in range(30)]
    found = bads(lines.check_tenants(some_lines(*down)))
    assert found[0].startswith("0 of 30 lines")
    assert found[-1].strip() == "and 10 more"


@pytest.mark.parametrize(
    ("runners", "says"),
    [
        ((), "no runner is alive"),
        ((replace(RUNNER, lease_until=NOW),), "runner r1 is silent"),
        ((replace(RUNNER, lease_until=NOW - 150_000), replace(RUNNER, id="r2")), "runner r1 is silent"),
        ((replace(RUNNER, commit="old"),), "runners' commit: old, and abc here"),
        ((RUNNER, replace(RUNNER, id="r2", commit="old")), "runners' commit: abc ×1, old ×1"),
        ((RUNNER, replace(RUNNER, id="r2", chromium="140")), "runners' Chromium: 140 ×1, 147.0.1 ×1"),
        ((replace(RUNNER, wa_js="3.0.0"),), "runners' wa-js: 3.0.0, and 4.6.0 here"),
    ],
)
def test_runners_must_be_alive_and_equal(runners: tuple[Runner, ...], says: str) -> None:
    found = bads(lines.check_runners(some_lines(runners=runners), commit="abc", wa_js="4.6.0", again="again"))
    assert any(what.startswith(says) for what in found), found


def test_good_runners_show_their_versions() -> None:
    found = lines.check_runners(some_lines(), commit="abc", wa_js="4.6.0", again="again")
    assert bads(found) == []
    assert "runners' Chromium: 147.0.1" in [result.subject for result in found]


class Kms:
    """moto decrypts instead of a dry run, and knows no key policy."""

    def __init__(self, answer: str = lines.WOULD_WORK, state: str = "Enabled") -> None:
        self._answer = answer
        self._state = state
        self.asked: list[dict[str, Any]] = []

    def describe_key(self, **_: Any) -> dict[str, Any]:
        return {"KeyMetadata": {"KeyState": self._state}}

    def decrypt(self, **request: Any) -> None:
        self.asked.append(request)
        raise ClientError({"Error": {"Code": self._answer}}, "Decrypt")


@pytest.mark.parametrize(
    ("kms", "state", "says"),
    [
        (Kms(), State.OK, "decrypts all 1"),
        (Kms(state="PendingDeletion"), State.BAD, "PendingDeletion"),
        (Kms("IncorrectKeyException"), State.BAD, "another KMS key"),
        (Kms("InvalidCiphertextException"), State.BAD, "another KMS key"),
        (Kms("AccessDeniedException"), State.UNKNOWN, "is enabled"),
        (Kms("ThrottlingException"), State.UNKNOWN, "Throttling"),
    ],
)
def test_secrets_are_checked_by_a_dry_run(kms: Kms, state: State, says: str) -> None:
    (found,) = lines.check_secrets(kms, "alias/x", some_lines((TENANT, ONLINE)))
    assert found.state is state
    assert says in found.subject
    for request in kms.asked:
        assert request["DryRun"] is True
        assert request["EncryptionContext"]["tenant"] == TENANT.id


def test_lines_are_read_with_the_applications_own_code(table: Table) -> None:
    from chalicelib.model import Assistant

    Tenants(table, Timeline(table)).create(TENANT, Assistant(version=1, model="m", instructions=""), by="us")
    read = lines.read(boto3.client("dynamodb", region_name=REGION), STACK, NOW, lambda seconds: None)
    assert [tenant.id for tenant, _ in read.tenants] == [TENANT.id]
    assert read.runners == []


def test_the_runner_of_before_a_restart_is_no_problem_for_a_while() -> None:
    former = replace(RUNNER, id="r0", lease_until=NOW - 149_000)
    found = lines.check_runners(some_lines(runners=(former, RUNNER)), commit="abc", wa_js="4.6.0", again="again")
    assert bads(found) == []
    assert [each.subject for each in found if each.state is State.UNKNOWN] == ["runner r0 is silent"]


def test_nouns_have_their_number() -> None:
    found = lines.check_runners(some_lines(runners=(RUNNER,)), commit="abc", wa_js="4.6.0", again="again")
    assert found[0].subject == "1 runner, 1 session"
    assert lines.check_tenants(some_lines())[0].subject == "0 of 0 lines that should run do (0 tenants)"


@pytest.mark.parametrize(("given_up", "wrong"), [(0, False), (2, False), (3, True)])
def test_replies_that_were_given_up_lately_are_counted_and_too_many_are_bad(given_up: int, wrong: bool) -> None:
    result = lines.check_outcomes(replace(some_lines(), outcomes=TurnOutcomes(ended=10, given_up=given_up)))
    assert result.state is (State.BAD if wrong else State.OK)
    assert result.subject == f"{given_up} of 10 turns that ended lately were given up"
    assert not wrong or "#given-up-often" in result.fix
