"""`make cost`: the monthly costs of an installation, as a table in Markdown with its assumptions."""

import argparse
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import fields

from infrastructure.cost import model, prices
from infrastructure.cost.model import Assumed, Cost, cost

TENANTS_SHOWN = (5, 50, 500)
#: The width of docs/costs.md.
LINE = 118
COLUMNS = (
    "tenants",
    "runners",
    "Fargate",
    "their addresses",
    "API, Lambda, queue",
    "DynamoDB",
    "snapshots (S3)",
    "CloudWatch",
    "the rest",
    "**a month**",
    "**on Spot**",
    "a tenant",
    "*their OpenAI bills*",
)


def main(arguments: Sequence[str]) -> int:
    """Prints the table or the price list."""
    parser = argparse.ArgumentParser(prog="make cost", description=__doc__)
    parser.add_argument("--tenants", type=_positive, action="append", help="how many tenants; may be repeated")
    for each in fields(Assumed):
        name = "--" + each.name.replace("_", "-")
        parser.add_argument(
            name,
            type=_amount,
            default=each.default,
            help=each.metadata["sentence"].format(each.default).replace("%", "%%"),
        )
    parser.add_argument("--prices", action="store_true", help="print the price list instead")
    given = vars(parser.parse_args(arguments))
    tenants, wants_prices = given.pop("tenants") or TENANTS_SHOWN, given.pop("prices")
    try:
        print(price_list() if wants_prices else report(tenants, Assumed(**given)))
    except ValueError as wrong:
        parser.error(str(wrong))
    return 0


def report(tenants: Sequence[int], assumed: Assumed) -> str:
    """The table and what it assumes, as they stand in docs/costs.md."""
    heads = [f"| {' | '.join(COLUMNS)} |", f"|{'---:|' * len(COLUMNS)}"]
    rows = [_row(cost(each, assumed), cost(each, assumed, spot=True)) for each in tenants]
    return "\n".join([*heads, *rows, "", *_assumptions(tenants, assumed)])


def price_list() -> str:
    """Returns every price with its page, marked if it is unconfirmed."""
    lines = [
        f"List prices of {prices.REGION}, {prices.AS_OF}, in US dollars.",
        "",
        "| price | for one | page |",
        "|---:|---|---|",
    ]
    for price in prices.every():
        tiny = price.dollars < 0.001
        amount = f"{price.dollars * 1e6:.7g}" if tiny else f"{price.dollars:g}"
        unit = f"{'million times ' if tiny else ''}{price.unit}{'' if price.confirmed else ' (unconfirmed)'}"
        lines.append(f"| {amount} | {unit} | {price.address} |")
    return "\n".join(lines)


def _row(usual: Cost, on_spot: Cost) -> str:
    parts = (usual.fargate, usual.addresses, usual.calls, usual.table, usual.snapshots, usual.watching, usual.rest)
    cells = [
        f"{usual.tenants}",
        f"{usual.runners}",
        *map(_dollars, parts),
        f"**{_dollars(usual.total)}**",
        f"**{_dollars(on_spot.total)}**",
        f"${usual.total / usual.tenants:.2f}",
        f"*{_dollars(usual.openai)}*",
    ]
    return f"| {' | '.join(cells)} |"


def _assumptions(tenants: Sequence[int], assumed: Assumed) -> Iterator[str]:
    sentences = "; ".join(each.metadata["sentence"].format(getattr(assumed, each.name)) for each in fields(Assumed))
    yield textwrap.fill(f"Assumed, and each an option of `make cost`: {sentences}.", LINE)
    yield ""
    x86 = ", ".join(_dollars(cost(each, assumed, architecture="x86_64").total) for each in tenants)
    yield textwrap.fill(
        f"A runner is an arm64 task of {model.RUNNER_VCPU:g} vCPU and {model.RUNNER_GB:g} GB for "
        f"{model.RUNNER_CAPACITY} lines; with x86-64 a month costs {x86}. List prices of {prices.REGION}, "
        f"{prices.AS_OF}, without free tiers, taxes and discounts; Europe costs about a tenth to a fifth more.",
        LINE,
    )


def _dollars(amount: float) -> str:
    return f"${amount:,.0f}"


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least one tenant")
    return number


def _amount(text: str) -> float:
    if (number := float(text)) < 0:
        raise argparse.ArgumentTypeError("not less than nothing")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
