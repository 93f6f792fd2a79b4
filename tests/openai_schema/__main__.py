"""`python -m tests.openai_schema PATH`: prints each deviation and a figure; exit code 1 on an unknown deviation."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.openai_schema import answers, requests
from tests.openai_schema.description import Description, UnreadableDescription, read
from tests.openai_schema.deviations import Register
from tests.simulators.openai import MODELS
from tests.simulators.openai.models import Endpoint
from tests.simulators.openai.refusals import ApiError
from tests.simulators.openai.validation import validate

SHOWN_ERRORS = 40


def main(arguments: Sequence[str]) -> int:
    """Returns 0 if everything is valid, 1 after a deviation, 2 without a description; the last line is a figure."""
    if len(arguments) != 1 or not arguments[0]:
        print("Say where OpenAI's description is: `make openai-schema SCHEMA=openapi.json`.", file=sys.stderr)
        return 2
    try:
        description = read(Path(arguments[0]).expanduser())
        return _report(description)
    except UnreadableDescription as error:
        print(error, file=sys.stderr)
        return 2


def _report(description: Description) -> int:
    register, wrong = Register(), list[str]()
    answered = _check_answers(description, register, wrong)
    sent = _check_requests(description, wrong)
    wrong += [f"{each.schema}.{each.field} deviates no more: take it out of the list" for each in register.never_met]
    for deviation, times in sorted(register.met.items(), key=lambda item: (item[0].schema, item[0].field)):
        print(f"  {deviation.schema}.{deviation.field}: {deviation.what}, {times} times ({deviation.source})")
    for sentence in wrong[:SHOWN_ERRORS]:
        print(f"! {sentence}")
    if len(wrong) > SHOWN_ERRORS:
        print(f"! and {len(wrong) - SHOWN_ERRORS} more")
    others = answered.total() - sum(answered[name] for name in ("Response", "ResponseStreamEvent", "ErrorResponse"))
    print(
        f"openai-schema: {answered['Response']} responses, {answered['ResponseStreamEvent']} events, "
        f"{answered['ErrorResponse']} errors, {others} other answers, {sent} requests "
        f"{'valid' if not wrong else f'checked, {len(wrong)} NOT VALID'}, {len(register.met)} known deviations"
    )
    return 1 if wrong else 0


def _check_answers(description: Description, register: Register, wrong: list[str]) -> Counter[str]:
    """Checks all that the simulator answers; returns how many answers each schema describes."""
    seen: Counter[str] = Counter()
    for schema, value, where in answers.collect():
        seen[schema] += 1
        wrong += [
            f"{schema}, {where}: {error}" for error in description.errors(schema, register.without(schema, value))
        ]
    return seen


def _check_requests(description: Description, wrong: list[str]) -> int:
    """Checks all that we send, model by model; returns how many requests it was."""
    client, total = requests.Client(), 0
    for model in MODELS.values():
        if model.endpoint is not Endpoint.RESPONSES:
            continue
        sent = 0
        for assistant in requests.assistants(model):
            for name, body in client.sent_for(assistant):
                sent += 1
                wrong += [f"{name} for {assistant}: {error}" for error in description.errors("CreateResponse", body)]
                if requests.allows(model, assistant):
                    try:
                        validate(body, frozenset())
                    except ApiError as error:
                        wrong.append(f"{name} for {assistant}: {error}")
        print(f"  {model.name}: {sent} requests")
        total += sent
    return total


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
