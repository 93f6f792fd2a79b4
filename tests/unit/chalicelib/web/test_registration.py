"""The bootstrap token registers one runner for each task of ours: an attacker who reads it gets no further one."""

import pytest

from chalicelib.aws.ssm import CACHED_FOR_MS, Parameters
from chalicelib.errors import TaskRefused, TransientError, Unauthorised
from chalicelib.model import RunnerState
from chalicelib.store.fleet.tasks import Tasks
from chalicelib.store.runners import Runners
from chalicelib.store.table import Item, Table
from chalicelib.web import runner_api
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, SESSION, Clock, FakeFleet, a_tenant
from wire import Identity, SyncAnswer, SyncRequest

TOKEN = "bootstrap-token"
PARAMETER = "/answerline-unit/runner-bootstrap-token"
T = "tenantaaaa"


def fleet_of(services: Services) -> FakeFleet:
    assert isinstance(services.fleet, FakeFleet)
    return services.fleet


def sync(services: Services, token: str, task: str = "task-a") -> SyncAnswer:
    return runner_api.sync(services, token, SyncRequest(sequence=1, capacity=3, task=task))


def register(services: Services, task: str = "task-a") -> Identity:
    identity = sync(services, TOKEN, task).identity
    assert identity is not None
    return identity


def state_of(services: Services, identity: Identity) -> RunnerState:
    runner = services.runners.get(identity.runner)
    assert runner is not None
    return runner.state


