"""AWS's list prices in one region, each with its page and whether another source confirms it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

REGION: Final = "us-east-1 (N. Virginia)"
AS_OF: Final = "November 2026"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one unit."""

    dollars: float
    unit: str
    #: a path below https://aws.amazon.com/, or a whole address
    page: str
    #: Quoted for this region by another source in 2024 to 2026; otherwise the list price as generally known.
    confirmed: bool = True

    @property
    def address(self) -> str:
        """The address of its page."""
        return self.page if "://" in self.page else f"https://aws.amazon.com/{self.page}/pricing/"


FARGATE_VCPU_HOUR: Final = {
    "arm64": Price(0.03238, "vCPU-hour, arm64", "fargate"),
    "x86_64": Price(0.04048, "vCPU-hour, x86-64", "fargate"),
}
FARGATE_GB_HOUR: Final = {
    "arm64": Price(0.00356, "GB-hour, arm64", "fargate"),
    "x86_64": Price(0.004445, "GB-hour, x86-64", "fargate"),
}
LAMBDA_GB_SECOND: Final = {
    "arm64": Price(0.0000133334, "GB-second, arm64", "lambda"),
    "x86_64": Price(0.0000166667, "GB-second, x86-64", "lambda"),
}
LAMBDA_REQUEST: Final = Price(0.20e-6, "request", "lambda")
PUBLIC_IPV4_HOUR: Final = Price(0.005, "address and hour", "vpc")
API_REQUEST: Final = Price(3.50e-6, "REST request (the first 333 million of a month)", "api-gateway")
TABLE_WRITE_UNIT: Final = Price(0.625e-6, "write unit on demand", "dynamodb")
TABLE_READ_UNIT: Final = Price(0.125e-6, "read unit on demand", "dynamodb")
TABLE_GB_MONTH: Final = Price(0.25 + 0.20, "GB and month, with point-in-time recovery", "dynamodb")
S3_GB_MONTH: Final = Price(0.023, "GB and month", "s3")
S3_WRITE: Final = Price(5e-6, "PUT", "s3", confirmed=False)
S3_READ: Final = Price(0.4e-6, "GET or HEAD", "s3", confirmed=False)
LOG_GB: Final = Price(0.50, "GB of logs taken in", "cloudwatch")
LOG_GB_MONTH: Final = Price(0.03, "GB of logs and month", "cloudwatch", confirmed=False)
METRIC_MONTH: Final = Price(0.30, "metric and month", "cloudwatch")
ALARM_MONTH: Final = Price(0.10, "metric of an alarm and month", "cloudwatch")
COMPOSITE_ALARM_MONTH: Final = Price(0.50, "composite alarm and month", "cloudwatch", confirmed=False)
DASHBOARD_MONTH: Final = Price(3.00, "dashboard and month", "cloudwatch")
KEY_MONTH: Final = Price(1.00, "key and month", "kms")
KEY_REQUEST: Final = Price(0.03 / 10_000, "request", "kms")
QUEUE_REQUEST: Final = Price(0.40e-6, "request", "sqs")
#: The plan that accounts new to SES have had since 21 July 2026.
MAIL: Final = Price(0.16e-3, "mail, Essentials plan", "ses")
IMAGE_GB_MONTH: Final = Price(0.10, "GB of images and month", "ecr", confirmed=False)
#: Traffic between two public addresses of one region costs less, and is counted in full here.
OUT_GB: Final = Price(0.09, "GB out", "https://aws.amazon.com/ec2/pricing/on-demand/")
#: The prices that OpenAI charges the tenant's own account (https://platform.openai.com/docs/pricing), gpt-6-luna.
MODEL_INPUT_TOKEN: Final = Price(0.10e-6, "input token", "https://platform.openai.com/docs/pricing")
MODEL_OUTPUT_TOKEN: Final = Price(0.50e-6, "output token", "https://platform.openai.com/docs/pricing")


def every() -> Iterator[Price]:
    """Lists the prices, in the order of this file."""
    for value in globals().values():
        if isinstance(value, Price):
            yield value
        elif isinstance(value, dict):
            yield from (each for each in value.values() if isinstance(each, Price))
