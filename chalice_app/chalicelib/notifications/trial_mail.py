"""The test mail of the setup: sent to an operator, and known to have arrived once its link is opened."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.errors import AnswerlineError
from chalicelib.model import milliseconds
from chalicelib.store.setup import TrialMail
from chalicelib.tokens import sha256

if TYPE_CHECKING:
    from chalicelib.wiring import Services

#: Nobody needs two test mails within this time.
PAUSE: Final = timedelta(seconds=20)


def seconds_until_another(mail: TrialMail | None, now: int) -> int:
    """Returns for how many seconds no other test mail is sent; 0 if one may be sent now."""
    if mail is None:
        return 0
    left = mail.sent_at + milliseconds(PAUSE) - now
    return -(-left // 1000) if 0 < left <= milliseconds(PAUSE) else 0


def send_trial_mail(services: "Services", operator: str) -> bool:
    """Sends the operator a test mail; False if one was sent just before. A refusal stands in the record."""
    now, token = services.clock(), services.token()
    mail = TrialMail(operator, now, sha256(token), kept=bool(services.setup_advice.mailbox))
    if not services.setup.claim_mail(mail, not_since=now - milliseconds(PAUSE)):
        return False
    try:
        services.mailer.trial(operator, f"{services.base_url()}/admin/setup/mail/{token}", mail.token_sha256)
    except AnswerlineError as error:
        services.setup.record_mail_error(mail.token_sha256, error.message)
    return True
