"""A real page in a real browser, from another site or by a rebound name, gets nothing of this machine.

The parts are those of `make up`; what the page must not get is planted in each of them first.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from chalice.app import Chalice
from playwright.sync_api import Page

from chalicelib.web.browser_auth import OPERATOR_COOKIE, OperatorAuth
from chalicelib.wiring import Services
from infrastructure.local.lambda_runtime import http_server
from infrastructure.local.lambda_runtime.gateway import Gateway
from infrastructure.local.lambda_runtime.objects import Objects
from infrastructure.local.mail import outbox
from infrastructure.local.settings import Ports
from infrastructure.local.signature import AccessKey
from infrastructure.local.stack import LocalStack, local_stack
from tests.simulators.openai import OpenAISimulator
from tests.story.story import browser

pytestmark = [pytest.mark.chromium, pytest.mark.stack]

#: Stands in every part; no answer to a page may hold it.
SECRET = "only-for-the-line-4711"
PARAMETER, OBJECT, NUMBER = "/answerline-local/secret", "profiles/secret", "491711111111"
#: Both names lead to this machine: the one serves the page, the other is what a page's own name was rebound to.
ELSEWHERE, REBOUND = "evil.example", "rebind.evil.example"
RULES = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1, MAP {REBOUND} 127.0.0.1"

#: Sends one request as a page can, and returns what the page sees of the answer.
ATTEMPT = """async ([address, options]) => {
  try {
    const answer = await fetch(address, {...options, credentials: "include"});
    return `${answer.status} ${await answer.text()}`;
  } catch (error) {
    return `${error}`;
  }
}"""


@dataclass(frozen=True)
class Attempt:
    """A request that gets a secret or changes something, where nothing guards."""

    port: int
    path: str
    method: str = "GET"
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def options(self, *, plain: bool) -> dict[str, Any]:
        """Returns the options of fetch; ``plain`` as a page of another site sends without asking first."""
        headers = {} if plain else dict(self.headers)
        body = {"body": self.body} if self.method == "POST" else {}
        return {"method": self.method, "headers": headers, **body, **({"mode": "no-cors"} if plain else {})}


def aws(port: int, target: str, version: str, body: dict[str, Any]) -> Attempt:
    headers = (("X-Amz-Target", target), ("Content-Type", f"application/x-amz-json-{version}"))
    return Attempt(port, "/", "POST", json.dumps(body), headers)


def attempts(stack: LocalStack) -> list[Attempt]:
    ports, names = stack.settings.ports, stack.created
    return [
        aws(ports.table, "DynamoDB_20120810.Scan", "1.0", {"TableName": names.table}),
        aws(ports.table, "DynamoDB_20120810.DeleteTable", "1.0", {"TableName": names.table}),
        aws(ports.ministack, "AmazonSSM.GetParameter", "1.1", {"Name": PARAMETER, "WithDecryption": True}),
        aws(ports.ministack, "AmazonSSM.DeleteParameter", "1.1", {"Name": PARAMETER}),
        aws(ports.ministack, "AmazonSSM.GetParameter", "1.1", {"Name": names.runner_token_parameter}),
        aws(ports.ministack, "TrentService.Decrypt", "1.1", {"CiphertextBlob": "c2VhbGVk", "KeyId": names.key}),
        Attempt(ports.ministack, f"/{names.bucket}/{OBJECT}"),
        Attempt(ports.ministack, f"/{names.bucket}?list-type=2"),
        Attempt(ports.ministack, "/_ministack/ses/messages"),
        Attempt(ports.ministack, "/_ministack/reset", "POST"),
        Attempt(ports.gateway, f"/objects/{names.bucket}/{OBJECT}"),
        Attempt(ports.outbox, "/"),
        Attempt(ports.outbox, "/mails.json"),
        Attempt(ports.phone, "/control/state"),
        Attempt(ports.phone, "/control/phones", "POST", json.dumps({"number": "491799999999"})),
        Attempt(ports.phone, f"/control/phones/{NUMBER}/block", "POST", "{}"),
        Attempt(ports.openai, "/control/requests"),
        Attempt(ports.openai, "/control/faults"),
        Attempt(ports.openai, "/control/faults", "POST", json.dumps({"key": "*", "fault": "invalid_api_key"})),
    ]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("data")) as running:
        names = running.created
        item = {"pk": {"S": "TENANT#secret"}, "sk": {"S": "SESSION"}, "text": {"S": SECRET}}
        running.client("dynamodb").put_item(TableName=names.table, Item=item)
        running.client("s3").put_object(Bucket=names.bucket, Key=OBJECT, Body=SECRET.encode())
        running.client("ssm").put_parameter(Name=PARAMETER, Value=SECRET, Type="SecureString")
        running.client("sesv2").send_email(
            FromEmailAddress=running.settings.mail_from,
            Destination={"ToAddresses": ["owner@example.com"]},
            Content={"Simple": {"Subject": {"Data": SECRET}, "Body": {"Text": {"Data": SECRET}}}},
        )
        httpx.post(f"{running.phone_url}/control/phones", json={"number": NUMBER, "name": SECRET})
        yield running


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """The address of a page of another site."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>a page</title>")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://{ELSEWHERE}:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser(RULES) as people:
        yield people.new_page()


