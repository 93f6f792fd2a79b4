"""Merged templates add and never override; the zip is reproducible and contains only files that Lambda reads."""

import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infrastructure.packaging import cold_import, deployment_zip, lambda_python
from infrastructure.packaging.package import PackageFailed, _give_role, _template
from infrastructure.packaging.template import Clash, NotReadable, dump, load, merged

PYTHON = Path(sys.executable)


# -- joining ----------------------------------------------------------------------------------------------------


def joined(*parts: dict[str, Any]) -> dict[str, Any]:
    return merged((f"part {number}", part) for number, part in enumerate(parts, 1))


def test_parts_add_to_each_other_at_any_depth() -> None:
    first = {"Resources": {"Think": {"Properties": {"Timeout": 120}}}}
    second = {"Resources": {"Think": {"Properties": {"FunctionName": "x"}}, "Key": {}}, "Outputs": {"A": 1}}
    assert joined(first, second) == {
        "Resources": {"Think": {"Properties": {"Timeout": 120, "FunctionName": "x"}}, "Key": {}},
        "Outputs": {"A": 1},
    }
    assert first == {"Resources": {"Think": {"Properties": {"Timeout": 120}}}}, "a part is only read"


def test_two_values_for_one_place_are_an_error_that_names_both_files_and_both_values() -> None:
    with pytest.raises(Clash, match=r"part 1 and part 2 both set Resources\.Think\.Timeout: 120 and 60"):
        joined({"Resources": {"Think": {"Timeout": 120}}}, {"Resources": {"Think": {"Timeout": 60}}})


@pytest.mark.parametrize(
    ("former", "latter"),
    [
        ({"Fn::GetAtt": ["A", "Arn"]}, {"Fn::Sub": "arn:b"}),
        ({"Ref": "A"}, {"Ref": "B"}),
        ({"Fn::Sub": "a"}, {"more": 1}),
        ({"more": 1}, {"Ref": "A"}),
        ([1], [2]),
    ],
)
def test_an_intrinsic_or_a_list_is_never_merged(former: object, latter: object) -> None:
    with pytest.raises(Clash):
        joined({"Queue": former}, {"Queue": latter})


def test_the_same_value_twice_is_no_clash() -> None:
    same = {"Transform": "AWS::Serverless-2016-10-31", "Role": {"Ref": "A"}, "Zones": [1]}
    assert joined(same, same) == same


def test_a_template_survives_being_written_and_read(tmp_path: Path) -> None:
    short = tmp_path / "short.yaml"
    short.write_text(
        'Queue: !GetAtt Jobs.Arn\nName: !Sub "${AWS::StackName}-x"\nWhen: !If [A, !Ref B, &same {c: d}]\nE: *same'
    )
    body = load(short)
    assert body["Queue"] == {"Fn::GetAtt": ["Jobs", "Arn"]}
    long = tmp_path / "long.yaml"
    long.write_text(dump(body))
    assert load(long) == body
    assert "*" not in long.read_text(), "CloudFormation's own readers are not asked to follow anchors"


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(NotReadable, match=r"broken\.yaml is not YAML"):
        load(broken)


def test_a_function_gets_the_role_that_configuration_names() -> None:
    properties: dict[str, Any] = {"Role": "ThinkRole"}
    _give_role({"ThinkRole": {"Type": "AWS::IAM::Role"}}, "Think", properties)
    assert properties == {"Role": {"Fn::GetAtt": ["ThinkRole", "Arn"]}}
    with pytest.raises(PackageFailed, match=r"Think has the role 'Nobody', which no file .* declares"):
        _give_role({}, "Think", {"Role": "Nobody"})


def test_an_addition_to_a_missing_function_is_an_error() -> None:
    with pytest.raises(PackageFailed, match="adds to APIHandler, which Chalice does not create"):
        _template({"Resources": {}})