def test_a_task_of_another_service_gets_no_runner_and_the_log_has_a_line(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    fleet_of(services).ended.add("task-a")
    with pytest.raises(TaskRefused) as refused:
        register(services)
    assert (refused.value.status, refused.value.code) == (401, "task_refused")
    assert list(services.runners.listed()) == []
    (line,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert (line.message, line.__dict__["task"]) == ("registration_refused", "task-a")
    assert TOKEN not in str(line.__dict__)


def test_while_ecs_does_not_answer_no_task_registers_and_a_retry_helps(services: Services) -> None:
    fleet_of(services).tells = False
    with pytest.raises(TransientError):
        register(services)
    assert list(services.runners.listed()) == []
    fleet_of(services).tells = True
    register(services)


def test_a_task_whose_runner_is_alive_gets_no_second_one_and_its_runner_is_not_affected(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    first = register(services)
    sync(services, first.token)
    with pytest.raises(TaskRefused):
        register(services)
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == ["registration_refused"]
    sync(services, first.token)
    assert [runner.id for runner in services.runners.alive()] == [first.runner]
    register(services, "task-b")


def test_not_even_while_its_runner_is_silent_or_drains(services: Services, clock: Clock) -> None:
    first = register(services)
    sync(services, first.token)
    clock.pass_seconds(90)
    with pytest.raises(TaskRefused):
        register(services)
    sync(services, first.token)
    assert services.drains.start(first.runner, clock())
    with pytest.raises(TaskRefused):
        register(services)
    assert state_of(services, first) is RunnerState.DRAINING


def test_a_runner_that_was_declared_dead_registers_again_from_the_same_task_as_another(
    services: Services, clock: Clock
) -> None:
    first = register(services)
    sync(services, first.token)
    services.reaping.reap(first.runner, clock())
    second = register(services)
    sync(services, second.token)
    with pytest.raises(Unauthorised):
        sync(services, first.token)
    with pytest.raises(TaskRefused):
        register(services)


def test_a_registration_whose_answer_was_lost_is_repeated_and_the_lost_one_opens_nothing(services: Services) -> None:
    lost = register(services)
    found = register(services)
    with pytest.raises(Unauthorised):
        sync(services, lost.token)
    sync(services, found.token)
    assert [runner.id for runner in services.runners.alive()] == [found.runner]


def test_of_many_registrations_at_the_same_time_one_at_most_can_ever_be_used(services: Services) -> None:
    made: list[Identity] = []
    runs, others = services.fleet.runs, iter(range(3))

    def meanwhile(task: str) -> bool:
        """Another one begins and ends while ECS is asked."""
        if next(others, None) is not None:
            made.append(register(services))
        return runs(task)

    services.fleet.runs = meanwhile  # type: ignore[method-assign]
    made.append(register(services))
    usable = [each for each in made if state_of(services, each) is not RunnerState.DEAD]
    assert len(made) == 4 and usable == made[-1:]


# -- on a real table's rules --------------------------------------------------------------------------------------


def test_a_registration_that_another_one_overtook_is_asked_to_retry(
    table: Table, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = Tasks(table, Runners(table))
    faster: list[str] = []

    def overtaken(pk: str, sk: str) -> Item | None:
        item = Table.get(table, pk, sk)
        if faster:
            assert tasks.claim("task-a", faster.pop(), clock())
        return item

    monkeypatch.setattr(table, "get", overtaken)
    for first in ("runneraaaa", "runnerbbbb"):  # no runner had registered; a runner had
        faster.append(first)
        with pytest.raises(TransientError):
            tasks.claim("task-a", "runnercccc", clock())
    assert tasks.claim("task-a", "runnercccc", clock())


def test_a_registration_whose_answer_arrived_late_keeps_its_task(
    table: Table, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runners = Runners(table)
    tasks = Tasks(table, runners)
    assert tasks.claim("task-a", "runneraaaa", clock())
    made = runners.register("runneraaaa", "0" * 64, 0, clock(), task="task-a")
    get = runners.get

    def heard_meanwhile(runner: str) -> object:
        seen = get(runner)
        runners.renew_lease(made, clock.pass_seconds(1), capacity=3, draining=False, probes={})
        return seen

    monkeypatch.setattr(runners, "get", heard_meanwhile)
    assert not tasks.claim("task-a", "runnerbbbb", clock())
    again = get("runneraaaa")
    assert again is not None and again.state is RunnerState.ALIVE


def test_a_runner_with_a_session_keeps_its_task_although_its_disk_is_full(services: Services, clock: Clock) -> None:
    services.tenants.create(a_tenant(T), ASSISTANT, by="operator@example.com")
    first = register(services)
    sync(services, first.token)
    services.placement.keep_awake(T, clock())
    clock.pass_seconds(11)
    full = runner_api.sync(services, first.token, SyncRequest(sequence=2, capacity=0, task="task-a"))
    assert len(full.hold) == 1
    with pytest.raises(TaskRefused):
        register(services)


def test_what_is_noted_of_a_task_expires_with_its_runner_and_not_before(table: Table, clock: Clock) -> None:
    runners = Runners(table)
    tasks = Tasks(table, runners)
    for runner in ("runneraaaa", "runnerbbbb"):
        assert tasks.claim("task-a", runner, clock())
        runners.register(runner, "0" * 64, 3, clock(), task="task-a")
        noted = table.get("TASK#task-a", "TASK")
        assert noted is not None and "expires_at" not in noted
        runners.declare_dead(runner, clock())
        noted = table.get("TASK#task-a", "TASK")
        assert noted is not None and noted["expires_at"] > clock() // 1000
    assert tasks.claim("task-a", "runnercccc", clock())
    runners.register("runnerdddd", "0" * 64, 0, clock(), task="task-a")  # another registration took its task first
    runners.declare_dead("runnerdddd", clock())
    assert table.get("TASK#task-a", "TASK") == {"pk": "TASK#task-a", "sk": "TASK", "runner": "runnercccc"}


# -- the token made anew ------------------------------------------------------------------------------------------


@pytest.fixture
def rotated(services: Services, clock: Clock) -> Services:
    """The former token is remembered, and there is a newer one."""
    ssm = SESSION.client("ssm")
    ssm.put_parameter(Name=PARAMETER, Type="SecureString", Value="the-former")
    services._environment = {**services._environment, "RUNNER_TOKEN_PARAMETER": PARAMETER}
    del services.runner_token
    sync(services, "the-former", "task-a")
    ssm.put_parameter(Name=PARAMETER, Type="SecureString", Value="the-newer", Overwrite=True)
    clock.pass_seconds(60)
    return services


def test_a_token_that_was_made_anew_is_taken_at_once_and_ends_the_former(rotated: Services) -> None:
    sync(rotated, "the-newer", "task-b")
    with pytest.raises(Unauthorised):
        sync(rotated, "the-former", "task-c")


def test_a_former_token_is_taken_for_five_minutes_at_most(rotated: Services, clock: Clock) -> None:
    sync(rotated, "the-former", "task-b")
    clock.pass_seconds(CACHED_FOR_MS / 1000 - 60)
    with pytest.raises(Unauthorised):
        sync(rotated, "the-former", "task-c")


def test_wrong_tokens_cost_one_read_in_ten_seconds_and_runners_own_cost_none(services: Services, clock: Clock) -> None:
    asked: list[int] = []

    class Ssm:
        def get_parameter(self, **_: object) -> dict[str, dict[str, str]]:
            asked.append(clock())
            return {"Parameter": {"Value": TOKEN}}

    services._environment = {**services._environment, "RUNNER_TOKEN_PARAMETER": PARAMETER}
    services.__dict__["parameters"] = Parameters(Ssm(), clock)  # type: ignore[arg-type]
    del services.runner_token
    for _ in range(100):
        for token in ("wrong", "nobodyhere.secret"):
            with pytest.raises(Unauthorised):
                sync(services, token)
        clock.pass_seconds(0.3)
    assert len(asked) == 3
    clock.pass_seconds(60)
    with pytest.raises(Unauthorised):
        sync(services, "nobodyhere.secret")
    assert len(asked) == 3
