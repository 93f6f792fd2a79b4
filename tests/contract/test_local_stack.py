"""The one-machine stack keeps its promises: real processes, real ports, real `kill -9`."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiosmtpd.controller import Controller

from infrastructure.checkout import REPOSITORY
from infrastructure.local import preflight, recovery
from infrastructure.local.ecs.runners import Processes
from infrastructure.local.ecs.service import Service
from infrastructure.local.ecs.supervisor import Supervisor
from infrastructure.local.mail import outbox
from infrastructure.local.mail.relay import smtp
from infrastructure.local.mail.spool import Mail
from infrastructure.local.processes import Child
from infrastructure.local.recovery import EPOCH_LEAP, REREAD_MS
from infrastructure.local.settings import CannotStart, Ports, Settings
from infrastructure.local.stack import LocalStack, local_stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

#: Stands for our application: small enough to observe the gateway and the event sources.
APPLICATION = """
import json, os, time
from chalice import Chalice, Rate, Response

app = Chalice("small")

def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(text + "\\n")

@app.route("/who/{name}")
def who(name):
    before = app.current_request.headers["x-id"]
    time.sleep(0.01)
    request = app.current_request
    return {"name": name, "before": before, "after": request.headers["x-id"], "query": request.query_params["n"],
            "function": app.lambda_context.function_name}

@app.route("/event", methods=["GET", "POST"], content_types=["application/json", "application/octet-stream"])
def event():
    return app.current_request.to_original_event()

@app.route("/picture")
def picture():
    return Response(body=b"\\x89PNG", headers={"Content-Type": "image/png"})

@app.route("/cookies")
def cookies():
    return Response(body="", headers={"Set-Cookie": ["a=1", "b=2"], "Content-Type": "text/plain"})

@app.route("/huge")
def huge():
    return Response(body="x" * 7_000_000, headers={"Content-Type": "text/plain"})

@app.on_sqs_message(queue=os.environ.get("JOBS_QUEUE_NAME", "jobs"), batch_size=1)
def work(event):
    for record in event:
        note("message " + record.body)
        if record.body == "slow":
            time.sleep(1)
        if record.body == "bad":
            raise RuntimeError("cannot")
        note("done " + record.body)

