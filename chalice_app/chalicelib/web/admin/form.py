"""A form that a browser posts, and the parsers that several forms share."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from chalicelib.errors import Invalid
from chalicelib.model import Policies
from chalicelib.web.admin.text_field import invalid


class Form(BaseModel):
    """The fields that a browser posts; a missing one counts as empty."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True, defer_build=True
    )

    @classmethod
    def parse(cls, fields: Mapping[str, str], former: Policies | None = None, *, servers: Sequence[str] = ()) -> Self:
        """Validates all fields. Raises Invalid with a sentence for each field that is wrong.

        Args:
            servers: the addresses that may be chosen besides OpenAI's regions.
        """
        try:
            form = cls.model_validate(dict(fields), context={"former": former, "servers": servers})
        except ValidationError as error:
            sentences = {str(each["loc"][0]): each["msg"] for each in error.errors(include_input=False)}
        else:
            sentences = form.unfit()
            if not sentences:
                return form
        raise Invalid(sentences | cls.explain(sentences, fields))

    def unfit(self) -> dict[str, str]:
        """Returns a sentence for each field that the others exclude."""
        return {}

    @classmethod
    def explain(cls, sentences: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
        """Returns further sentences for a form whose fields have these already."""
        return {}


def one_of(choices: Iterable[StrEnum]) -> Callable[[Any], str]:
    """Returns the parser of a choice among the members of an enum."""
    offered = {str(choice) for choice in choices if choice.name != "UNKNOWN"}

    def choose(value: Any) -> str:
        if str(value) not in offered:
            raise invalid("Choose one of these.")
        return str(value)

    return choose


def is_checked(value: Any) -> bool:
    """Parses a check box."""
    return str(value) == "yes"


def whole_number(least: int, most: int) -> Callable[[Any], int]:
    """Returns the parser of a whole number between two others."""

    def number(value: Any) -> int:
        text = str(value or "").strip()
        if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise invalid(f"Enter a whole number from {least:,} to {most:,}.")
        return int(text)

    return number
