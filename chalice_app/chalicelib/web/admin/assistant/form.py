"""The assistant's part of a tenant's form: its fields, and the assistant that they make."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import BeforeValidator

from chalicelib.model import Assistant
from chalicelib.model.assistant import DEFAULT_MAX_OUTPUT_TOKENS, DEFAULT_WEB_SEARCHES_PER_MONTH, AnswerLength
from chalicelib.model.assistants.fitness import unfit_settings
from chalicelib.model.openai_servers import GLOBAL, REGIONS, Server
from chalicelib.web.admin.assistant.fields import (
    AUTOMATIC,
    explain_reference,
    parse_domain_list,
    parse_effort,
    parse_instructions,
    parse_languages,
    parse_length,
    parse_limit,
    parse_model,
    parse_reference,
    parse_search_limit,
    parse_server,
    parse_temperature,
    parse_verbosity,
)
from chalicelib.web.admin.form import Form, is_checked


class AssistantForm(Form):
    """The settings of an assistant."""

    model: Annotated[str, BeforeValidator(parse_model)] = ""
    instructions: Annotated[str, BeforeValidator(parse_instructions)] = ""
    legacy_reference: Annotated[str, BeforeValidator(parse_reference)] = ""
    reasoning_effort: Annotated[str | None, BeforeValidator(parse_effort)] = None
    server: Annotated[str | None, BeforeValidator(parse_server)] = None
    answer_length: Annotated[AnswerLength, BeforeValidator(parse_length)] = AnswerLength.FREE
    languages: Annotated[tuple[str, ...], BeforeValidator(parse_languages)] = ()
    web_search: Annotated[bool, BeforeValidator(is_checked)] = False
    web_domains: Annotated[tuple[str, ...], BeforeValidator(parse_domain_list)] = ()
    web_searches_per_month: Annotated[int, BeforeValidator(parse_search_limit)] = DEFAULT_WEB_SEARCHES_PER_MONTH
    max_output_tokens: Annotated[int, BeforeValidator(parse_limit)] = DEFAULT_MAX_OUTPUT_TOKENS
    verbosity: Annotated[str | None, BeforeValidator(parse_verbosity)] = None
    temperature: Annotated[float | None, BeforeValidator(parse_temperature)] = None

    def assistant(self, former: Assistant | None = None) -> Assistant:
        """Returns the next version of ``former``; settings that the form does not show are kept."""
        base = former or Assistant(1, "", "")
        same = (base.model, base.server) == (self.model, self.server)
        return replace(
            base,
            model=self.model,
            instructions=self.instructions,
            legacy_reference=self.legacy_reference or None,
            reasoning_effort=self.reasoning_effort,
            server=self.server,
            found_effort=base.found_effort if same else None,
            answer_length=self.answer_length,
            languages=self.languages,
            web_search=self.web_search,
            web_domains=self.web_domains,
            web_searches_per_month=self.web_searches_per_month,
            max_output_tokens=self.max_output_tokens,
            verbosity=self.verbosity,
            temperature=self.temperature,
        )

    def unfit(self) -> dict[str, str]:
        """Returns a sentence for each setting that the others exclude."""
        server = self.server or GLOBAL
        return unfit_settings(self.assistant(), compatible=Server(server, server).compatible)

    @classmethod
    def explain(cls, sentences: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
        """Explains an id without instructions."""
        return explain_reference(sentences, fields)


def assistant_fields(assistant: Assistant) -> dict[str, str]:
    """Returns an assistant as the fields of its form."""
    return {
        "model": assistant.model,
        "instructions": assistant.instructions,
        "legacy_reference": assistant.legacy_reference or "",
        "reasoning_effort": assistant.reasoning_effort or AUTOMATIC,
        "server": assistant.server or GLOBAL,
        "answer_length": AnswerLength.FREE if assistant.answer_length == "unknown" else assistant.answer_length,
        "languages": ", ".join(assistant.languages),
        "web_search": "yes" if assistant.web_search else "",
        "web_domains": "\n".join(assistant.web_domains),
        "web_searches_per_month": str(assistant.web_searches_per_month),
        "max_output_tokens": str(assistant.max_output_tokens),
        "verbosity": assistant.verbosity or AUTOMATIC,
        "temperature": "" if assistant.temperature is None else f"{assistant.temperature:g}",
    }


def needs_other_key(former: Assistant, edited: Assistant) -> bool:
    """Returns whether a key would go to a server that it was not entered for; OpenAI's regions are one server."""
    servers = {(each.server or GLOBAL) for each in (former, edited)}
    return len(servers) > 1 and not servers <= REGIONS.keys()