def assert_nothing_changed(stack: LocalStack) -> None:
    names = stack.created
    assert stack.client("dynamodb").scan(TableName=names.table)["Count"] >= 1
    assert stack.client("ssm").get_parameter(Name=PARAMETER, WithDecryption=True)["Parameter"]["Value"] == SECRET
    assert stack.client("s3").get_object(Bucket=names.bucket, Key=OBJECT)["Body"].read() == SECRET.encode()
    (phone,) = httpx.get(f"{stack.phone_url}/control/state").json()["phones"]
    assert (phone["number"], phone["blocked"]) == (NUMBER, None)
    assert httpx.get(f"{stack.openai_url}/control/faults").json() == {"faults": []}


def test_people_see_their_own_pages(stack: LocalStack, page: Page) -> None:
    page.goto(stack.outbox_url)
    page.get_by_text(SECRET).first.click()
    assert page.title() == SECRET
    page.goto(stack.phone_url)
    page.get_by_text(NUMBER).first.wait_for(timeout=5000)
    page.goto(stack.openai_url)
    assert "sk-" in page.content()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_page_of_another_site_gets_nothing_and_changes_nothing(
    stack: LocalStack, page: Page, elsewhere: str, host: str
) -> None:
    page.goto(elsewhere)
    for attempt in attempts(stack):
        address = f"http://{host}:{attempt.port}{attempt.path}"
        seen = [page.evaluate(ATTEMPT, [address, attempt.options(plain=plain)]) for plain in (False, True)]
        assert seen[0].startswith("TypeError"), (address, seen)  # not even the status
        assert seen[1] in ("0 ", "TypeError: Failed to fetch"), (address, seen)
    assert_nothing_changed(stack)


def test_a_page_whose_name_was_rebound_gets_nothing_and_changes_nothing(stack: LocalStack, page: Page) -> None:
    for attempt in attempts(stack):
        origin = f"http://{REBOUND}:{attempt.port}"
        page.goto(f"{origin}/page")  # its script runs at an origin that leads to this port
        seen = page.evaluate(ATTEMPT, [origin + attempt.path, attempt.options(plain=False)])
        assert seen.startswith("403 "), (attempt, seen)
        assert SECRET not in seen
        page.goto(origin + (attempt.path if attempt.method == "GET" else "/"))
        assert SECRET not in page.content()
    assert_nothing_changed(stack)


def test_no_page_is_framed_elsewhere(stack: LocalStack, page: Page, elsewhere: str) -> None:
    page.goto(elsewhere)
    for address in (stack.outbox_url, stack.phone_url, stack.openai_url):
        page.evaluate("address => { document.body.innerHTML = `<iframe src='${address}'></iframe>`; }", address)
        page.wait_for_load_state("networkidle")
        for frame in page.frames[1:]:
            assert SECRET not in frame.content()
            assert "sk-" not in frame.content()


def test_each_start_has_another_key(stack: LocalStack) -> None:
    again = LocalStack(stack.settings)
    assert again.aws.key_id != stack.aws.key_id
    assert again.aws.secret != stack.aws.secret
    with pytest.raises(Exception, match=r"403|Forbidden|denied") as refused:
        again.client("ssm").get_parameter(Name=PARAMETER)
    assert SECRET not in str(refused.value)


