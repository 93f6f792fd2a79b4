"""Checks of the tenants' lines and of the runners, read from the table: does everything that should run, run?"""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws.kms import FIELD
from chalicelib.model import Runner, Session, Tenant, should_run
from chalicelib.model.saved_state import saved_state
from chalicelib.model.turn_rules.outcomes import NO_TURNS, TurnOutcomes
from chalicelib.store.conversation.ended_turns import EndedTurns
from chalicelib.store.runners import Runners
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from infrastructure.checks import DENIED, CheckResult, bad, counted, ok, unknown

#: The remaining lines are counted, not listed.
MAX_LISTED = 20
#: A runner that is silent is reaped, and its sessions placed anew, within two minutes; the rest is patience.
REPLACED_WITHIN_MS = 150_000
#: The error code with which KMS answers a dry run that would have worked.
WOULD_WORK = "DryRunOperationException"
#: The error codes for a ciphertext of another key.
FOREIGN = frozenset({"IncorrectKeyException", "InvalidCiphertextException", "NotFoundException"})


@dataclass(frozen=True)
class Lines:
    """The tenants and runners in the table at one moment, and what became of the turns that ended lately."""

    tenants: list[tuple[Tenant, Session]]
    runners: list[Runner]
    #: epoch milliseconds
    now: int
    outcomes: TurnOutcomes = NO_TURNS


def read(dynamodb: Any, table: str, now: int, pause: Callable[[float], None]) -> Lines:
    """Reads tenants, runners and the counts of turns, with two queries and a batch."""
    opened = Table(dynamodb, table, pause)
    tenants = Tenants(opened, Timeline(opened)).list_all()
    return Lines(tenants, list(Runners(opened).alive()), now, EndedTurns(opened).lately(now))


def check_tenants(lines: Lines) -> list[CheckResult]:
    """Checks that each tenant that should run is online, or shows its owner a code."""
    running = [(tenant, session) for tenant, session in lines.tenants if should_run(tenant.state, session, lines.now)]
    down = [(tenant, session) for tenant, session in running if not session.up]
    of_all = f"({counted(len(lines.tenants), 'tenant')})"
    subject = f"{len(running) - len(down)} of {counted(len(running), 'line')} that should run do {of_all}"
    results = [ok(subject)] if not down else [bad(subject, "see each below")]
    for tenant, session in down[:MAX_LISTED]:
        where = f"runner {session.runner}" if session.runner else "no runner: is there room?"
        problem = f", problem {session.problem.code}" if session.problem else ""
        results.append(bad(f"  {tenant.id} is {session.phase} ({where}{problem})", "see its page in the admin"))
    if len(down) > MAX_LISTED:
        results.append(bad(f"  and {len(down) - MAX_LISTED} more", "see the admin"))
    for tenant, session in lines.tenants:
        # One that is down was named above, with its problem.
        of_session = session.problem if session.up and should_run(tenant.state, session, lines.now) else None
        problems = (of_session, tenant.assistant_problem, tenant.mail_problem)
        results += [
            bad(f"  {tenant.id}: {problem.code}", "its page in the admin says what to do")
            for problem in problems
            if problem
        ]
    return results


def check_saved(lines: Lines) -> list[CheckResult]:
    """Checks that the logins of the lines that run are saved: a machine that is lost must cost no login."""
    runners = {runner.id: runner for runner in lines.runners}
    states = [
        (tenant.id, state)
        for tenant, session in lines.tenants
        if should_run(tenant.state, session, lines.now)
        and (state := saved_state(session, runners.get(session.runner or ""), lines.now)) is not None
    ]
    late = [(tenant, state) for tenant, state in states if state.is_behind or state.problem]
    subject = f"{len(states) - len(late)} of {len(states)} logins are saved"
    if not late:
        return [ok(subject)]
    results = [bad(subject, "see each below; docs/runbook.md#not-saved")]
    for tenant, state in late[:MAX_LISTED]:
        sentence, _, fix = state.sentence(lines.now).rstrip(".").partition(": ")
        results.append(bad(f"  {tenant}: {sentence}", fix or "see its page in the admin"))
    if len(late) > MAX_LISTED:
        results.append(bad(f"  and {len(late) - MAX_LISTED} more", "see the admin"))
    return results


