"""A stand-in for api.openai.com that speaks its real wire, names who answered, and fails on request.

Any key that begins with `sk-` is accepted and answers as its own persona, so that a test can tell which
tenant's key was used:

    [Assistant x7Qz] You said: "Do you deliver?" I follow my instructions: "You are the bakery's helper."

Keys that misbehave without any scripting, for people who play with `make up`. Only how the key begins
counts; the same words work after `sk-proj-`:

| key           | what happens                                                                    |
|---------------|---------------------------------------------------------------------------------|
| `sk-wrong…`   | 401 invalid_api_key                                                             |
| `sk-scopes…`  | 401 missing_scope: a restricted key that may not write responses                |
| `sk-banned…`  | 403 unsupported_country_region_territory                                        |
| `sk-noaccess…`| 403 model_not_found: the project may not use the model                          |
| `sk-broke…`   | 429 insufficient_quota (only what costs money; counting tokens still works)     |
| `sk-limited…` | 429 rate_limit_exceeded with `retry-after: 1`                                   |
| `sk-down…`    | 503 server_is_overloaded                                                        |
| `sk-broken…`  | 500 server_error                                                                |
| `sk-reset…`   | the connection is reset                                                         |
| `sk-hang…`    | no answer for ten minutes                                                       |
| `sk-slow…`    | the answer comes after five seconds                                             |
| `sk-refuse…`  | the model refuses                                                               |
| `sk-filter…`  | the answer is cut by the content filter                                         |
| `sk-empty…`   | a completed answer without any text                                             |
| `sk-markdown…`| an answer full of Markdown                                                      |
| `sk-essay…`   | an answer that is far too long for one message                                  |

Everything else is scripted: `OpenAISimulator.fault` in Python, `POST /control/faults` over HTTP, with the
names in `faults.py`. `GET /control` explains itself.
"""

from tests.simulators.openai.fault import Fault, Wire
from tests.simulators.openai.faults import FAULTS, SPECIAL_KEYS
from tests.simulators.openai.models import MODELS
from tests.simulators.openai.recording import RecordedRequest
from tests.simulators.openai.simulator import OpenAISimulator

__all__ = ["FAULTS", "MODELS", "SPECIAL_KEYS", "Fault", "OpenAISimulator", "RecordedRequest", "Wire"]
