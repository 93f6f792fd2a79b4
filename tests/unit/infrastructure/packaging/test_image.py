"""The runner's image: the rules for its Dockerfile, and the calls of its builder."""

import os
import re
import shlex
from pathlib import Path

import pytest

from infrastructure.checkout import REPOSITORY, checkout
from infrastructure.packaging.image import DOCKERFILE, CannotBuild, build_command, first_that_works, main
from runner.browser.chromium import DEBIAN_NAMES

TEXT = (REPOSITORY / DOCKERFILE).read_text()
#: Instructions with their continuation lines, without comments.
INSTRUCTIONS = [
    line.partition(" ")
    for line in re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
    if line
]


def arguments_of(keyword: str) -> list[str]:
    return [rest for name, _, rest in INSTRUCTIONS if name == keyword]


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


# -- the recipe --------------------------------------------------------------------------------------------------------


def test_docker_podman_and_buildah_understand_it_alike() -> None:
    assert not re.search(r"^# *syntax=|<<|--mount|--link|--chmod", TEXT, re.MULTILINE | re.IGNORECASE)


def test_every_base_image_has_a_tag_and_can_be_given_by_digest() -> None:
    given = dict(rest.split("=", 1) for rest in arguments_of("ARG") if "_IMAGE=" in rest)
    assert sorted(rest.split()[0] for rest in arguments_of("FROM")) == sorted(f"${{{name}}}" for name in given)
    for image in given.values():
        assert re.fullmatch(r"docker\.io/library/\w+:[\w.-]*bookworm[\w-]*", image)


def test_it_runs_as_an_unprivileged_user_and_writes_only_into_volumes() -> None:
    assert arguments_of("USER") == ["10001:10001"]
    names = [name for name, _, _ in INSTRUCTIONS]
    assert names.index("USER") < names.index("VOLUME")
    assert arguments_of("VOLUME") == ['["/tmp"]']
    environment = " ".join(arguments_of("ENV"))
    assert "DATA_DIRECTORY=/tmp/" in environment
    assert "HOME=/tmp " in environment


def test_all_it_copies_is_there_and_not_ignored() -> None:
    wanted = [part for rest in arguments_of("COPY") if "--from" not in rest for part in shlex.split(rest)[:-1]]
    assert {part.split("/")[0] for part in wanted} == {"runner", "chalice_app"}
    for part in wanted:
        assert list(REPOSITORY.glob(part)), part
    allowed = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert allowed == ["runner", "chalice_app", "infrastructure"]  # the last one for the control plane's image


def test_it_copies_every_folder_of_the_runner_that_holds_modules() -> None:
    copied = {shlex.split(rest)[-1].rstrip("/") for rest in arguments_of("COPY")}
    runner = REPOSITORY / "runner"
    folders = {path.parent for path in runner.rglob("*.py") if "node_modules" not in path.parts}
    assert len(folders) > 4
    assert {folder.relative_to(REPOSITORY).as_posix() for folder in folders} <= copied


def test_its_programs_are_those_of_this_repository() -> None:
    entry = " ".join(arguments_of("ENTRYPOINT") + arguments_of("HEALTHCHECK") + arguments_of("RUN"))
    modules = set(re.findall(r'-m"?,? "?(runner[.\w]*)', entry))
    assert modules == {"runner", "runner.health", "runner.smoke"}
    for module in modules - {"runner"}:
        assert (REPOSITORY / f"{module.replace('.', '/')}.py").is_file()
    assert "ARG BROWSER=chromium-headless-shell" in TEXT
    assert "chromium-headless-shell" in DEBIAN_NAMES


def test_the_lock_holds_every_requirement_with_hashes() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (REPOSITORY / "runner" / name).read_text().splitlines()
        return dict(line.split(" ")[0].split("==") for line in lines if "==" in line and not line.startswith("#"))

    asked, locked = pins("requirements.txt"), pins("requirements.lock")
    assert asked.items() <= locked.items(), "runner/requirements.txt changed: run `make lock`"
    text = (REPOSITORY / "runner" / "requirements.lock").read_text()
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in block, block


def test_wa_js_comes_by_its_lock_file_and_without_running_its_scripts() -> None:
    (install,) = [rest for rest in arguments_of("RUN") if "npm" in rest]
    assert install.startswith("npm ci --ignore-scripts")


# -- how it is built ---------------------------------------------------------------------------------------------------


def test_a_client_without_its_daemon_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "docker", "#!/bin/sh\nexit 1\n")
    program(tmp_path / "buildah", "#!/bin/sh\nexit 0\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert first_that_works() == "buildah"


def test_without_any_builder_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotBuild, match="docker, podman, buildah"):
        first_that_works()
    assert main([]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_commit_and_the_architecture_reach_the_builder() -> None:
    command = build_command("docker", "line/runner:1", commit="abc", architecture="arm64", fresh=True, more=["--x"])
    assert command[:2] == ["docker", "build"]
    line = " ".join(command)
    assert "--build-arg COMMIT=abc" in line
    assert "--platform linux/arm64" in line
    assert "--no-cache --pull --x" in line
    assert command[-1] == str(REPOSITORY)


@pytest.mark.parametrize(("builder", "format_given"), [("docker", False), ("podman", True), ("buildah", True)])
def test_the_health_check_survives_every_builder(builder: str, format_given: bool) -> None:
    assert ("--format docker" in " ".join(build_command(builder, "t", commit="c"))) is format_given


def test_make_image_and_make_deploy_give_a_checkout_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path / "docker", "#!/bin/sh\n")
    commit = checkout(REPOSITORY).commit
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert main(["--tag", "t"]) == 0
    assert f"--build-arg COMMIT={commit} " in capsys.readouterr().out


def test_a_failed_build_fails_and_names_the_builder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path / "podman", '#!/bin/sh\n[ "$1" = info ]\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--tag", "t"]) == 1
    assert "podman ended with 1" in capsys.readouterr().out
