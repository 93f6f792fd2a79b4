"""The layout of the package: its drawn table is complete, and its calls to AWS know nothing of the decisions."""

import ast
import re
from pathlib import Path

from infrastructure import deploying

FOLDER = Path(deploying.__file__).parent


def test_the_table_names_every_module() -> None:
    modules = {path.stem for path in FOLDER.rglob("*.py")} - {"__init__"}
    assert set(re.findall(r"^``(\w+)``", deploying.__doc__ or "", re.MULTILINE)) == modules


def test_calls_to_aws_import_no_decision() -> None:
    for path in (FOLDER / "aws").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "infrastructure.deploying":
                assert {alias.name for alias in node.names} == {"CannotDeploy"}, path
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("infrastructure.deploying."):
                assert (node.module or "").startswith("infrastructure.deploying.aws."), path
