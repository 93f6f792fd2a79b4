"""Fixtures of deployment: an AWS account that moto plays over HTTP, builders of images as scripts, a checkout."""

import os
import stat
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.artifacts import Artifacts
from infrastructure.deploying.aws.stack import Stack

REGION = "eu-west-1"
STACK = "answerline-unit"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://localhost:{port}"  # the name by which moto finds a template in its own S3
    server.stop()


@pytest.fixture
def account(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An empty account, isolated from the developer's own AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=10).close()
    session = boto3.Session(region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")
    return Account(session, moto_url)


@pytest.fixture
def artifacts(account: Account) -> Artifacts:
    """The deploy bucket without its policy, which allows only HTTPS: moto speaks HTTP and enforces policies."""
    artifacts = Artifacts(account, STACK)
    artifacts.ensure_bucket()
    account.client("s3").delete_bucket_policy(Bucket=artifacts.bucket)
    return artifacts


class Time:
    """A clock whose seconds pass only in pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def reported() -> list[str]:
    """The lines that were reported to the operator."""
    return []


@pytest.fixture
def stack(account: Account, reported: list[str], time: Time) -> Stack:
    return Stack(account.client("cloudformation"), STACK, report=reported.append, clock=time, pause=time.pause)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Adds a program to an otherwise almost empty PATH: name, shell script."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    for name in ("docker", "podman", "buildah"):
        _script(directory / name, "exit 1")  # also where the machine has a real one

    def put(name: str, script: str) -> Path:
        return _script(directory / name, script)

    return put


def _script(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with one commit."""
    path = tmp_path / "checkout"
    path.mkdir()
    (path / "file").write_text("one\n")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "one"],
    ):
        subprocess.run(["git", *command], cwd=path, check=True, timeout=30)
    return path
