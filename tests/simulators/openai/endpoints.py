"""The endpoints beside `/v1/responses`: models, transcriptions, vector stores."""

from collections.abc import Mapping, Set
from typing import Any

from tests.simulators.openai import models
from tests.simulators.openai.answers import Body
from tests.simulators.openai.models import Endpoint
from tests.simulators.openai.refusals import ApiError, serving_model
from tests.simulators.openai.tokens import tokens_in

AUDIO_ENDINGS = (".flac", ".m4a", ".mp3", ".mp4", ".mpeg", ".mpga", ".ogg", ".wav", ".webm")


def list_models(retired: Set[str]) -> Body:
    """Every living model."""
    return {"object": "list", "data": [models.model_body(name) for name in models.MODELS if name not in retired]}


def transcribe(body: Body, persona: str, retired: Set[str], options: Mapping[str, Any]) -> Body:
    """The transcription of an uploaded file, which says what was heard and by whom."""
    model, file = str(body.get("model")), body.get("file")
    serving_model(model, retired, Endpoint.TRANSCRIPTIONS)
    if not isinstance(file, Mapping):
        raise ApiError(400, "Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    name, size = str(file["filename"]), int(file["bytes"])
    if not name.lower().endswith(AUDIO_ENDINGS):
        # The ending decides, not the bytes: the same Opus named .opus is refused and named .ogg is not.
        raise ApiError(400, f"Unsupported file format {name}", param="file", code="unsupported_value")
    text = str(options.get("text") or f"[{persona}] heard {name}, {size} bytes.")
    if model == "whisper-1":
        return {"text": text, "usage": {"type": "duration", "seconds": 2}}
    written = tokens_in(text)
    answer: Body = {
        "text": text,
        "usage": {
            "type": "tokens",
            "total_tokens": 17 + written,
            "input_tokens": 17,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 17},
            "output_tokens": written,
        },
    }
    return answer | ({"languages": [{"code": "en"}]} if model == "gpt-transcribe" else {})


def list_vector_stores(stores: Mapping[str, str]) -> Body:
    """The vector stores of a key, given as id → name."""
    data = [_vector_store_body(store_id, name) for store_id, name in stores.items()]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"],
        "last_id": data[-1]["id"],
        "has_more": False,
    }


def vector_store(store_id: str, stores: Mapping[str, str]) -> Body:
    """One vector store; any id exists but those that begin with `vs_missing`."""
    if not store_id.startswith("vs_") or store_id.startswith("vs_missing"):
        raise ApiError(404, f"Vector store with id '{store_id}' not found.")
    return _vector_store_body(store_id, stores.get(store_id, f"Store {store_id}"))


def _vector_store_body(store_id: str, name: str) -> Body:
    return {
        "id": store_id,
        "object": "vector_store",
        "created_at": 1_780_000_000,
        "name": name,
        "usage_bytes": 4096,
        "file_counts": {"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1},
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": 1_780_000_000,
        "metadata": {},
    }
