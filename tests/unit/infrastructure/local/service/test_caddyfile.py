"""The Caddyfile: TLS for exactly one address, and nothing behind it but the gateway."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.local.lambda_runtime.gateway import MAX_REQUEST_BYTES
from infrastructure.local.service.caddyfile import ANSWER_SECONDS, caddyfile
from infrastructure.local.settings import CannotStart, parse

CADDY = shutil.which("caddy")
ADDRESSES = [
    "https://line.example.com",
    "https://line.agency.de/",
    "https://line.agency.de:8443/api",
    "https://LINE.agency.de.",
    "https://localhost:8443",
    "https://answerline.lan",
    "https://192.0.2.7",
    "https://[2001:db8::7]:8443",
]


def made(address: str, **more: str) -> str:
    return caddyfile(parse([], {"BASE_URL": address, **more}))


def sites(text: str) -> list[str]:
    return [line.removesuffix(" {") for line in text.splitlines() if line.startswith("https://")]


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("https://line.agency.de", "https://line.agency.de:443"),
        ("https://line.agency.de:8443/api", "https://line.agency.de:8443"),
        ("https://LINE.agency.de.", "https://line.agency.de:443"),
        ("https://[2001:db8::7]:8443", "https://[2001:db8::7]:8443"),
    ],
)
def test_it_serves_one_address_on_its_exact_port(address: str, site: str) -> None:
    assert sites(made(address)) == [site]


def test_only_the_gateway_is_behind_it() -> None:
    text = made("https://line.agency.de", PORTS="5000")
    assert [line.strip() for line in text.splitlines() if "5000" in line] == ["reverse_proxy 127.0.0.1:5000 {"]
    assert not [port for port in range(5001, 5010) if str(port) in text]
    assert "admin off" in text  # Caddy's own interface would listen unguarded


def test_its_limits_are_those_of_the_gateway() -> None:
    text = made("https://line.agency.de")
    assert [line.split()[1] for line in text.splitlines() if "max_size" in line] == [str(MAX_REQUEST_BYTES)]
    assert f"response_header_timeout {ANSWER_SECONDS}s" in text


def test_it_logs_no_requests_whose_paths_hold_the_links() -> None:
    assert "log" not in {word for line in made("https://line.agency.de").splitlines() for word in line.split()[:1]}


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("https://line.agency.de", False),
        ("https://localhost:8443", True),
        ("https://answerline", True),
        ("https://answerline.lan", True),
        ("https://a.internal", True),
        ("https://192.0.2.7", True),
        ("https://[2001:db8::7]", True),
    ],
)
def test_a_name_that_no_authority_knows_gets_a_certificate_of_its_own(address: str, private: bool) -> None:
    assert ("tls internal" in made(address)) is private


@pytest.mark.parametrize(
    ("operator", "named"),
    [
        ("olga@agency.de", True),
        ("operator@answerline.test", False),
        ("{env.HOME}@agency.de", False),
        ("olga@agency.de\n}", False),
    ],
)
def test_the_authority_learns_the_operators_address_if_it_is_one(operator: str, named: bool) -> None:
    settings = replace(parse([], {"BASE_URL": "https://line.agency.de"}), operator_email=operator)
    assert (f"email {operator}" in caddyfile(settings)) is named


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "BASE_URL is not given"),
        ({"BASE_URL": "http://localhost:4700"}, "has no TLS"),
        ({"BASE_URL": "https://line.agency.de:4700"}, "port 4700, which is the stack's own"),
        ({"BASE_URL": "https://line.agency.de:4702"}, "port 4702, which is the stack's own"),
    ],
)
def test_what_cannot_be_served_is_said(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(CannotStart, match=sentence):
        caddyfile(parse([], settings))


@pytest.mark.skipif(CADDY is None, reason="missing: caddy, of Debian's package caddy")
@pytest.mark.parametrize("address", ADDRESSES)
def test_caddy_takes_it_and_would_write_it_alike(tmp_path: Path, address: str) -> None:
    assert CADDY is not None
    file = tmp_path / "Caddyfile"
    file.write_text(made(address, OPERATOR_EMAIL="olga@agency.de"))
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    checked = subprocess.run(
        [CADDY, "validate", "--adapter", "caddyfile", "--config", file],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stderr[-600:]
    written = subprocess.run([CADDY, "fmt", file], capture_output=True, text=True, env=environment, timeout=60)
    assert written.stdout == file.read_text()
