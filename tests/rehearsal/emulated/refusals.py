"""API Gateway's own answers, as an API's definition words them; MiniStack imports paths and authorizers only."""

from typing import Any

OWN_ANSWERS = "x-amazon-apigateway-gateway-responses"


def gateway_responses_are_imported_with_the_api() -> None:
    """A definition's gateway responses become those of the API."""
    from ministack.services import apigateway_v1 as gateway

    import_api = gateway._import_rest_api

    def import_ours(spec: dict[str, Any], base_data: Any = None) -> str:
        api = str(import_api(spec, base_data))
        for kind, response in spec.get(OWN_ANSWERS, {}).items():
            status, _headers, body = gateway._put_gateway_response(api, kind, response)
            if status >= 400:
                raise ValueError(f"the gateway response {kind} is refused: {body!r}")
        return api

    gateway._import_rest_api = import_ours
