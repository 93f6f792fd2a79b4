"""The zip has what Lambda reads, and nothing that only people, checkers or browsers read."""

import zipfile
from pathlib import Path

from infrastructure.packaging import deployment_zip

KEPT = {
    "app.py",
    "chalicelib/rendering/static/landing.js",
    "library/__init__.py",
    "library/openapi/models.py",
    "library-1.0.dist-info/METADATA",
}
LEFT_OUT = {
    "library/__init__.pyi",
    "library/py.typed",
    "library/tests/test_library.py",
    "library/openapi/swagger_ui/swagger-ui-bundle.min.js",
    "library/__pycache__/old.cpython-313.pyc",
    "library-1.0.dist-info/RECORD",
    "library-1.0.data/scripts/library",
}


def test_files_that_no_function_reads_are_left_out(tmp_path: Path) -> None:
    archive, code = tmp_path / "packed.zip", tmp_path / "code"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in KEPT | LEFT_OUT:
            packed.writestr(name, "")
    deployment_zip.unpack(archive, code)
    assert {path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()} == KEPT
