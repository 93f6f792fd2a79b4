"""The lines and their runners, as the one table tells: does everything that should run, run?"""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws.kms import FIELD
from chalicelib.model import Runner, Session, Tenant, should_run
from chalicelib.store.runners import Runners
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from infrastructure.checks import DENIED, Finding, bad, ok, unknown

#: More lines than this are counted, not listed.
LISTED_AT_MOST = 20
#: What KMS says to a dry run that would have worked.
WOULD_WORK = "DryRunOperationException"
FOREIGN = frozenset({"IncorrectKeyException", "InvalidCiphertextException", "NotFoundException"})


@dataclass(frozen=True)
class Lines:
    """What stands on the table at one moment."""

    tenants: list[tuple[Tenant, Session]]
    runners: list[Runner]
    now: int


def read(dynamodb: Any, table: str, now: int, pause: Callable[[float], None]) -> Lines:
    """Two queries, a moment old."""
    opened = Table(dynamodb, table, pause)
    return Lines(Tenants(opened).overview(), list(Runners(opened).alive()), now)


def look_at_tenants(lines: Lines) -> list[Finding]:
    """Every one that should run is online, or waits for its owner before an open page."""
    running = [(tenant, session) for tenant, session in lines.tenants if should_run(tenant.wanted, session, lines.now)]
    down = [(tenant, session) for tenant, session in running if not session.up]
    what = f"{len(running) - len(down)} of {len(running)} lines that should run do ({len(lines.tenants)} tenants)"
    found = [ok(what)] if not down else [bad(what, "see each below")]
    for tenant, session in down[:LISTED_AT_MOST]:
        where = f"runner {session.runner}" if session.runner else "no runner: is there room?"
        trouble = f", problem {session.problem.code}" if session.problem else ""
        found.append(bad(f"  {tenant.id} is {session.phase} ({where}{trouble})", "see its page in the admin"))
    if len(down) > LISTED_AT_MOST:
        found.append(bad(f"  and {len(down) - LISTED_AT_MOST} more", "see the admin"))
    for tenant, _ in lines.tenants:
        problems = (tenant.assistant_problem, tenant.mail_problem)
        found += [
            bad(f"  {tenant.id}: {problem.code}", "its page in the admin says what to do")
            for problem in problems
            if problem
        ]
    return found


def look_at_runners(lines: Lines, *, commit: str, wa_js: str, again: str) -> list[Finding]:
    """They were heard, are of this commit, and all have the same browser."""
    silent = [runner for runner in lines.runners if runner.lease_until <= lines.now]
    heard = [runner for runner in lines.runners if runner.lease_until > lines.now]
    found = [
        bad(f"runner {runner.id} is silent", "it is replaced within two minutes; if not, see its log")
        for runner in silent
    ]
    if not heard:
        return [*found, bad("no runner is heard", "see the runners' log and the service's events")]
    found.append(ok(f"{len(heard)} runner(s), {sum(len(runner.assigned) for runner in heard)} sessions"))
    found += _same("commit", (runner.commit for runner in heard), commit, f"old ones drain one by one; else {again}")
    found += _same("wa-js", (runner.wa_js for runner in heard), wa_js, f"{again}, so that runners have this checkout's")
    found += _same("Chromium", (runner.chromium for runner in heard), "", f"{again}, so that all have the same")
    return found


def _same(what: str, seen: Iterable[str], wanted: str, mend: str) -> list[Finding]:
    """All alike, and as wanted if that is known."""
    counted = Counter(each or "unknown" for each in seen)
    told = ", ".join(f"{each}" + (f" ×{count}" if len(counted) > 1 else "") for each, count in sorted(counted.items()))
    if len(counted) == 1 and (not wanted or wanted in counted):
        return [ok(f"runners' {what}: {told}")]
    return [bad(f"runners' {what}: {told}" + (f", and {wanted} here" if wanted else ""), mend)]


def look_at_secrets(kms: Any, key: str, lines: Lines) -> list[Finding]:
    """The key is enabled, and would open every tenant's ciphertext; nothing is opened."""
    state = kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    if state != "Enabled":
        return [bad(f"the KMS key is {state}", "enable it (or cancel its deletion) in the KMS console, at once")]
    found, asked = [], 0
    for tenant, _ in lines.tenants:
        if not tenant.key_ciphertext:
            continue
        answer = _would_open(kms, key, tenant)
        if answer in DENIED:
            what = "the KMS key is enabled; whether it opens every tenant's OpenAI key"
            return [unknown(what, "these credentials may not decrypt, which is as it should be")]
        asked += 1
        if answer in FOREIGN:
            mend = "enter its OpenAI key again"
            found.append(bad(f"  {tenant.id}: its OpenAI key was locked with another KMS key", mend))
        elif answer != WOULD_WORK:
            found.append(unknown(f"  {tenant.id}: KMS answered {answer}"))
    return found or [ok(f"the KMS key is enabled and opens all {asked} OpenAI keys")]


def _would_open(kms: Any, key: str, tenant: Tenant) -> str:
    """KMS's answer to a dry run, by its name."""
    context = {"tenant": tenant.id, "field": FIELD}
    try:
        kms.decrypt(KeyId=key, CiphertextBlob=b64decode(tenant.key_ciphertext), EncryptionContext=context, DryRun=True)
    except ClientError as error:
        return str(error.response.get("Error", {}).get("Code"))
    return WOULD_WORK
