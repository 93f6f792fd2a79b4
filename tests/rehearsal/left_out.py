"""Differences between a rehearsal and AWS, with the reasons; MiniStack's errors are fixed in ``corrections.py``."""

from collections.abc import Mapping
from typing import Final

#: Types that MiniStack's CloudFormation does not know: they are accepted, and nothing is created.
#: A type that is missing here, and that MiniStack does not know either, ends the rehearsal.
NOTHING_IS_MADE: Final[Mapping[str, str]] = {
    "AWS::CloudWatch::CompositeAlarm": "the alarms that it combines exist",
    "AWS::ECS::ClusterCapacityProviderAssociations": "MiniStack has FARGATE and FARGATE_SPOT anyway",
    "AWS::Logs::QueryDefinition": "saved queries are for people in the console",
}

#: Differences around the template, which itself is deployed unchanged; printed for people.
DIFFERENCES: Final[tuple[str, ...]] = (
    "The names of AWS and OpenAI lead to this machine: HTTPS_PROXY, and one certificate that is trusted for them.",
    "A runner is a process instead of a container: no image is built or pulled, nothing is read-only, it has no network"
    " of its own, its health check is never run, and its browser takes the simulator for WhatsApp.",
    "ECR has images without layers, which name a commit and the folder of its code. Without FROM, both releases of an"
    " upgrade are this checkout.",
    "A former release runs with the Python packages of this checkout, and is deployed by this checkout's commands.",
    "CloudFormation does not wait until the old runners have ended: an update of the service is complete at once.",
    "Functions run on this machine's processor, without Lambda's limits of memory and of how many run at once.",
    "A function that starts itself is not stopped: MiniStack follows no chain through a queue, nor `RecursiveLoop`.",
    "S3 encrypts nothing with KMS, so `kms:ViaService` is not tested.",
    "SES verifies every domain at once, and delivers into the outbox. Only mails to its mailbox simulator bounce, and"
    " only bounces become events (emulated/mailbox_simulator.py).",
    "Alarms, dashboards and budgets are created, and never evaluated.",
    "Cognito's steps of setting up an authenticator app are played (emulated/authenticator_apps.py). Whether it takes a"
    " code twice, and how many wrong ones, only AWS shows.",
    "The API's throttles are stored and never applied. Whether API Gateway counts a stranger's call before it refuses"
    " the token, and what is left of the account's quota meanwhile, only AWS shows.",
    "Python matches the pattern of runners' tokens, and not API Gateway or AWS WAF, whose expressions are others.",
    "The endpoint of the runners' network is a second port: its routes and its own policy are not tested.",
    "There is no domain and no firewall: both are off unless an operator sets them. No limit of an address is tested.",
)
