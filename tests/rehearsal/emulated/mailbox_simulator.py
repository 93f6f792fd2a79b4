"""SES's mailbox simulator, and the events of a configuration set, which MiniStack stores and never sends.

https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html
"""

import json
import time
from email.utils import parseaddr
from typing import Any

from infrastructure.local.lambda_runtime.events import mail_bounced_event

#: A mail to this address bounces for good.
BOUNCES = "bounce@simulator.amazonses.com"
#: The code with which its mail server refuses: there is no such mailbox.
NO_SUCH_MAILBOX = 550
SEND_MAIL = "/v2/email/outbound-emails"


def bounces_are_published_to_the_event_bus() -> None:
    """A mail that bounces becomes an event, if its configuration set sends bounces to EventBridge."""
    from ministack.services import eventbridge, ses_v2

    handle = ses_v2.handle_request

    async def handle_and_publish(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        answer = await handle(method, path, headers, body, query)
        if method == "POST" and path.rstrip("/") == SEND_MAIL and answer[0] == 200:
            event = _bounce(ses_v2, json.loads(body), str(json.loads(answer[2])["MessageId"]))
            if event is not None:
                entry = {
                    "Source": event["source"],
                    "DetailType": event["detail-type"],
                    "Resources": [],
                    "Detail": json.dumps(event["detail"]),
                }
                eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        return answer

    ses_v2.handle_request = handle_and_publish


def _bounce(ses: Any, request: dict[str, Any], identifier: str) -> dict[str, Any] | None:
    """Returns the event about this mail; None if it arrives, or if nobody asked for events about it."""
    to = [each for each in request["Destination"]["ToAddresses"] if parseaddr(each)[1].casefold() == BOUNCES]
    name = request.get("ConfigurationSetName", "")
    destinations = ses._config_sets.get(name, {}).get("EventDestinations", {})
    heard = any(
        each.get("Enabled") and "BOUNCE" in each["MatchingEventTypes"] and each.get("EventBridgeDestination")
        for each in destinations.values()
    )
    if not to or not heard:
        return None
    tags = {each["Name"]: each["Value"] for each in request.get("EmailTags", [])}
    return mail_bounced_event(identifier, to, {**tags, "ses:configuration-set": name}, NO_SUCH_MAILBOX, time.time())
