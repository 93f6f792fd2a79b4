"""The package: one template and one zip, reproducible byte for byte (`make package`)."""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from infrastructure.checkout import REPOSITORY
from infrastructure.packaging import cold_import, deployment_zip, lambda_python, template
from infrastructure.packaging.lambda_python import PackagingPython

Architecture = Literal["arm64", "x86_64"]

APPLICATION = REPOSITORY / "chalice_app"
CLOUDFORMATION = REPOSITORY / "infrastructure" / "cloudformation"
#: Our parts of the template, merged with Chalice's in this order; none may set what another one sets.
PARTS = ("resources.yaml", "functions.yaml", "runners.yaml", "watching.yaml")
#: The names of queues that trigger functions, which CloudFormation resolves: Chalice puts them into an `Fn::Sub`.
QUEUES = {"JOBS_QUEUE_NAME": "${AWS::StackName}-jobs", "NOTICES_QUEUE_NAME": "${AWS::StackName}-notices"}
MAX_ZIP_BYTES = 12_000_000
CHALICE_SECONDS = 600
#: Chalice needs a region only for the names of AWS's own services.
ANY_REGION = "us-east-1"


class PackageFailed(Exception):
    """The package cannot be built; the message says why and what to do."""


#: The errors of `build` that an engineer fixes in the project.
FAILURES = (
    PackageFailed,
    lambda_python.PythonMissing,
    template.Clash,
    template.NotReadable,
    deployment_zip.NotCompiled,
)


@dataclass(frozen=True)
class Package:
    """The files for CloudFormation and Lambda."""

    template: Path
    zip: Path
    zip_bytes: int
    #: hex, of the zip
    sha256: str
    #: in Lambda's spelling: ``python3.13``
    runtime: str
    architecture: Architecture
    #: of the template, before Serverless makes more of them
    resources: int


def build(out: Path, *, python: Path | None = None, architecture: Architecture | None = None) -> Package:
    """Builds `template.yaml` and `deployment.zip` in ``out``. Raises one of FAILURES."""
    return build_with(lambda_python.find(python), out, architecture or own_architecture())


def build_with(python: PackagingPython, out: Path, architecture: Architecture) -> Package:
    """Builds with a Python that was found before. Raises one of FAILURES."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="answerline-package-") as name:
        work = Path(name)
        packed = _chalice(python, architecture, work)
        code = work / "code"
        deployment_zip.unpack(packed / "deployment.zip", code)
        _require_complete(code)
        deployment_zip.compile_all(code, python.path)
        archive = out / "deployment.zip"
        deployment_zip.pack(code, archive)
        body = _template(template.load(packed / "sam.yaml"))
    written = out / "template.yaml"
    written.write_text(template.dump(body))
    content = archive.read_bytes()
    if len(content) > MAX_ZIP_BYTES:
        raise PackageFailed(
            f"The zip has {len(content) / 1e6:.1f} MB, {MAX_ZIP_BYTES / 1e6:.0f} MB are allowed:"
            " look for a new library in chalice_app/requirements.txt."
        )
    return Package(
        template=written,
        zip=archive,
        zip_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        runtime=python.runtime,
        architecture=architecture,
        resources=len(body["Resources"]),
    )


def template_alone(python: PackagingPython, architecture: Architecture) -> dict[str, Any]:
    """Builds the template without the code, in a second: for tests that only read it."""
    with tempfile.TemporaryDirectory(prefix="answerline-template-") as name:
        return _template(template.load(_chalice(python, architecture, Path(name), libraries=False) / "sam.yaml"))


def own_architecture() -> Architecture:
    """The architecture of this machine, in Lambda's spelling."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


# -- Chalice's package of the application ----------------------------------------------------------------------------


def _chalice(python: PackagingPython, architecture: Architecture, work: Path, *, libraries: bool = True) -> Path:
    """Lets Chalice package a copy of the application, without our bytecode and former deployments."""
    project, out = work / "project", work / "packed"
    shutil.copytree(APPLICATION, project, ignore=shutil.ignore_patterns("__pycache__", "deployments", "deployed"))
    config = project / ".chalice" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "lambda_architecture": architecture}))
    if not libraries:
        (project / "requirements.txt").write_text("")
    command = [str(python.path), "-c", "import sys; from chalice.cli import main; sys.exit(main())"]
    command += [
        "--project-dir",
        str(project),
        "package",
        "--stage",
        "answerline",
        "--template-format",
        "yaml",
        str(out),
    ]
    done = subprocess.run(
        command, env=_environment(), capture_output=True, text=True, timeout=CHALICE_SECONDS, check=False
    )
    if done.returncode or not (out / "sam.yaml").is_file():
        raise PackageFailed(f"Chalice could not package the application:\n{done.stdout}{done.stderr}")
    return out


