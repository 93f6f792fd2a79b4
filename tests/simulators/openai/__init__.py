"""A stand-in for api.openai.com that speaks its real wire, names who answered, and fails on request.

Any key that begins with `sk-` is accepted and answers as its own persona, so that a test can tell which
tenant's key was used:

    [Assistant x7Qz] You said: "Do you deliver?" I follow my instructions: "You are the bakery's helper."

Keys that misbehave without any scripting, for people who play with `make up`: `sk-wrong…`, `sk-broke…` and the others
of `SPECIAL_KEYS`, and `sk-fault-NAME…` for each fault of `FAULTS`. Only how the key begins counts; the same words work
after `sk-proj-`. The page at `/` lists them all, and what each model allows.

Single calls are spoiled by a script: `OpenAISimulator.fault` in Python, `POST /control/faults` over HTTP, with the
names in `faults.py`. `GET /control` explains itself.
"""

from tests.simulators.openai.fault import Fault, Wire
from tests.simulators.openai.faults import FAULTS, SPECIAL_KEYS
from tests.simulators.openai.models import MODELS
from tests.simulators.openai.recording import RecordedRequest
from tests.simulators.openai.simulator import OpenAISimulator

__all__ = ["FAULTS", "MODELS", "SPECIAL_KEYS", "Fault", "OpenAISimulator", "RecordedRequest", "Wire"]
