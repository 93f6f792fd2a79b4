"""Reads the cases of a file of the corpus."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).parent


class Case(BaseModel):
    """A case: what goes in, what has to come out, and where it was seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    #: the address of a public report or page, or ``recorded: …`` or ``own: …`` with the reason
    source: str = Field(pattern=r"^(https://\S+|recorded: .+|own: .+)$")
    input: Any
    expected: Any


@cache
def read(name: str) -> tuple[Case, ...]:
    """Returns the cases of ``tests/corpus/<name>.yaml``."""
    cases = tuple(Case.model_validate(each) for each in yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))
    assert len({case.id for case in cases}) == len(cases), "two cases have one id"
    return cases


def parameters(name: str) -> list[Any]:
    """Returns the cases as parameters of a test."""
    return [pytest.param(case, id=case.id) for case in read(name)]
