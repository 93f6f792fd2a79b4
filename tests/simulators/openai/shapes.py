"""OpenAI's words for a parameter of the wrong shape."""

from collections.abc import Iterable, Set
from typing import Any

from tests.simulators.openai.refusals import ApiError

#: The parameters that take decimals; every other number is an integer.
DECIMALS = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def kind_of(value: Any) -> str:
    """OpenAI's name of a JSON value's type, with its article."""
    return next((name for type, name in _NAMES if isinstance(value, type)), "null")


def check_type(name: str, value: Any, expected: str, *types: type) -> None:
    """Raises `invalid_type` for a value of no such type; a boolean is no number."""
    if isinstance(value, types) and (bool in types or not isinstance(value, bool)):
        return
    message = f"Invalid type for '{name}': expected {expected}, but got {kind_of(value)} instead."
    raise ApiError(400, message, param=name, code="invalid_type")


def array_of(name: str, value: Any, expected: str) -> None:
    """Raises `invalid_type` for what is no array."""
    check_type(name, value, f"an array of {expected}", list)


def fields(name: str, value: Any, known: Set[str]) -> None:
    """Raises `invalid_type` for what is no object, and `unknown_parameter` for a field that is not `known`."""
    check_type(name, value, "an object", dict)
    unknown(name, value, known)


def unknown(name: str, value: dict[str, Any], known: Set[str]) -> None:
    """Raises `unknown_parameter` for the first field that is not `known`."""
    for word in value:
        if word not in known:
            where = f"{name}.{word}"
            raise ApiError(400, f"Unknown parameter: '{where}'.", param=where, code="unknown_parameter")


def missing(name: str) -> ApiError:
    """The error of a required parameter that is absent."""
    return ApiError(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def invalid(name: str, value: Any, allowed: Iterable[str]) -> ApiError:
    """The error of a value that is none of those allowed."""
    shown = value if isinstance(value, str) else ""
    return ApiError(400, f"Invalid value: '{shown}'. {one_of(allowed)}", param=name, code="invalid_value")


def within(name: str, value: float, *, least: float | None = None, most: float | None = None) -> ApiError:
    """The error of a number outside its bounds."""
    kind = "decimal" if name in DECIMALS else "integer"
    if least is not None and value < least:
        bound, code = f"{kind} below minimum value. Expected a value >= {least}", f"{kind}_below_min_value"
    else:
        bound, code = f"{kind} above maximum value. Expected a value <= {most}", f"{kind}_above_max_value"
    return ApiError(400, f"Invalid '{name}': {bound}, but got {value} instead.", param=name, code=code)


def check_length(name: str, text: str, longest: int) -> None:
    """Raises `string_above_max_length` for a text that is too long."""
    if len(text) > longest:
        message = (
            f"Invalid '{name}': string too long. Expected a string with maximum length {longest}, but got a string "
            f"with length {len(text)} instead."
        )
        raise ApiError(400, message, param=name, code="string_above_max_length")


def one_of(allowed: Iterable[str]) -> str:
    """The sentence that lists what is allowed, as OpenAI writes it."""
    *first, last = [f"'{each}'" for each in allowed]
    listed = f"{', '.join(first)}{',' * (len(first) > 1)} and {last}" if first else last
    return f"Supported values are: {listed}."