# -- the zip ----------------------------------------------------------------------------------------------------


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A small package, unpacked."""
    files = {
        "app.py": "import chalicelib.thinking\n",
        "chalicelib/__init__.py": "",
        "chalicelib/thinking.py": "def think():\n    return 42\n",
        "chalicelib/templates/page.html": "<p>",
        "chalicelib/__pycache__/thinking.cpython-39.pyc": "old",
        "openai/__init__.py": "x = 1\n",
        "qrcode/tests/test_qr.py": "",
        "qrcode/main.pyi": "",
        "qrcode/py.typed": "",
        "qrcode-8.2.dist-info/METADATA": "Name: qrcode",
        "qrcode-8.2.dist-info/RECORD": "",
        "fast.so": "ELF",
    }
    packed = tmp_path / "chalice.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    unpacked = tmp_path / "code"
    deployment_zip.unpack(packed, unpacked)
    return unpacked


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_files_that_lambda_never_reads_are_left_out(code: Path) -> None:
    assert names(code) == {
        *(
            "app.py",
            "chalicelib/__init__.py",
            "chalicelib/thinking.py",
            "chalicelib/templates/page.html",
        ),
        *("openai/__init__.py", "qrcode-8.2.dist-info/METADATA", "fast.so"),
    }


def test_all_but_openai_gets_unchecked_bytecode_with_the_paths_of_lambda(code: Path) -> None:
    deployment_zip.compile_all(code, PYTHON)
    compiled = {name for name in names(code) if name.endswith(".pyc")}
    tag = sys.implementation.cache_tag
    assert compiled == {f"{where}.{tag}.pyc" for where in ("__pycache__/app", *_own("__init__", "thinking"))}
    bytecode = (code / f"chalicelib/__pycache__/thinking.{tag}.pyc").read_bytes()
    assert int.from_bytes(bytecode[4:8], "little") == 0b01, "by hash, and unchecked"
    assert b"/var/task/chalicelib/thinking.py" in bytecode
    assert str(code).encode() not in bytecode


def _own(*modules: str) -> list[str]:
    return [f"chalicelib/__pycache__/{module}" for module in modules]


def test_a_file_that_is_no_python_stops_the_package(code: Path) -> None:
    (code / "app.py").write_text("def")
    with pytest.raises(deployment_zip.NotCompiled, match="SyntaxError"):
        deployment_zip.compile_all(code, PYTHON)


def test_the_same_files_are_the_same_zip_whenever_and_in_whatever_order(code: Path, tmp_path: Path) -> None:
    first, second, twin = tmp_path / "1.zip", tmp_path / "2.zip", tmp_path / "twin"
    deployment_zip.pack(code, first)
    for name in sorted(names(code), reverse=True):
        (twin / name).parent.mkdir(parents=True, exist_ok=True)
        (twin / name).write_bytes((code / name).read_bytes())
        os.utime(twin / name, (1, 1))
        (twin / name).chmod(0o600)
    deployment_zip.pack(twin, second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    assert list(entries) == sorted(entries)
    assert {entry.date_time for entry in entries.values()} == {deployment_zip.EARLIEST}
    assert (entries["app.py"].external_attr >> 16, entries["fast.so"].external_attr >> 16) == (0o644, 0o755)


# -- how it starts ----------------------------------------------------------------------------------------------


def test_a_start_that_imports_what_not_every_function_needs_names_it(code: Path, tmp_path: Path) -> None:
    (code / "app.py").write_text("import pydantic, openai\n")
    (code / "pydantic.py").write_text("")
    with pytest.raises(cold_import.TooEager, match="imports openai, which not every function needs"):
        cold_import.loaded(code, PYTHON, tmp_path / "behind")


def test_a_start_needs_no_environment(code: Path, tmp_path: Path) -> None:
    (code / "app.py").write_text("import os\nos.environ['TABLE_NAME']\n")
    with pytest.raises(cold_import.TooEager, match=r"without any environment:(.|\n)*TABLE_NAME"):
        cold_import.loaded(code, PYTHON, tmp_path / "behind")


def test_libraries_are_imported_as_the_application_does_from_the_package_first(code: Path, tmp_path: Path) -> None:
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "boto3.py").write_text("import botocore\n")
    (behind / "botocore.py").write_text("")
    (behind / "pydantic.py").write_text("raise RuntimeError('the package has its own')\n")
    (code / "pydantic.py").write_text("")
    (code / "app.py").write_text("import pydantic, boto3, chalicelib.thinking, json\n")
    assert cold_import.loaded(code, PYTHON, behind) == ["pydantic", "botocore", "boto3"]


# -- who packages -------------------------------------------------------------------------------------------------


def test_a_python_that_does_not_run_is_not_taken(tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert lambda_python.version_of(shim) is None
    with pytest.raises(lambda_python.PythonMissing, match="is not a Python that runs"):
        lambda_python.find(shim)


def test_the_running_python_packages_with_what_it_has() -> None:
    found = lambda_python.find(PYTHON)
    assert (found.path, found.version) == (PYTHON, sys.version_info[:2])
    assert found.runtime == f"python{sys.version_info[0]}.{sys.version_info[1]}"


def test_chalice_is_the_one_that_requirements_pin() -> None:
    assert [pin.partition("==")[0] for pin in lambda_python.pins("chalice", "boto3")] == ["chalice", "boto3"]
