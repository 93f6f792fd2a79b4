"""The local table: what it acknowledged survives a kill, and only what this start's key has signed reaches it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from infrastructure.local.aws import REGION, Aws
from infrastructure.local.programs import Programs
from infrastructure.local.settings import Ports, Settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(60)]


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(Settings(data=tmp_path, ports=Ports.free(), runners=0))
    programs.start_table()
    yield programs
    programs.kill()


def create_table(aws: Aws) -> Any:
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


def post(aws: Aws, headers: dict[str, str]) -> int:
    body = json.dumps({"TableName": "table"}).encode()
    own = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.Scan"}
    request = urllib.request.Request(aws.table_endpoint, data=body, headers={**own, **headers})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        assert "access-control-allow-origin" not in {name.lower() for name in error.headers}
        return error.code


def until_restarted(programs: Programs) -> list[str]:
    said: list[str] = []
    deadline = time.monotonic() + 15
    while programs.check(said.append) != ["table"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return said


def test_what_was_acknowledged_is_there_after_a_kill(programs: Programs) -> None:
    dynamodb = create_table(programs.aws)
    for index in range(50):
        dynamodb.put_item(TableName="table", Item={"pk": {"S": str(index)}})
    server = psutil.Process(programs.pids["table"])
    for process in [server, *server.children(recursive=True)]:
        process.kill()
    assert until_restarted(programs) == ["the table ended with -9; it is restarted"]
    assert dynamodb.scan(TableName="table", Select="COUNT")["Count"] == 50


def test_a_dynoxide_that_ends_is_started_again(programs: Programs) -> None:
    dynamodb = create_table(programs.aws)
    [dynoxide] = psutil.Process(programs.pids["table"]).children(recursive=True)
    dynoxide.kill()
    assert until_restarted(programs) == ["the table ended with 1; it is restarted"]
    dynamodb.put_item(TableName="table", Item={"pk": {"S": "a"}})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/dynamodb/aws4_request"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebind.evil.example"},
    ],
)
def test_a_request_without_a_signature_is_refused(programs: Programs, headers: dict[str, str]) -> None:
    create_table(programs.aws)
    assert post(programs.aws, headers) == 403


def test_the_key_of_another_start_opens_nothing(programs: Programs) -> None:
    other = Aws.with_new_key(programs.aws.endpoint, programs.aws.table_endpoint)
    with pytest.raises(ClientError, match="AccessDenied"):
        other.client("dynamodb").list_tables()


def test_the_public_answer_to_a_preflight_allows_nothing(programs: Programs) -> None:
    request = urllib.request.Request(
        programs.aws.table_endpoint, method="OPTIONS", headers={"Origin": "https://a.example"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert (refused.value.code, refused.value.headers.get("Access-Control-Allow-Origin")) == (403, None)


def test_dynoxide_has_no_port_on_this_machine(programs: Programs) -> None:
    if Path(f"/proc/{programs.pids['table']}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        pytest.skip("this kernel allows no network namespace")
    ports = [
        entry.laddr.port
        for entry in psutil.net_connections("tcp")
        if entry.status == psutil.CONN_LISTEN and entry.pid in _tree(programs.pids["table"])
    ]
    assert ports == [int(programs.aws.table_endpoint.rpartition(":")[2])]


def test_files_of_the_table_are_its_owners(programs: Programs, tmp_path: Path) -> None:
    create_table(programs.aws)
    files = list((tmp_path / "table").iterdir())
    assert {file.name for file in files} >= {"answerline.db", "answerline.db-wal"}
    assert [file.name for file in files if file.stat().st_mode & 0o077] == []
    assert (tmp_path / "table").stat().st_mode & 0o077 == 0


def test_the_environment_of_a_child_process_opens_both_stores(programs: Programs) -> None:
    create_table(programs.aws)
    assert Aws.of(programs.aws.environment()) == programs.aws
    variables = programs.aws.environment()
    session = boto3.Session(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    client = session.client("dynamodb", endpoint_url=variables["AWS_ENDPOINT_URL_DYNAMODB"])
    assert client.list_tables()["TableNames"] == ["table"]


def _tree(pid: int) -> set[int]:
    process = psutil.Process(pid)
    return {pid, *(child.pid for child in process.children(recursive=True))}
