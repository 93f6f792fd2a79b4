"""The authorizer lets through what may be a runner's call, and reads no item for anything else."""

import re
from typing import Any

import pytest

from chalicelib.errors import Unauthorised
from chalicelib.model import RunnerState
from chalicelib.store.runners import Runners
from chalicelib.tokens import hand_in_capability, sha256
from chalicelib.web import runner_api
from chalicelib.web.runner_auth import authenticate
from chalicelib.web.runner_authorizer import IDENTITY, Admission, admit, authorize
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from wire import Identity, SyncRequest

BOOTSTRAP = "Kq3" * 14 + "_"
STAGE = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/api"
ID, SECRET, DIGEST = "0123456789abcdef0123", "s" * 43, "0" * 64


@pytest.fixture
def runner(services: Services, monkeypatch: pytest.MonkeyPatch) -> Identity:
    monkeypatch.setattr(services, "runner_token", lambda **_: BOOTSTRAP)
    monkeypatch.setattr(services, "token", lambda: "T-_9" * 11)
    identity = runner_api.sync(services, BOOTSTRAP, SyncRequest(sequence=1, capacity=3, task="task-a")).identity
    assert identity is not None
    return identity


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runners that the table is asked for."""
    asked: list[str] = []
    get = Runners.get

    def watched(self: Runners, runner: str) -> Any:
        asked.append(runner)
        return get(self, runner)

    monkeypatch.setattr(Runners, "get", watched)
    return asked


def policy(services: Services, token: str) -> tuple[str, set[str]]:
    event = {"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": f"{STAGE}/POST/runner/sync"}
    answer = authorize(services, event)
    (statement,) = answer["policyDocument"]["Statement"]
    assert (answer["principalId"], statement["Action"]) == ("runner", "execute-api:Invoke")
    return statement["Effect"], {each.removeprefix(f"{STAGE}/") for each in statement["Resource"]}


# -- who passes ------------------------------------------------------------------------------------------------


def test_a_runners_own_token_opens_every_call_of_runners(services: Services, runner: Identity) -> None:
    assert policy(services, runner.token) == ("Allow", {"POST/runner/*"})


def test_the_bootstrap_token_opens_the_registration_only(services: Services, runner: Identity) -> None:
    assert policy(services, BOOTSTRAP) == ("Allow", {"POST/runner/sync"})


def test_a_capability_opens_the_two_calls_that_hand_in(services: Services, runner: Identity) -> None:
    capability = hand_in_capability(runner.runner, sha256(runner.token.partition(".")[2]), "tenantaaaa", 7)
    assert policy(services, capability) == ("Allow", {"POST/runner/messages", "POST/runner/sent"})


def test_a_dead_runner_passes_because_it_may_hand_in(services: Services, runner: Identity, clock: Clock) -> None:
    services.reaping.reap(runner.runner, clock())
    assert [each.state for each in [services.runners.get(runner.runner)] if each] == [RunnerState.DEAD]
    assert policy(services, runner.token) == ("Allow", {"POST/runner/*"})


@pytest.mark.parametrize(
    "token", [f"{ID}.{SECRET}", f"{ID}.tenantaaaa.7.{DIGEST}", "s" * 43, BOOTSTRAP.lower()], ids=lambda each: each[:30]
)
def test_a_token_of_the_right_shape_that_nobody_has_opens_nothing(
    services: Services, runner: Identity, token: str
) -> None:
    assert policy(services, token) == ("Deny", {"POST/runner/*"})


def test_a_refused_call_is_logged_without_its_token(
    services: Services, runner: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    policy(services, f"{runner.runner}.{SECRET}")
    (line,) = caplog.records
    assert line.message == "stranger_refused"
    assert SECRET not in str(line.__dict__) and runner.runner not in str(line.__dict__)
    caplog.clear()
    policy(services, runner.token)
    assert not caplog.records


def test_a_runners_name_with_another_secret_opens_nothing(services: Services, runner: Identity) -> None:
    assert policy(services, f"{runner.runner}.{SECRET}") == ("Deny", {"POST/runner/*"})


# -- who is refused by the shape ---------------------------------------------------------------------------------

OTHERS = [
    "",
    "Bearer",
    "Bearer ",
    "Basic dXNlcjpwYXNz",
    "Bearer x",
    f"Bearer {'x' * 129}",
    f"Bearer {ID}.",
    f"Bearer .{SECRET}",
    f"Bearer {ID[:-1]}.{SECRET}",
    f"Bearer {ID}0.{SECRET}",
    f"Bearer {ID.upper()}.{SECRET}",
    f"Bearer {'a' * 7_000}.{SECRET}",
    f"Bearer {ID}.{'s' * 7_000}",
    f"Bearer {ID}.{SECRET}.{SECRET}",
    f"Bearer {ID}.tenant-aaa.7.{DIGEST}",
    f"Bearer {ID}.tenantaaaa.-7.{DIGEST}",
    f"Bearer {ID}.tenantaaaa.7.{DIGEST}0",
    f"Bearer {ID}.{SECRET}\n",
    f"Bearer {ID}.{SECRET} ",
    f"Bearer  {ID}.{SECRET}",
    f"Bearer {'٠' * 20}.{SECRET}",
    f"Bearer {ID}.{'ſ' * 43}",
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
]


@pytest.mark.parametrize("header", OTHERS, ids=lambda each: repr(each)[:40])
def test_another_shape_is_refused_and_the_table_is_not_asked(
    services: Services, asked_for: list[str], header: str
) -> None:
    assert admit(services, header) is Admission.NOTHING
    assert not asked_for


@pytest.mark.parametrize(
    "token",
    [f"{'a' * 7_000}.{SECRET}", f"{ID}0.{SECRET}", f"{ID.upper()}.{SECRET}", f"ü{ID[1:]}.{SECRET}", "sign-in.x", "."],
    ids=lambda each: each[:24],
)
def test_an_endpoint_asks_the_table_for_no_name_of_another_shape(
    services: Services, asked_for: list[str], token: str
) -> None:
    """The authorizer may be passed by, as on one machine: DynamoDB refuses a key above 2 KB with an error."""
    with pytest.raises(Unauthorised):
        authenticate(services, token)
    assert not asked_for


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_every_token_that_we_make_has_the_shape(services: Services, runner: Identity, scheme: str) -> None:
    capability = hand_in_capability(runner.runner, sha256(SECRET), "tenantaaaa", 2**53)
    for token in (runner.token, BOOTSTRAP, capability):
        assert re.search(IDENTITY, f"{scheme} {token}")  # as AWS WAF searches it


def test_a_table_that_cannot_be_read_refuses_nobody(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """API Gateway answers 500 then, which a runner retries; told 401, it would give its lines up."""

    def broken(self: Runners, runner: str) -> None:
        raise ConnectionError

    monkeypatch.setattr(Runners, "get", broken)
    with pytest.raises(ConnectionError):
        admit(services, f"Bearer {ID}.{SECRET}")