def _environment() -> dict[str, str]:
    """The operator's environment, which pip may need, without their settings of AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return {
        **kept,
        "AWS_DEFAULT_REGION": ANY_REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **QUEUES,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _require_complete(code: Path) -> None:
    """Checks the libraries: Chalice only warns of a missing one, and takes any version of one that is not pinned."""
    lines = (APPLICATION / "requirements.txt").read_text().splitlines()
    pinned = [line.strip().replace("-", "_").split("==") for line in lines if line.strip() and not line.startswith("#")]
    expected = {f"{name}-{version}.dist-info" for name, version in pinned}
    found = {path.name.lower() for path in code.glob("*.dist-info")}
    if expected != found:
        raise PackageFailed(
            f"chalice_app/requirements.txt pins {sorted(expected - found) or 'nothing'} that the package does not have"
            " (is there a wheel for this Python on Lambda?), and the package has"
            f" {sorted(found - expected) or 'nothing'} that it does not pin (add them)."
        )


# -- the template ------------------------------------------------------------------------------------------------------


def _template(made_by_chalice: Mapping[str, Any]) -> dict[str, Any]:
    """Merges Chalice's template with our parts."""
    own = [CLOUDFORMATION / name for name in PARTS]
    parts = [(f"infrastructure/cloudformation/{path.name}", template.load(path)) for path in own if path.is_file()]
    body = template.merged([("Chalice's template", made_by_chalice), *parts])
    for name, resource in body["Resources"].items():
        if "Type" not in resource:
            raise PackageFailed(
                f"A file of cloudformation/ adds to {name}, which Chalice does not create: is it in app.py?"
            )
        if resource["Type"] == "AWS::Serverless::Function":
            _give_role(body["Resources"], name, resource["Properties"])
    api = body["Resources"]["RestAPI"]["Properties"]
    api["DefinitionBody"]["info"]["title"] = api["Name"]  # API Gateway may name it by either, and its metrics with it
    return body


def _give_role(resources: Mapping[str, Any], function: str, properties: dict[str, Any]) -> None:
    """Replaces a role's logical name by its ARN: in config.json, Chalice takes text only (`iam_role_arn`)."""
    role = properties.get("Role")
    if not isinstance(role, str) or resources.get(role, {}).get("Type") != "AWS::IAM::Role":
        raise PackageFailed(
            f"{function} has the role {role!r}, which no file of infrastructure/cloudformation/ declares:"
            " give its iam_role_arn in chalice_app/.chalice/config.json the logical name of an AWS::IAM::Role."
        )
    properties["Role"] = {"Fn::GetAtt": [role, "Arn"]}


# -- the command -------------------------------------------------------------------------------------------------------


def main() -> int:
    """Runs `python -m infrastructure.packaging.package OUT`; returns 1 if the package must not be deployed."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.packaging.package", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", type=Path, help="the Python whose version Lambda shall run")
    parser.add_argument("--architecture", choices=("arm64", "x86_64"), help="of the functions; this machine's")
    arguments = parser.parse_args()
    try:
        python = lambda_python.find(arguments.python)
        architecture = cast("Architecture", arguments.architecture or own_architecture())
        package = build_with(python, arguments.out, architecture)
    except FAILURES as failed:
        print(failed, file=sys.stderr)
        return 1
    print(f"{package.zip}: {package.zip_bytes / 1e6:.2f} MB, sha256 {package.sha256}")
    print(f"functions: {package.runtime} on {package.architecture}")
    print(f"{package.template}: {package.resources} resources")
    if python.version != lambda_python.PREFERRED:
        print("There is no Python 3.13 here, so Lambda would run {}.{}.".format(*python.version))
    return _check_cold_start(package, python)


def _check_cold_start(package: Package, python: PackagingPython) -> int:
    """The exit code: 1 if a function would start too slowly."""
    if package.architecture != own_architecture():
        print(f"Its cold start can be measured only on {package.architecture}.")
        return 0
    with tempfile.TemporaryDirectory(prefix="answerline-start-") as name, zipfile.ZipFile(package.zip) as packed:
        packed.extractall(name)
        try:
            cold = cold_import.measure(Path(name), python.path, python.libraries())
        except cold_import.TooEager as eager:
            print(eager, file=sys.stderr)
            return 1
    print(cold)
    return 0 if cold.good else 1


if __name__ == "__main__":
    sys.exit(main())
