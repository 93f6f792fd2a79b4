"""The line that the tests of messages and replies are about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.support.runner_line import Line


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path / "journal.jsonl")
    yield line
    line.journal.close()