@app.on_cw_event({"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]})
def stopped(event):
    note("stopped " + event.detail["taskArn"])

@app.schedule(Rate(1, unit=Rate.MINUTES))
def tick(event):
    note("tick " + event.to_dict()["detail-type"])
"""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("application")
    (directory / "app.py").write_text(APPLICATION)
    return directory


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, application: Path) -> Iterator[LocalStack]:
    with a_stack(tmp_path_factory.mktemp("data"), application) as running:
        yield running


def a_stack(data: Path, application: Path, **more: Any) -> LocalStack:
    notes = {"NOTES": str(data.parent / f"{data.name}-notes.txt")}
    return local_stack(data, simulators=(), app_directory=application, app_settings=notes, **more)


def notes(stack: LocalStack) -> list[str]:
    path = Path(stack.settings.app_settings["NOTES"])
    return path.read_text().splitlines() if path.exists() else []


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def call(
    stack: LocalStack, path: str, *, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, list[tuple[str, str]], bytes]:
    request = urllib.request.Request(stack.base_url + path, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.getheaders(), answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, list(answer.headers.items()), answer.read()


# -- gateway ----------------------------------------------------------------------------------------------------------


def test_four_hundred_requests_at_once_never_see_one_anothers_data(stack: LocalStack) -> None:
    def one(number: int) -> bool:
        _, _, body = call(stack, f"/who/name-{number}?n={number}", headers={"x-id": str(number)})
        answer = json.loads(body)
        own = str(number)
        return (answer["name"], answer["before"], answer["after"], answer["query"]) == (f"name-{own}", own, own, own)

    with ThreadPoolExecutor(80) as pool:
        assert sum(pool.map(one, range(400))) == 400


def test_the_app_sees_the_event_that_api_gateway_would_send(stack: LocalStack) -> None:
    _, _, body = call(stack, "/event?a=1&a=2&b=%C3%BC", headers={"Cookie": "c=1", "Accept": "application/json"})
    event = json.loads(body)
    assert event["path"] == "/event"
    assert event["requestContext"]["path"] == "/api/event"
    assert event["requestContext"]["stage"] == "api"
    assert event["requestContext"]["domainName"] == f"localhost:{stack.settings.ports.gateway}"
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    assert event["queryStringParameters"] == {"a": "2", "b": "ü"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["ü"]}
    assert event["multiValueHeaders"]["Cookie"] == ["c=1"]
    assert event["body"] is None


def test_a_binary_body_arrives_as_base64_and_whole(stack: LocalStack) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    status, _, body = call(stack, "/event", headers=headers, body=bytes(range(256)))
    event = json.loads(body)
    assert (status, event["isBase64Encoded"]) == (200, True)
    assert event["body"].startswith("AAECAwQF")


def test_binary_answers_are_decoded_only_for_those_who_accept_them(stack: LocalStack) -> None:
    assert call(stack, "/picture", headers={"Accept": "image/png,*/*"})[2] == b"\x89PNG"
    assert call(stack, "/picture", headers={"Accept": "text/html"})[0] == 400


def test_several_cookies_stay_several_headers(stack: LocalStack) -> None:
    _, headers, _ = call(stack, "/cookies")
    assert [value for name, value in headers if name == "Set-Cookie"] == ["a=1", "b=2"]


def test_limits_are_those_of_api_gateway_and_lambda(stack: LocalStack) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    assert call(stack, "/huge")[0] == 502
    assert call(stack, "/event", headers=headers, body=b"x" * 5_000_000)[0] == 413
    assert call(stack, "/unknown")[0] == 403


# -- event sources -----------------------------------------------------------------------------------------------------


def test_many_messages_are_delivered_at_once_and_only_successful_ones_deleted(stack: LocalStack) -> None:
    sqs = stack.client("sqs")
    url = sqs.get_queue_url(QueueName=stack.created.jobs_queue)["QueueUrl"]
    started = time.monotonic()
    for _ in range(16):
        sqs.send_message(QueueUrl=url, MessageBody="slow")
    sqs.send_message(QueueUrl=url, MessageBody="bad")
    until(lambda: notes(stack).count("done slow") == 16)
    assert time.monotonic() - started < 6, "16 messages of one second each must overlap"
    until(lambda: notes(stack).count("message bad") == 1)

    def left() -> tuple[str, str]:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return attributes["ApproximateNumberOfMessages"], attributes["ApproximateNumberOfMessagesNotVisible"]

    until(lambda: left() == ("0", "1"))


def test_the_end_of_a_task_reaches_the_app_as_an_event_of_ecs(stack: LocalStack) -> None:
    Service(stack.client("ecs"), stack.client("sqs"), stack.created).report_stopped("runner-1-abc", "ended with -9")
    until(lambda: any(line.startswith("stopped arn:aws:ecs") and "runner-1-abc" in line for line in notes(stack)))


def test_a_schedule_runs_soon_after_the_start(stack: LocalStack) -> None:
    until(lambda: "tick Scheduled Event" in notes(stack))


# -- mail -------------------------------------------------------------------------------------------------------------


def test_the_outbox_shows_both_bodies_and_the_very_bytes(stack: LocalStack) -> None:
    link = "https://line.example/api/i/abc?x=1&y=2"
    simple = {
        "Subject": {"Data": "Grüße"},
        "Body": {"Text": {"Data": f"öffnen: {link}"}, "Html": {"Data": f'<a href="{link}">öffnen</a>'}},
    }
    ses = stack.client("sesv2")
    sent = ses.send_email(
        FromEmailAddress=stack.settings.mail_from,
        Destination={"ToAddresses": ["owner@example.com"]},
        ConfigurationSetName=stack.created.mail_configuration_set,
        Content={"Simple": simple},
    )
    raw = b"From: a@answerline.test\r\nTo: b@example.com\r\nSubject: raw\r\n\r\nas it is\r\n"
    ses.send_email(
        FromEmailAddress=stack.settings.mail_from,
        Destination={"ToAddresses": ["b@example.com"]},
        Content={"Raw": {"Data": raw}},
    )
    assert [mail.raw for mail in stack.mails() if mail.subject == "raw"] == [raw]
    name = sent["MessageId"].partition("@")[0]

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{stack.outbox_url}/mails.json", timeout=5)
    assert refused.value.code == 403
    assert f"Sign in at {stack.admin_url}" in refused.value.read().decode()
    port = Ports.free().outbox
    simulated = outbox.serve(stack.outbox_directory, None, port)

    def page(path: str) -> str:
        with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    assert "Grüße" in page("/")
    assert "sandbox=" in page(f"/mails/{name}")
    assert f'<a href="{link}">öffnen</a>' in page(f"/mails/{name}/body")
    escaped = link.replace("&", "&amp;")
    assert f'href="{escaped}"' in page(f"/mails/{name}/text")
    assert "multipart/alternative" in page(f"/mails/{name}/raw")
    outbox.stop(simulated)


def test_the_outbox_frees_its_port_at_once(tmp_path: Path) -> None:
    port = Ports.free().outbox
    for _ in range(3):
        server = outbox.serve(tmp_path, None, port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            assert answer.status == 200
        outbox.stop(server)


def test_the_relay_hands_the_very_bytes_to_a_mail_server(tmp_path: Path) -> None:
    received: list[tuple[str, list[str], bytes]] = []

    class Inbox:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            received.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
            return "250 OK"

    raw = b"From: A <a@x.example>\r\nTo: b@x.example\r\nSubject: s\r\n\r\nbody\r\n"
    mail = Mail("id@x", 0.0, "A <a@x.example>", ("b@x.example",), raw)
    server = Controller(Inbox(), hostname="127.0.0.1", port=Ports.free().outbox)
    server.start()
    try:
        smtp(f"smtp://127.0.0.1:{server.port}")(mail)
    finally:
        server.stop()
    assert received == [("a@x.example", ["b@x.example"], raw)]


# -- durability -------------------------------------------------------------------------------------------------------


def change_everything(stack: LocalStack) -> bytes:
    """Changes each service once; returns a ciphertext. What it does is acknowledged when it returns."""
    created = stack.created
    kms, s3, ses = (stack.client(name) for name in ("kms", "s3", "sesv2"))
    cognito, dynamodb, ecs, ssm = (stack.client(name) for name in ("cognito-idp", "dynamodb", "ecs", "ssm"))
    secret: bytes = kms.encrypt(KeyId=created.key, Plaintext=b"sk-1", EncryptionContext=CONTEXT)["CiphertextBlob"]
    for body in (b"one", b"two"):
        s3.put_object(Bucket=created.bucket, Key="snapshots/a", Body=body)
    s3.put_object(Bucket=created.bucket, Key="snapshots/gone", Body=b"x")
    s3.delete_object(Bucket=created.bucket, Key="snapshots/gone")
    dynamodb.put_item(TableName=created.table, Item={**SESSION, "caught_up_to": {"N": "1800000000000"}})
    dynamodb.put_item(TableName=created.table, Item=RUNNER_ITEM)
    ssm.put_parameter(Name="/kept", Type="SecureString", Value="value")
    ecs.update_service(cluster=created.cluster, service=created.service, desiredCount=3)
    sign_in = {"USERNAME": stack.operator.email, "PASSWORD": str(stack.operator.first_password)}
    challenge = cognito.initiate_auth(
        ClientId=created.user_pool_client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=sign_in
    )
    cognito.respond_to_auth_challenge(
        ClientId=created.user_pool_client,
        ChallengeName="NEW_PASSWORD_REQUIRED",
        Session=challenge["Session"],
        ChallengeResponses={"USERNAME": stack.operator.email, "NEW_PASSWORD": "My-own-password-1"},
    )
    ses.send_email(
        FromEmailAddress=stack.settings.mail_from,
        Destination={"ToAddresses": ["o@example.com"]},
        Content={"Simple": {"Subject": {"Data": "kept"}, "Body": {"Text": {"Data": "x"}}}},
    )
    return secret


def assert_all_is_there(stack: LocalStack, secret: bytes) -> None:
    created = stack.created
    kms, s3 = stack.client("kms"), stack.client("s3")
    assert kms.decrypt(CiphertextBlob=secret, EncryptionContext=CONTEXT)["Plaintext"] == b"sk-1"
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=secret, EncryptionContext={"tenant": "b"})
    assert s3.get_object(Bucket=created.bucket, Key="snapshots/a")["Body"].read() == b"two"
    assert len(s3.list_object_versions(Bucket=created.bucket, Prefix="snapshots/a")["Versions"]) == 2
    assert "Contents" not in s3.list_objects_v2(Bucket=created.bucket, Prefix="snapshots/gone")
    assert s3.get_bucket_versioning(Bucket=created.bucket)["Status"] == "Enabled"
    assert stack.client("ssm").get_parameter(Name="/kept", WithDecryption=True)["Parameter"]["Value"] == "value"
    services = stack.client("ecs").describe_services(cluster=created.cluster, services=[created.service])["services"]
    assert services[0]["desiredCount"] == 3
    assert [mail.subject for mail in stack.mails()] == ["kept"]
    assert stack.operator.first_password is None
    signed_in = stack.client("cognito-idp").initiate_auth(
        ClientId=created.user_pool_client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": stack.operator.email, "PASSWORD": "My-own-password-1"},
    )
    assert "AccessToken" in signed_in["AuthenticationResult"]


CONTEXT = {"tenant": "a"}
SESSION = {"pk": {"S": "TENANT#a"}, "sk": {"S": "SESSION"}, "epoch": {"N": "7"}, "runner": {"S": "r1"}}
RUNNER_ITEM = {
    **{"pk": {"S": "RUNNER#r1"}, "sk": {"S": "RUNNER"}, "state": {"S": "alive"}},
    **{"directory": {"S": "RUNNER"}, "directory_order": {"S": "r1"}},
}


def stored(stack: LocalStack, item: dict[str, Any]) -> dict[str, Any]:
    key = {"pk": item["pk"], "sk": item["sk"]}
    found: dict[str, Any] = stack.client("dynamodb").get_item(TableName=stack.created.table, Key=key)["Item"]
    return found


def started_again(stack: LocalStack, reported: list[str]) -> LocalStack:
    return LocalStack(Settings(**{**vars(stack.settings), "ports": Ports.free()}), reported.append)


def test_what_was_acknowledged_survives_kill_nine_of_everything_a_stop_and_a_boot(
    tmp_path: Path, application: Path
) -> None:
    stack = a_stack(tmp_path / "data", application)
    stack.start()
    url = stack.client("sqs").get_queue_url(QueueName=stack.created.jobs_queue)["QueueUrl"]
    stack.client("sqs").send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    secret = change_everything(stack)
    stack.kill()

    reported: list[str] = []
    again = started_again(stack, reported)
    with again:
        assert again.created == stack.created
        assert not any("recovery" in line for line in reported), "on the same boot there is nothing to repair"
        assert_all_is_there(again, secret)
        assert stored(again, SESSION)["epoch"] == SESSION["epoch"]
        assert delayed(again) == "0", "the queue alone is lost"
        sqs = again.client("sqs")
        url = sqs.get_queue_url(QueueName=again.created.jobs_queue)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
        sqs.send_message(QueueUrl=url, MessageBody="bad")
        until(lambda: "message bad" in notes(again))
    assert recovery.read_marker(stack.settings.data) is None

    again = started_again(stack, reported)
    again.start()
    assert not any("recovery" in line for line in reported), "after a stop there is nothing to repair"
    assert_all_is_there(again, secret)
    assert delayed(again) == "1"
    # What a function was working on is received again at once, not after its visibility timeout.
    until(lambda: notes(again).count("message bad") == 2)
    again.kill()

    recovery.mark_running(stack.settings.data, "the boot before")
    with started_again(stack, reported) as again:
        assert any("1 sessions moved" in line and "1 runners declared dead" in line for line in reported)
        assert_all_is_there(again, secret)
        moved, dead = stored(again, SESSION), stored(again, RUNNER_ITEM)
        assert moved["epoch"]["N"] == str(7 + EPOCH_LEAP)
        assert moved["caught_up_to"]["N"] == str(1800000000000 - REREAD_MS)
        assert "runner" not in moved
        assert (dead["state"]["S"], "directory" in dead) == ("dead", False)


def delayed(stack: LocalStack) -> str:
    sqs = stack.client("sqs")
    url = sqs.get_queue_url(QueueName=stack.created.jobs_queue)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return str(attributes["ApproximateNumberOfMessagesDelayed"])


def test_a_damaged_state_is_named_with_the_way_out_and_nothing_is_lost(tmp_path: Path, application: Path) -> None:
    stack = a_stack(tmp_path / "data", application)
    with stack:
        pass
    file = stack.settings.data / "ministack" / "state" / "kms.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:40])
    with pytest.raises(CannotStart, match=r"kms\.json is damaged .*Nothing was changed.*make restore FROM="):
        started_again(stack, []).start()
    assert file.read_bytes() == whole[:40]
    file.write_bytes(whole)
    with started_again(stack, []) as back:
        assert back.created == stack.created


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/_ministack/reset", {}),
        ("/_localstack/state/reset", {}),
        ("/", {"Origin": "https://evil.example"}),
        ("/", {"Sec-Fetch-Site": "cross-site"}),
        ("/", {"Host": "rebind.evil.example"}),
        ("/", {"X-Amz-Target": "AmazonSSM.GetParametersByPath", "Content-Type": "application/x-amz-json-1.1"}),
        ("/", {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"}),
    ],
)
def test_neither_a_page_nor_a_stranger_reaches_ministack(stack: LocalStack, path: str, headers: dict[str, str]) -> None:
    request = urllib.request.Request(stack.aws.endpoint + path, data=b"", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 403
    stack.client("dynamodb").describe_table(TableName=stack.created.table)


# -- supervisor -------------------------------------------------------------------------------------------------------

RUNNER = """
import os, signal, sys, time, pathlib
directory = pathlib.Path(os.environ["DATA_DIRECTORY"])
(directory / "environment").write_text("\\n".join(os.environ))
signal.signal(signal.SIGTERM, lambda *_: ((directory / "drained").touch(), sys.exit(0)))
while True:
    time.sleep(0.1)
"""


class RecordingRunners(Processes):
    """Records the tasks that it cleaned up."""

    def __init__(self, notes: list[str], code: str = "") -> None:
        super().__init__(lambda task: {}, (sys.executable, "-c", code))
        self._notes = notes

    def clean_up(self, task: str) -> None:
        self._notes.append(f"{task} cleaned up")


def test_the_supervisor_obeys_the_desired_count(tmp_path: Path) -> None:
    desired = [2]
    reported: list[str] = []
    notified: list[str] = []
    supervisor = Supervisor(
        desired_count=lambda: desired[0],
        directory=tmp_path / "runners",
        logs=tmp_path / "logs",
        runners=RecordingRunners(notified, RUNNER),
        report_stopped=lambda task, reason: notified.append(f"{task} {reason}"),
        report=reported.append,
    )
    supervisor.start()
    try:
        until(lambda: all((tmp_path / "runners" / f"slot-{n}" / "environment").exists() for n in (1, 2)))
        assert "AWS" not in (tmp_path / "runners" / "slot-1" / "environment").read_text()
        first = supervisor.pids["runner-1"]
        os.kill(first, signal.SIGKILL)
        until(lambda: supervisor.pids.get("runner-1", first) != first)
        assert any("runner-1 ended with -9" in line for line in reported)
        gone, end = notified[:2]
        assert gone.startswith("runner-1-")
        assert (gone.partition(" ")[2], end) == ("cleaned up", f"{gone.partition(' ')[0]} ended with -9")
        desired[0] = 1
        until(lambda: list(supervisor.pids) == ["runner-1"])
        assert (tmp_path / "runners" / "slot-2" / "drained").exists()
    finally:
        supervisor.stop(5)
    assert not supervisor.pids
    assert notified[-2].endswith(" cleaned up")
    assert notified[-1].endswith(" was stopped")


STUBBORN = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
browser = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
(pathlib.Path(os.environ["DATA_DIRECTORY"]) / "browser").write_text(str(browser.pid))
time.sleep(60)
"""


def test_a_runner_that_does_not_end_is_killed_with_all_it_started(tmp_path: Path) -> None:
    reported: list[str] = []
    supervisor = Supervisor(
        desired_count=lambda: 1,
        directory=tmp_path / "runners",
        logs=tmp_path / "logs",
        runners=Processes(lambda task: {}, (sys.executable, "-c", STUBBORN)),
        report=reported.append,
    )
    supervisor.start()
    started = tmp_path / "runners" / "slot-1" / "browser"
    until(lambda: started.exists() and started.read_text() != "")
    runner, browser = supervisor.pids["runner-1"], int(started.read_text())
    supervisor.stop(0.5)
    assert reported == ["runner-1 did not end within 0 s and is killed"]
    until(lambda: all(not psutil.pid_exists(pid) or is_zombie(pid) for pid in (runner, browser)))


def is_zombie(pid: int) -> bool:
    return str(psutil.Process(pid).status()) == str(psutil.STATUS_ZOMBIE)


def test_a_runner_that_a_killed_stack_left_behind_is_ended_and_reported(tmp_path: Path) -> None:
    leftover = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    record = {"pid": leftover.pid, "created": psutil.Process(leftover.pid).create_time(), "task": "runner-1-old"}
    (tmp_path / "runners" / "slot-1").mkdir(parents=True)
    (tmp_path / "runners" / "slot-1" / "process.json").write_text(json.dumps(record))
    notified: list[str] = []
    supervisor = Supervisor(
        desired_count=lambda: 0,
        directory=tmp_path / "runners",
        logs=tmp_path / "logs",
        runners=RecordingRunners(notified),
        report_stopped=lambda task, reason: notified.append(task),
    )
    supervisor.start()
    until(lambda: notified == ["runner-1-old cleaned up", "runner-1-old"])
    supervisor.stop(1)
    leftover.wait(5)  # it would sleep for a minute


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = f"""
import sys, time, pathlib
from infrastructure.local.processes import Child
command = [sys.executable, "-c", "import time; time.sleep(60)"]
child = Child("sleeper", command, {{}}, pathlib.Path({str(tmp_path)!r}) / "log")
print(child.pid, flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait(5)
    parent.stdout.close()
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


# -- what people can get wrong ----------------------------------------------------------------------------------------


def test_a_taken_port_is_named_with_what_wanted_it(stack: LocalStack, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, ports=stack.settings.ports, runners=0)
    with pytest.raises(CannotStart, match=rf"Port {stack.settings.ports.gateway} \(the admin.*make up PORTS="):
        LocalStack(settings).start()


def test_a_data_directory_has_one_stack(stack: LocalStack, application: Path) -> None:
    with pytest.raises(CannotStart, match="already runs"):
        a_stack(stack.settings.data, application).start()


def test_a_part_that_cannot_start_says_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('no such thing')")
    stack = a_stack(tmp_path / "data", tmp_path)
    with pytest.raises(CannotStart, match="functions ended by itself: no such thing"):
        stack.start()
    assert not stack.pids


def test_without_chromium_the_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(CannotStart, match="apt-get install chromium-headless-shell"):
        preflight.check_chromium(Settings())


def test_without_node_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(preflight, "WA_JS", tmp_path / "missing")
    with pytest.raises(CannotStart, match="install Node 20"):
        preflight.check_wa_js()


def test_a_child_that_is_never_ready_names_its_log(tmp_path: Path) -> None:
    from infrastructure.local.processes import wait_until_ready

    child = Child("mute", [sys.executable, "-c", "import time; time.sleep(30)"], {}, tmp_path / "mute.log")
    try:
        with pytest.raises(CannotStart, match=r"mute was not ready after 0 s; .*mute\.log says why"):
            wait_until_ready(child, lambda: False, 0.2)
    finally:
        child.stop(2)
