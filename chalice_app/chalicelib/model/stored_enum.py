"""Enums that are read from storage: a value that a later release wrote reads as UNKNOWN instead of as an error."""

from enum import StrEnum
from typing import Self


class StoredEnum(StrEnum):
    """Each subclass has a member UNKNOWN, which every rule treats as the neutral case; it is never stored."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls["UNKNOWN"]
