"""Composition of the services: the only module that reads the environment and that creates boto3 clients.

Importing it does nothing; each service is created at its first use.
"""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.aws.cognito import Identity
from chalicelib.aws.ecs import Fleet
from chalicelib.aws.kms import KeyEncryption
from chalicelib.aws.s3 import Blobs
from chalicelib.aws.ses import Mailer
from chalicelib.aws.sqs import Jobs, NoticeJobs
from chalicelib.aws.ssm import CACHED_FOR_MS, Parameters
from chalicelib.errors import NotDeployed
from chalicelib.installation import Installation
from chalicelib.model.public_address import unfit_reason
from chalicelib.store.assistant_checks import AssistantChecks
from chalicelib.store.assistant_versions import AssistantVersions
from chalicelib.store.conversation.automatic_texts import AutomaticTexts
from chalicelib.store.conversation.changes import MessageChanges
from chalicelib.store.conversation.chats import Chats
from chalicelib.store.conversation.due_checks import DueChecks
from chalicelib.store.conversation.ended_turns import EndedTurns
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.conversation.unanswered import UnansweredMessages
from chalicelib.store.counters import Counters
from chalicelib.store.drains import Drains
from chalicelib.store.fleet.line_list import LineList
from chalicelib.store.fleet.tasks import Tasks
from chalicelib.store.invites import Invites
from chalicelib.store.notifications.digests import Digests
from chalicelib.store.notifications.notices import Notices
from chalicelib.store.operators import Operators
from chalicelib.store.placement import Placement
from chalicelib.store.reaping import Reaping
from chalicelib.store.runners import Runners
from chalicelib.store.sessions import Sessions
from chalicelib.store.setup import Setup
from chalicelib.store.slots import Slots
from chalicelib.store.snapshots import Snapshots
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline

if TYPE_CHECKING:
    from boto3 import Session as BotoSession

    from chalicelib.llm.client import LlmClient


