"""Reads what `GET /v1/models` answers: the models that a key may use, and when OpenAI ends one."""

from collections.abc import Mapping
from datetime import date

from chalicelib.model.assistants.models import OfferedModel, choose_models

#: A name of a model that is longer is nobody's.
MAX_NAME_LENGTH = 100


def read_models(body: object) -> tuple[OfferedModel, ...] | None:
    """Returns the models of a list that answer chats; None if the body is no list of models."""
    listed = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(listed, list):
        return None
    models = (each for each in listed if isinstance(each, Mapping) and isinstance(each.get("id"), str))
    named = (each for each in models if 0 < len(each["id"]) <= MAX_NAME_LENGTH and each["id"].isprintable())
    return choose_models(OfferedModel(each["id"], _day(each.get("shutdown_date")) or None) for each in named)


def read_shutdown_date(body: object) -> str | None:
    """Returns the day in the body of a model, as YYYY-MM-DD; empty if it names none, None if the body is not one."""
    if not isinstance(body, Mapping) or body.get("object") != "model":
        return None
    return _day(body.get("shutdown_date"))


def _day(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        return ""
