"""What a rehearsal does not do as AWS would, with the reason; what MiniStack gets wrong is in ``corrections.py``."""

from collections.abc import Mapping
from typing import Final

#: Types that MiniStack's CloudFormation does not know: they are accepted, and nothing is made.
#: A type that is missing here, and that MiniStack does not know either, ends the rehearsal.
NOTHING_IS_MADE: Final[Mapping[str, str]] = {
    "AWS::CloudWatch::CompositeAlarm": "the alarms that it is made of are there",
    "AWS::ECS::ClusterCapacityProviderAssociations": "MiniStack has FARGATE and FARGATE_SPOT without being told",
    "AWS::Logs::QueryDefinition": "saved queries are for people in the console",
}

#: What is bent around the template, which itself is deployed as it is; for people to read.
BENT: Final[tuple[str, ...]] = (
    "The names of AWS and OpenAI lead to this machine: HTTPS_PROXY, and one certificate that is trusted for them.",
    "A runner is a process of this checkout instead of a container: no image is built or pulled, nothing is read-only,"
    " there is no network around it, nobody asks its health check, and its browser takes the simulator for WhatsApp.",
    "ECR holds images of nothing but their commit. Releases differ by commit and image; what runs is this checkout.",
    "CloudFormation does not wait until the old runners are gone: an update of the service is complete at once.",
    "Functions run on this machine's processor, without Lambda's limits of memory and of how many run at once.",
    "Nobody ends a function that starts itself: MiniStack follows no chain through a queue, nor knows `RecursiveLoop`.",
    "S3 seals nothing with KMS, so `kms:ViaService` is not tried.",
    "SES believes every domain at once, and delivers into the outbox.",
    "Alarms, dashboards and budgets are made, and nobody looks at them.",
    "Operators may do without an authenticator app (OPERATORS_MFA=OPTIONAL).",
    "No domain and no firewall: both are off unless they are asked for.",
)
