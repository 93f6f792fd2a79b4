"""The tasks that are runners: those of our own service that are to stay, as ECS itself reports them."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.moto_api import state_manager

from chalicelib.aws.ecs import Fleet
from chalicelib.errors import TransientError
from tests.unit.conftest import SESSION

STEPS = "ecs::task"


class Account:
    """ECS with our cluster and another one, as moto plays it."""

    def __init__(self) -> None:
        self.ecs: Any = SESSION.client("ecs")
        ec2 = SESSION.client("ec2")
        self._network = {
            "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroups": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
        }
        for cluster in ("ours", "other"):
            self.ecs.create_cluster(clusterName=cluster)
        self.ecs.register_task_definition(
            family="runner",
            containerDefinitions=[{"name": "runner", "image": "runner", "memory": 128}],
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
        )
        self.fleet = Fleet(self.ecs, cluster="ours", service="runners", clock=lambda: 0)

    def task(self, cluster: str = "ours", group: str = "service:runners") -> str:
        """Starts a task."""
        started = self.ecs.run_task(
            cluster=cluster,
            taskDefinition="runner",
            group=group,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": self._network},
        )
        return str(started["tasks"][0]["taskArn"])


@pytest.fixture
def account(aws: None) -> Iterator[Account]:
    state_manager.set_transition(STEPS, {"progression": "manual", "times": 1000})
    yield Account()
    state_manager.unset_transition(STEPS)


def test_a_task_of_our_service_is_a_runner_until_it_is_to_end(account: Account) -> None:
    first, second = account.task(), account.task()
    assert account.fleet.runs(first)
    account.ecs.stop_task(cluster="ours", task=first)
    assert not account.fleet.runs(first)
    assert account.fleet.runs(second)


def test_a_task_that_is_to_end_is_no_runner_although_it_still_runs(account: Account) -> None:
    task = account.task()
    describe_tasks = account.ecs.describe_tasks
    ending = {"desiredStatus": "STOPPED"}  # moto stops at once; ECS waits for the container
    account.ecs.describe_tasks = lambda **asked: {
        "tasks": [{**each, **ending} for each in describe_tasks(**asked)["tasks"]]
    }
    assert not account.fleet.runs(task)


def test_a_task_that_ends_by_itself_is_none_from_its_first_step_on(account: Account) -> None:
    task = account.task()
    state_manager.set_transition(STEPS, {"progression": "manual", "times": 1})
    assert not account.fleet.runs(task)
    (described,) = account.ecs.describe_tasks(cluster="ours", tasks=[task])["tasks"]
    assert (described["desiredStatus"], described["lastStatus"]) == ("RUNNING", "STOPPING")


def test_a_task_of_another_service_or_cluster_or_account_is_none(account: Account) -> None:
    ours = account.task()
    assert not account.fleet.runs(account.task(group="service:another"))
    assert not account.fleet.runs(account.task(group="family:runner"))
    assert not account.fleet.runs(account.task(cluster="other"))
    assert not account.fleet.runs(ours.replace("123456789012", "210987654321"))
    assert account.fleet.runs(ours)


@pytest.mark.parametrize(
    "task",
    [
        "",
        "task",
        "arn:aws:ecs:eu-west-1:123456789012:task/ours/",
        "arn:aws:ecs:eu-west-1:123456789012:task/ours/a/b",
        "arn:aws:ecs:eu-west-1:123456789012:task/ours/ü",
        "arn:aws:ecs:eu-west-1:123456789012:task/ours/" + "0" * 65,
        "arn:aws:ecs:eu-west-1:123456789012:task/other/" + "0" * 32,
    ],
)
def test_an_impossible_arn_is_not_asked_about(task: str) -> None:
    assert not Fleet(None, cluster="ours", service="runners", clock=lambda: 0).runs(task)  # type: ignore[arg-type]


def test_a_task_that_does_not_exist_is_no_runner(account: Account) -> None:
    assert not account.fleet.runs("arn:aws:ecs:eu-west-1:123456789012:task/ours/" + "0" * 32)


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException"}}, "DescribeTasks"),
        ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeTasks"),
        ClientError({"Error": {"Code": "ClusterNotFoundException"}}, "DescribeTasks"),
        EndpointConnectionError(endpoint_url="https://ecs.example"),
    ],
)
def test_while_ecs_does_not_answer_no_task_is_a_runner_and_the_caller_retries(
    account: Account, error: Exception
) -> None:
    task = account.task()
    describe_tasks = account.ecs.describe_tasks

    def refuse(**_: Any) -> Any:
        raise error

    account.ecs.describe_tasks = refuse
    with pytest.raises(TransientError):
        account.fleet.runs(task)
    account.ecs.describe_tasks = describe_tasks
    assert account.fleet.runs(task)


def test_a_name_that_ecs_does_not_take_is_no_task(account: Account) -> None:
    def refuse(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "InvalidParameterException"}}, "DescribeTasks")

    account.ecs.describe_tasks = refuse
    assert not account.fleet.runs("arn:aws:ecs:eu-west-1:123456789012:task/ours/x")
