"""How long the operator's pages take, as a signed-in browser asks for them."""

import statistics
import time
import urllib.request

from chalicelib.store.operators import Operators, OperatorSession
from chalicelib.store.table import Table
from chalicelib.tokens import sha256
from chalicelib.web.browser_auth import OPERATOR_COOKIE
from tests.soak.plan import client_id
from tests.soak.running import Running

#: Each page is asked for so often; the median counts.
REPEATED = 7
_TOKEN = "soak-operator-token"


def measure_pages(stack: Running) -> dict[str, float]:
    """Returns the median milliseconds of each page, by name."""
    sign_in(stack.table)
    tenant = f"{stack.admin_url}/tenants/{client_id(1)}"
    pages = {"tenants": stack.admin_url, "tenant": tenant, "tenant_live": f"{tenant}/live", "edit": f"{tenant}/edit"}
    return {name: statistics.median(_milliseconds(url) for _ in range(REPEATED)) for name, url in pages.items()}


def sign_in(table: Table) -> None:
    """Signs an operator in, as a stack stores it."""
    now = time.time_ns() // 1_000_000
    operators = Operators(table)
    operators.end(sha256(_TOKEN))
    operators.create(OperatorSession(sha256(_TOKEN), "operator@answerline.test", "csrf-of-the-soak", now, now))


def _milliseconds(url: str) -> float:
    began_at = time.perf_counter()
    open_page(url)
    return (time.perf_counter() - began_at) * 1000


def open_page(url: str) -> None:
    """Opens a page as the operator who signed in."""
    request = urllib.request.Request(url, headers={"Cookie": f"{OPERATOR_COOKIE}={_TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
        if answer.url != url:
            raise RuntimeError(f"{url} leads to {answer.url}: is nobody signed in?")
