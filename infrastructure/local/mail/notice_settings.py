"""The settings of notices on one machine, as the application parses them too: who gets them, when, and where else."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class NoticeSettings:
    """The people who are notified besides the first operator, and how."""

    #: everybody who gets the operators' mail, with commas between them; empty: the first operator
    operators_email: str = ""
    #: when only what cannot wait is sent, as ``22:00-07:00 Europe/Berlin``
    quiet_hours: str = ""
    #: the address of the operators' webhook, a secret
    webhook: str = field(default="", repr=False)


def parse_notices(operators: str, quiet_hours: str, webhook: str) -> NoticeSettings:
    """Returns the settings. Raises ValueError with a sentence that names the setting, and never the secret."""
    # Not above: a child of the stack has not got the application on its path.
    from chalicelib.model.mail_address import parse_recipients
    from chalicelib.model.notices.quiet_hours import parse_quiet_hours
    from chalicelib.model.public_address import unfit_reason

    try:
        addresses = ",".join(parse_recipients(operators))
    except ValueError as error:
        raise ValueError(f"OPERATOR_EMAIL={operators}: {error}.") from None
    try:
        parse_quiet_hours(quiet_hours)
    except ValueError as error:
        raise ValueError(f"QUIET_HOURS={quiet_hours}: {error}.") from None
    if webhook and (reason := unfit_reason(webhook)):
        raise ValueError(f"OPERATORS_WEBHOOK: {reason}; give the https:// address that Slack, or the like, shows.")
    return NoticeSettings(addresses, quiet_hours, webhook)
