"""Faults of the mail: SES refuses, hangs, is slow or loses answers while there is news; and what was not sent."""

from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from chalicelib.model.notices.kinds import NoticeKind, Recipient
from chalicelib.model.notices.notice import News, NewsState, next_step
from chalicelib.notifications import notice_jobs
from chalicelib.store.notifications.notices import news_writes
from chalicelib.wiring import Services
from infrastructure.local.aws import REGION, Aws
from tests.chaos.faulty_proxy import FaultMode, Sign
from tests.chaos.lines import Line
from tests.chaos.scene import Injection, Scene

MAIL = "mail"
FAILS_SECONDS = (10.0, 40.0)
#: One for the owner, one for the operators: nothing in a run makes or ends them but this fault.
KINDS = (NoticeKind.PAGE_TAKEN_OVER, NoticeKind.MAIL_BOUNCED)


def mail_fails(scene: Scene) -> Injection:
    """Makes SES fail for 10 to 40 s while three lines have news; no line may be away because of it."""
    mode = scene.rng.choice((FaultMode.REFUSING, FaultMode.HALF, FaultMode.DEAD, FaultMode.SLOW, FaultMode.SILENT))
    scene.mail.set(mode)
    services = scene.services
    news = [
        News(line.tenant, kind, NewsState.OPEN, services.clock())
        for line in scene.rng.sample(scene.lines, 3)
        for kind in KINDS
    ]
    services.table.transact(*news_writes(news))
    notice_jobs.request_sending(services, news)
    return Injection(
        "SES fails",
        mode.value,
        scene.all_tenants,
        scene.rng.uniform(*FAILS_SECONDS),
        lambda: scene.mail.set(FaultMode.FINE),
        exclusive_group=MAIL,
    )


def unsent(services: Services, lines: list[Line]) -> list[str]:
    """Returns the notices that are due and were not sent: tenant, audience and kind."""
    now = services.clock()
    found = []
    for line in lines:
        for recipient in (Recipient.OWNER, Recipient.OPERATORS):
            for notice in services.notices.of_tenant(line.tenant, recipient):
                step = next_step(notice)
                if step is not None and step.at <= now:
                    found.append(f"{line.tenant} {recipient} {notice.kind}")
    return found


def signer(aws: Aws) -> Sign:
    """Returns what signs a call anew for MiniStack's door: its caller signed it for the proxy's address."""
    credentials = Credentials(aws.key_id, aws.secret)

    def sign(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        kept = {name: value for name, value in headers.items() if name.lower() in ("content-type", "accept")}
        request = AWSRequest(method, url, kept, body)
        SigV4Auth(credentials, "ses", REGION).add_auth(request)
        return dict(request.headers)

    return sign
