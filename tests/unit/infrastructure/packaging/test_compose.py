"""The compose file and the control plane's image: what is public, what is bounded, and that all it needs is in it."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infrastructure.checkout import REPOSITORY
from infrastructure.local.ecs import attached
from infrastructure.local.service.settings_file import NAMES, SECRETS
from infrastructure.local.settings import FIRST_PORT, Ports, parse

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (REPOSITORY / SERVICES["control"]["build"]["dockerfile"]).read_text()
EACH = pytest.mark.parametrize("name", sorted(SERVICES))
GIVEN = {
    "BASE_URL": "https://line.agency.de",
    "MAIL_FROM": "line@agency.de",
    "OPERATOR_EMAIL": "olga@agency.de",
    "RUNNER_BOOTSTRAP_TOKEN": "0123456789abcdef" * 2,
}


def resolved(value: object) -> str:
    """A value with its variables, as compose would put them in."""

    def put(match: re.Match[str]) -> str:
        return GIVEN.get(match[1], match[3] if match[2] == ":-" else "")

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", put, str(value))


def environment(service: str) -> dict[str, str]:
    return {name: resolved(value) for name, value in SERVICES[service]["environment"].items()}


def copied() -> list[list[str]]:
    """The arguments of each COPY from the repository."""
    return [shlex.split(rest) for rest in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)]


@EACH
def test_every_container_is_bounded_hardened_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] and service["pids_limit"]
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    dockerfile = (REPOSITORY / service["build"]["dockerfile"]).read_text() if "build" in service else ""
    assert "healthcheck" in service or "HEALTHCHECK" in dockerfile
    assert not service.get("privileged") and "docker.sock" not in str(service)


def test_two_images_are_built_here() -> None:
    assert {SERVICES[name]["image"] for name in SERVICES if "build" in SERVICES[name]} == {
        "answerline-control",
        "answerline-runner",
    }


def test_only_caddys_ports_are_public() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "control": ["80:80", "443:443"]
    }
    assert SERVICES["caddy"]["network_mode"] == "service:control"  # so the gateway's proxy is on its loopback


def test_runners_stop_first_and_have_their_time() -> None:
    for name in ("runner", "caddy"):
        assert SERVICES[name]["depends_on"]["control"] == {"condition": "service_healthy", "restart": True}
    assert SERVICES["runner"]["stop_grace_period"] == "120s"


def test_the_control_plane_starts_with_these_settings() -> None:
    settings = parse([], {**environment("control"), "CREDENTIALS_DIRECTORY": ""})
    assert (settings.simulate_whatsapp, settings.simulate_openai) == (False, False)
    assert settings.base_url == "https://line.agency.de/api"
    assert settings.runners_at == SERVICES["control"]["hostname"] == "control"
    assert settings.runner_token == GIVEN["RUNNER_BOOTSTRAP_TOKEN"]
    assert settings.ports == Ports.from_first(FIRST_PORT)


def test_every_setting_of_the_control_plane_is_one_of_make_up() -> None:
    ours = {"DATA", "CREDENTIALS_DIRECTORY", *NAMES, *SECRETS}
    assert set(environment("control")) <= ours
    assert set(SERVICES["control"]["secrets"]) == set(COMPOSE["secrets"]) == {"SMTP_URL"} <= set(SECRETS)


def test_the_data_survive_and_can_be_replaced() -> None:
    volumes = dict(volume.split(":")[:2] for volume in SERVICES["control"]["volumes"])
    assert volumes == {"data": "/data"}
    assert environment("control")["DATA"].startswith("/data/")  # a restore renames it
    assert set(COMPOSE["volumes"]) == {"data", "certificates"}


def test_runners_find_the_gateway_and_their_tasks_by_the_same_name() -> None:
    runner = environment("runner")
    assert runner["CONTROL_URL"] == f"http://control:{FIRST_PORT}/api"
    assert runner["ECS_CONTAINER_METADATA_URI_V4"] == f"http://control:{attached.PORT}"
    assert runner["RUNNER_BOOTSTRAP_TOKEN"] == GIVEN["RUNNER_BOOTSTRAP_TOKEN"]
    assert runner["CAPACITY"] == environment("control")["RUNNER_CAPACITY"]


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_a_setting_without_a_default_is_asked_for(missing: str) -> None:
    assert re.search(rf"\$\{{{missing}:\?[^}}]+\}}", (REPOSITORY / "compose.yaml").read_text())


@pytest.mark.skipif(
    not (Path(sys.executable).parent / "podman-compose").exists(), reason="missing: podman-compose; `make install`"
)
def test_podman_compose_understands_it(tmp_path: Path) -> None:
    podman = tmp_path / "podman"
    podman.write_text("#!/bin/sh\necho podman version 5.4.0\n")  # `config` asks for nothing else
    podman.chmod(0o755)
    done = subprocess.run(
        [Path(sys.executable).parent / "podman-compose", "--file", REPOSITORY / "compose.yaml", "config"],
        cwd=tmp_path,
        env={**GIVEN, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)["services"]
    assert found.keys() == SERVICES.keys()
    assert found["control"]["environment"]["BASE_URL"] == GIVEN["BASE_URL"]


# -- the image of the control plane --------------------------------------------------------------------------------


def test_docker_podman_and_buildah_build_it_alike() -> None:
    assert not re.search(r"^# *syntax=|<<|--mount|--link|--chmod", DOCKERFILE, re.MULTILINE | re.IGNORECASE)


def test_all_it_copies_is_there() -> None:
    for *sources, _ in copied():
        for source in sources:
            assert (REPOSITORY / source).exists(), source


def test_it_runs_without_rights_and_is_stopped_in_order() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^VOLUME (.*)$", DOCKERFILE, re.MULTILINE) == ['["/data"]']
    assert re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE) == ['["python", "-m", "infrastructure.local"]']
    assert f"localhost:{FIRST_PORT}/api/health" in DOCKERFILE


def test_every_library_that_the_stack_imports_is_installed_in_it() -> None:
    """Directly: what those need comes with them."""
    names = {"yaml": "pyyaml", "dotenv": "python-dotenv", "phonenumbers": "phonenumberslite"}
    installed = pinned(REPOSITORY / "infrastructure" / "local" / "requirements.txt")
    ours = {"infrastructure", "chalicelib", "runner", "wire", "tests", "app"}
    separate = REPOSITORY / "infrastructure" / "local" / "emulator"  # runs in MiniStack's own environment
    missing = set()
    for path in (REPOSITORY / "infrastructure" / "local").rglob("*.py"):
        if separate in path.parents or "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported = [node.module or ""]
            else:
                continue
            for name in {each.partition(".")[0] for each in imported} - ours - set(sys.stdlib_module_names):
                if names.get(name, name.replace("_", "-").lower()) not in installed | {"botocore"}:
                    missing.add(f"{path.relative_to(REPOSITORY)}: {name}")
    assert not missing


def pinned(file: Path) -> set[str]:
    found = set()
    for line in file.read_text().splitlines():
        if line.startswith("-r "):
            found |= pinned((file.parent / line.removeprefix("-r ")).resolve())
        elif "==" in line:
            found.add(re.split(r"[\[=]", line)[0].lower())
    return found