class Services(Installation):
    """Container of all services that a route or an event handler uses.

    Args:
        environment: usually ``os.environ``.
        clock: returns the time as epoch milliseconds.
        token: returns a new 256-bit secret, URL-safe.
        pause: sleeps for this many seconds.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(32),
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(environment)
        self.clock = clock
        self.token = token
        self.pause = pause

    # -- this installation's parameters -------------------------------------------------------------------------

    def base_url(self) -> str:
        """Returns the public address for links, with the stage's prefix and without a trailing slash.

        Raises NotDeployed rather than returning an address that cannot be opened from outside.
        """
        name = self._required("BASE_URL_PARAMETER")
        address = self.parameters.get(name).strip().rstrip("/")
        reason = unfit_reason(address, allow_local=self._allow_local_links)
        if reason is not None:
            raise NotDeployed(f"The public address in the parameter {name} cannot be used: {reason}.")
        return address

    def runner_token(self, *, max_age_ms: int = CACHED_FOR_MS) -> str:
        """Returns the bootstrap token with which a new runner registers, at most so many milliseconds old."""
        return self.parameters.get(self._required("RUNNER_TOKEN_PARAMETER"), max_age_ms=max_age_ms)

    def webhook_url(self) -> str:
        """Returns the address of the operators' webhook, which is a secret; empty where there is none."""
        name = self._environment.get("OPERATORS_WEBHOOK_PARAMETER", "")
        with suppress(NotDeployed):
            return self.parameters.get(name).strip() if name else ""
        return ""

    def post_webhook(self, url: str, body: bytes) -> int:
        """Posts a body to the webhook, and returns its HTTP status."""
        from chalicelib.notifications.webhook import post  # only one function posts

        return post(url, body, time.monotonic)

    def unfit_address(self) -> str | None:
        """Returns the reason, a phrase, why people outside cannot open the public address; None if they can."""
        return unfit_reason(self.base_url())

    # -- services --------------------------------------------------------------------------------------------

    @cached_property
    def table(self) -> Table:
        return Table(self._client("dynamodb"), self._required("TABLE_NAME"), self.pause)

    @cached_property
    def timeline(self) -> Timeline:
        return Timeline(self.table)

    @cached_property
    def tenants(self) -> Tenants:
        return Tenants(self.table, self.timeline)

    @cached_property
    def line_list(self) -> LineList:
        return LineList(self.table)

    @cached_property
    def assistant_versions(self) -> AssistantVersions:
        return AssistantVersions(self.table)

    @cached_property
    def assistant_checks(self) -> AssistantChecks:
        return AssistantChecks(self.table)

    @cached_property
    def invites(self) -> Invites:
        return Invites(self.table, self.timeline)

    @cached_property
    def operators(self) -> Operators:
        return Operators(self.table)

    @cached_property
    def setup(self) -> Setup:
        return Setup(self.table)

    @cached_property
    def notices(self) -> Notices:
        return Notices(self.table)

    @cached_property
    def digests(self) -> Digests:
        return Digests(self.table)

    @cached_property
    def counters(self) -> Counters:
        return Counters(self.table)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.table, self.runners)

    @cached_property
    def placement(self) -> Placement:
        return Placement(
            self.table, self.runners, self.sessions, self.release, self.runner_capacity, scale_out=self.fleet.scale_out
        )

    @cached_property
    def reaping(self) -> Reaping:
        return Reaping(self.placement, self.tasks)

    @cached_property
    def runners(self) -> Runners:
        return Runners(self.table, self.release)

    @cached_property
    def tasks(self) -> Tasks:
        return Tasks(self.table, self.runners)

    @cached_property
    def drains(self) -> Drains:
        return Drains(self.table, self.runners)

    @cached_property
    def chats(self) -> Chats:
        return Chats(self.table)

    @cached_property
    def turns(self) -> Turns:
        return Turns(self.table)

    @cached_property
    def ended_turns(self) -> EndedTurns:
        return EndedTurns(self.table)

    @cached_property
    def due_checks(self) -> DueChecks:
        return DueChecks(self.table, self.token)

    @cached_property
    def unanswered(self) -> UnansweredMessages:
        return UnansweredMessages(self.table)

    @cached_property
    def automatic_texts(self) -> AutomaticTexts:
        return AutomaticTexts(self.table, self.timeline)

    @cached_property
    def message_changes(self) -> MessageChanges:
        return MessageChanges(self.table)

    @cached_property
    def slots(self) -> Slots:
        return Slots(self.table)

    @cached_property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.table, self.sessions)

    @cached_property
    def blobs(self) -> Blobs:
        # A link must carry the bucket's own region: the default host redirects, and that breaks a signature.
        signing = {"signature_version": "s3v4", "s3": {"addressing_style": "virtual"}}
        return Blobs(self._client("s3", **signing), self._required("BUCKET_NAME"), self._required("KMS_KEY_ID"))

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self._client("sqs"), self._required("JOBS_QUEUE_NAME"))

    @cached_property
    def notice_jobs(self) -> NoticeJobs:
        brief = {"connect_timeout": 1, "read_timeout": 2, "retries": {"mode": "standard", "total_max_attempts": 2}}
        return NoticeJobs(self._client("sqs", **brief), self._required("NOTICES_QUEUE_NAME"))

    @cached_property
    def key_encryption(self) -> KeyEncryption:
        return KeyEncryption(self._client("kms"), self._required("KMS_KEY_ID"))

    @cached_property
    def mailer(self) -> Mailer:
        # A caller waits: a page at most 29 s, and the function that sends notices has others to send.
        brief = {"connect_timeout": 2, "read_timeout": 8, "retries": {"mode": "standard", "total_max_attempts": 2}}
        return Mailer(
            self._client("sesv2", **brief),
            sender=self._required("MAIL_FROM"),
            configuration_set=self.mail_configuration_set or None,
            allow_local_links=self._allow_local_links,
        )

    @cached_property
    def identity(self) -> Identity:
        client_id = self.parameters.get(self._required("COGNITO_CLIENT_PARAMETER"))
        user_pool = self.parameters.get(self._required("COGNITO_POOL_PARAMETER"))
        return Identity(self._client("cognito-idp"), client_id=client_id, user_pool=user_pool)

    @cached_property
    def fleet(self) -> Fleet:
        return Fleet(
            self._client("ecs"),
            cluster=self._required("ECS_CLUSTER"),
            service=self._required("ECS_SERVICE"),
            clock=self.clock,
        )

    @cached_property
    def parameters(self) -> Parameters:
        return Parameters(self._client("ssm"), clock=self.clock)

    @cached_property
    def llm(self) -> "LlmClient":
        # Only two functions ask OpenAI, and its outcomes are many patterns to compile at each cold start.
        from chalicelib.llm.client import OPENAI, LlmClient

        return LlmClient(
            self._environment.get("OPENAI_BASE_URL") or OPENAI,
            servers=self.openai_servers,
            effort_found=lambda tenant, assistant, effort: self.assistant_versions.store_found_effort(
                tenant, assistant.version, effort
            ),
        )

    # -- composition ------------------------------------------------------------------------------------------

    @property
    def _allow_local_links(self) -> bool:
        return self._environment.get("ALLOW_LOCAL_LINKS") == "true"

    @cached_property
    def _session(self) -> "BotoSession":
        import boto3

        return boto3.Session(region_name=self._environment.get("AWS_REGION") or None)

    def _client(self, name: str, **more: Any) -> Any:
        from botocore.config import Config

        # A page's whole call ends after 29 s: one service that hangs answers with an error before.
        usual = {"connect_timeout": 2, "read_timeout": 6, "retries": {"mode": "standard", "total_max_attempts": 3}}
        return self._session.client(name, config=Config(**{**usual, **more}))  # type: ignore[call-overload]


def from_environment() -> Services:
    """Returns the services of this process."""
    return Services(os.environ)
