"""The simulator's control routes: script it, and ask what it was asked, over HTTP."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.openai import page
from tests.simulators.openai.faults import ANY_FAULT, ERROR_OPTIONS, FAULTS, SPECIAL_KEYS
from tests.simulators.openai.recording import EVERY_KEY, fingerprint

if TYPE_CHECKING:
    from tests.simulators.openai.simulator import OpenAISimulator


def routes(simulator: "OpenAISimulator") -> list[web.RouteDef]:
    """Everything under /control, and the page at /."""
    control = _Control(simulator)
    return [
        web.get("/", control.show_page),
        web.get("/control", control.describe),
        web.get("/control/health", control.health),
        web.get("/control/requests", control.list_requests),
        web.delete("/control/requests", control.forget_requests),
        web.get("/control/faults", control.list_faults),
        web.post("/control/faults", control.add_fault),
        web.delete("/control/faults", control.clear_faults),
        web.post("/control/personas", control.set_persona),
        web.post("/control/vector_stores", control.set_vector_store),
        web.post("/control/models/retire", control.retire_model),
        web.post("/control/delay", control.set_delay),
    ]


class _Control:
    def __init__(self, simulator: "OpenAISimulator") -> None:
        self._simulator = simulator

    async def show_page(self, request: web.Request) -> web.Response:
        return web.Response(text=page.render(), content_type="text/html")

    async def describe(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "what": "a simulated OpenAI; the API is under /v1, any key that begins with sk- is accepted",
                "special_keys": {
                    f"sk-{beginning}…": FAULTS[name].happens for beginning, (name, _) in SPECIAL_KEYS.items()
                },
                "any_fault": f"sk-{ANY_FAULT}NAME…: the fault of that name, with hyphens or underscores",
                "faults": {fault.name: fault.happens for fault in FAULTS.values()},
                "control": {
                    "POST /control/faults": {
                        "key": "sk-… or *",
                        "fault": "name",
                        "times": "1; null until cleared",
                        "path": "optional",
                        "options": "delay_ms, seconds, text, limit; of HTTP errors: "
                        + ", ".join(sorted(ERROR_OPTIONS)),
                    },
                    "GET /control/faults": "what is scripted",
                    "DELETE /control/faults?key=": "forget",
                    "POST /control/personas": {"key": "sk-…", "name": "Bella"},
                    "POST /control/vector_stores": {"key": "sk-…", "id": "vs_…", "name": "Menu"},
                    "POST /control/models/retire": {"model": "gpt-4o"},
                    "POST /control/delay": {"delay_ms": 0},
                    "GET /control/requests?key=&path=&after=": "what was asked, without keys",
                    "DELETE /control/requests": "forget",
                    "GET /control/health": "whether it runs",
                },
            },
            dumps=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        )

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "requests": self._simulator.received})

    async def list_requests(self, request: web.Request) -> web.Response:
        query = request.query
        found = [
            asdict(recorded)
            for recorded in list(self._simulator.requests)
            if recorded.number > int(query.get("after", "0"))
            and ("path" not in query or recorded.path == query["path"])
            and ("key" not in query or recorded.key_fingerprint == fingerprint(query["key"]))
        ]
        return web.json_response({"count": self._simulator.received, "requests": found})

    async def forget_requests(self, request: web.Request) -> web.Response:
        self._simulator.requests.clear()
        return web.Response(status=204)

    async def list_faults(self, request: web.Request) -> web.Response:
        waiting = [
            {
                "key_fingerprint": owner if owner == EVERY_KEY else fingerprint(owner),
                "fault": scripted.fault.name,
                "left": scripted.left,
                "path": scripted.path,
                "options": dict(scripted.options),
            }
            for owner, queue in list(self._simulator.faults.items())
            for scripted in list(queue)
        ]
        return web.json_response({"faults": waiting})

    async def add_fault(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        name, times = wanted.get("fault"), wanted.get("times", 1)
        options = dict(wanted.get("options") or {})
        options |= {
            word: value for word, value in wanted.items() if word not in ("key", "fault", "times", "path", "options")
        }
        try:
            self._simulator.fault(str(wanted["key"]), str(name), times, path=wanted.get("path"), **options)
        except (KeyError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.Response(status=204)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._simulator.clear(request.query.get("key"))
        return web.Response(status=204)

    async def set_persona(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        self._simulator.persona(wanted["key"], wanted["name"])
        return web.Response(status=204)

    async def set_vector_store(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        self._simulator.vector_store(wanted["key"], wanted["id"], wanted["name"])
        return web.Response(status=204)

    async def retire_model(self, request: web.Request) -> web.Response:
        self._simulator.retire((await request.json())["model"])
        return web.Response(status=204)

    async def set_delay(self, request: web.Request) -> web.Response:
        self._simulator.delay_ms = int((await request.json())["delay_ms"])
        return web.Response(status=204)