def check_outcomes(lines: Lines) -> CheckResult:
    """Checks that few of the turns that ended lately were given up; CloudWatch has the same rule as an alarm."""
    outcomes = lines.outcomes
    subject = f"{outcomes.given_up} of {counted(outcomes.ended, 'turn')} that ended lately were given up"
    if not outcomes.are_bad:
        return ok(subject)
    return bad(subject, "the lines turn_given_up of the log say why; docs/runbook.md#given-up-often")


def check_runners(lines: Lines, *, commit: str, wa_js: str, again: str) -> list[CheckResult]:
    """Checks that the runners send heartbeats, are of this commit, and all have the same browser."""
    silent = [runner for runner in lines.runners if runner.lease_until <= lines.now]
    alive = [runner for runner in lines.runners if runner.lease_until > lines.now]
    results = [_check_silent(runner, lines.now, replaced=bool(alive)) for runner in silent]
    full = [runner for runner in alive if runner.disk_full]
    results += [
        bad(f"the disk of runner {runner.id} is full: it saves no login", "make room, or start one on another disk")
        for runner in full
    ]
    if not alive:
        return [*results, bad("no runner is alive", "see the runners' log and the service's events")]
    sessions = sum(len(runner.assigned) for runner in alive)
    results.append(ok(f"{counted(len(alive), 'runner')}, {counted(sessions, 'session')}"))
    results += _check_equal(
        "commit", (runner.commit for runner in alive), commit, f"old ones drain one by one; else {again}"
    )
    results += _check_equal(
        "wa-js", (runner.wa_js for runner in alive), wa_js, f"{again}, so that runners have this checkout's"
    )
    results += _check_equal(
        "Chromium", (runner.chromium for runner in alive), "", f"{again}, so that all have the same"
    )
    return results


def _check_silent(runner: Runner, now: int, *, replaced: bool) -> CheckResult:
    """Checks a runner without a heartbeat. After a restart that is the former one, which is reaped soon."""
    subject = f"runner {runner.id} is silent"
    if replaced and now - runner.lease_until < REPLACED_WITHIN_MS:
        return unknown(subject, "its lines move to another one within two minutes")
    return bad(subject, "it is replaced within two minutes; if not, see its log")


def _check_equal(what: str, seen: Iterable[str], expected: str, fix: str) -> list[CheckResult]:
    """Checks that all are the same, and the expected one if that is known."""
    counted = Counter(each or "unknown" for each in seen)
    listed = ", ".join(
        f"{each}" + (f" ×{count}" if len(counted) > 1 else "") for each, count in sorted(counted.items())
    )
    if len(counted) == 1 and (not expected or expected in counted):
        return [ok(f"runners' {what}: {listed}")]
    return [bad(f"runners' {what}: {listed}" + (f", and {expected} here" if expected else ""), fix)]


def check_secrets(kms: Any, key: str, lines: Lines) -> list[CheckResult]:
    """Checks that the key is enabled and would decrypt every tenant's OpenAI key; nothing is decrypted."""
    state = kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    if state != "Enabled":
        return [bad(f"the KMS key is {state}", "enable it (or cancel its deletion) in the KMS console, at once")]
    results, asked = [], 0
    for tenant, _ in lines.tenants:
        if not tenant.key_ciphertext:
            continue
        answer = _dry_run(kms, key, tenant)
        if answer in DENIED:
            subject = "the KMS key is enabled; whether it decrypts every tenant's OpenAI key"
            return [unknown(subject, "these credentials may not decrypt, which is as it should be")]
        asked += 1
        if answer in FOREIGN:
            fix = "enter its OpenAI key again"
            results.append(bad(f"  {tenant.id}: its OpenAI key was encrypted with another KMS key", fix))
        elif answer != WOULD_WORK:
            results.append(unknown(f"  {tenant.id}: KMS answered {answer}"))
    return results or [ok(f"the KMS key is enabled and decrypts all {asked} OpenAI keys")]


def _dry_run(kms: Any, key: str, tenant: Tenant) -> str:
    """The error code of KMS for a decryption that is only tried."""
    context = {"tenant": tenant.id, "field": FIELD}
    try:
        ciphertext = b64decode(tenant.key_ciphertext)
    except ValueError:
        return "InvalidCiphertextException"
    try:
        kms.decrypt(KeyId=key, CiphertextBlob=ciphertext, EncryptionContext=context, DryRun=True)
    except ClientError as error:
        return str(error.response.get("Error", {}).get("Code"))
    return WOULD_WORK