def test_a_runner_stores_and_fetches_one_object_by_its_links_through_the_gateway(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = services_of(stack, monkeypatch)
    content = b"a profile" * 100_000
    digest = hashlib.sha256(content).hexdigest()

    def by_gateway(url: str) -> str:
        assert url.startswith(f"{stack.aws.endpoint}/")
        return url.replace(stack.aws.endpoint, f"http://localhost:{stack.settings.ports.gateway}/objects")

    link = services.blobs.sign_upload("profiles/by-link", size_bytes=len(content), sha256=digest)
    other = {**link.headers, "x-amz-checksum-sha256": base64.b64encode(b"0" * 32).decode()}
    assert httpx.put(by_gateway(link.url), headers=other, content=content).status_code == 403
    assert httpx.put(by_gateway(link.url), headers=dict(link.headers), content=content[::-1]).status_code == 400
    assert services.blobs.head("profiles/by-link") is None
    assert httpx.put(by_gateway(link.url), headers=dict(link.headers), content=content).status_code == 200
    assert httpx.put(by_gateway(link.url), headers=dict(link.headers), content=content).status_code == 412
    stored = services.blobs.head("profiles/by-link")
    assert stored is not None
    assert (stored.size_bytes, stored.sha256) == (len(content), digest)
    get = by_gateway(services.blobs.sign_download("profiles/by-link"))
    assert httpx.get(get).content == content
    assert httpx.get(get.replace("by-link", "secret")).status_code == 403
    assert httpx.delete(get).status_code == 403
    assert httpx.put(get, content=content).status_code == 403


#: This machine and a container in a network between them (RFC 2544's range, which nobody routes).
BRIDGE, CONTAINER = "198.18.77.1", "198.18.77.2"
#: Prints the names of those ports that a connection is accepted on.
REACHED = """
import socket, sys
for argument in sys.argv[1:]:
    name, host, port = argument.split(",")
    with socket.socket() as probe:
        probe.settimeout(5)
        if probe.connect_ex((host, int(port))) == 0:
            print(name)
"""


def test_another_network_namespace_reaches_the_gateway_alone(stack: LocalStack) -> None:
    """A container of an engine with root is one; the engine itself is not needed for this."""
    ports = asdict(stack.settings.ports)
    objects = Objects(stack.aws.endpoint, AccessKey(stack.aws.key_id, stack.aws.secret), 1, lambda: datetime.now(UTC))
    gateway = Gateway(Chalice("small", configure_logs=False), objects)
    with linked_namespace() as inside:
        server = http_server.create(gateway, objects, 1, [BRIDGE], ports["gateway"], behind_proxy=False)
        threading.Thread(target=server.run, daemon=True).start()
        targets = [f"{name},{host},{port}" for name, port in ports.items() for host in (BRIDGE, "127.0.0.1")]
        command = [*inside, sys.executable, "-c", REACHED, *targets]
        reached = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
        server.task_dispatcher.shutdown()
        server.close()
    assert reached == ["gateway"]


@contextmanager
def linked_namespace() -> Iterator[list[str]]:
    """Yields the beginning of a command that runs in a network namespace with a link to this machine."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("no network namespace can be linked here: it takes root on Linux, and iproute2")
    holder = subprocess.Popen(["unshare", "--net", "sleep", "60"])
    inside = ["nsenter", "--net", f"--target={holder.pid}"]
    link = f"line{os.getpid() % 10_000}"
    steps = [
        ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid)],
        ["ip", "address", "add", f"{BRIDGE}/30", "dev", link],
        ["ip", "link", "set", link, "up"],
        [*inside, "ip", "address", "add", f"{CONTAINER}/30", "dev", "eth0"],
        [*inside, "ip", "link", "set", "eth0", "up"],
    ]
    try:
        own = Path("/proc/self/ns/net").readlink()
        while holder.poll() is None and Path(f"/proc/{holder.pid}/ns/net").readlink() == own:
            time.sleep(0.01)
        for step in steps:
            if subprocess.run(step, capture_output=True, check=False).returncode != 0:
                pytest.skip("no network namespace can be linked here: it takes root on Linux, and iproute2")
        yield inside
    finally:
        holder.kill()  # the link goes with its namespace
        holder.wait()


def services_of(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Services:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    return Services(stack.environment)


def test_where_something_is_real_only_a_signed_in_operator_sees_mails_and_simulators(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = services_of(stack, monkeypatch)
    operators = OperatorAuth(
        services.operators, services.counters, services.clock, services.token, services.identity.find_subject
    )
    assert services.identity.find_subject(stack.operator.email)
    assert services.identity.find_subject("nobody@agency.example") is None
    cookie = operators.start_session(stack.operator.email, {})[0].partition(";")[0]
    assert cookie.startswith(f"{OPERATOR_COOKIE}=")
    port = Ports.free().outbox
    server = outbox.serve(stack.outbox_directory, None, port, stack.admin_url)
    with OpenAISimulator(admin_url=stack.admin_url) as openai:
        for address in (f"http://localhost:{port}/mails.json", f"{openai.origin}/control/requests"):
            for stranger in ({}, {"Cookie": f"{OPERATOR_COOKIE}=guessed"}):
                answer = httpx.get(address, headers=stranger)
                assert (answer.status_code, f"Sign in at {stack.admin_url}" in answer.text) == (403, True)
            assert httpx.get(address, headers={"Cookie": cookie}).status_code == 200
        assert httpx.get(f"{openai.base_url}/models", headers={"Authorization": "Bearer sk-x"}).status_code == 200
    outbox.stop(server)
