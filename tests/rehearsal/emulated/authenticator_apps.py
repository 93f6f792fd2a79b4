"""Cognito's sessions while an authenticator app is set up; MiniStack asks only users who have one already."""

import json
import secrets
from collections.abc import Callable
from typing import Any

Answer = tuple[int, dict[str, str], Any]


def authenticator_apps_are_set_up_at_the_first_sign_in() -> None:
    """With MFA on, Cognito asks who has no app to set one up, and lets nobody in before the app has proven itself."""
    from ministack.services import cognito

    waiting: dict[str, Any] = {}
    proven: dict[str, Any] = {}
    ask = cognito._mfa_challenge_for_user
    respond, associate, verify = (
        cognito._respond_to_auth_challenge,
        cognito._associate_software_token,
        cognito._verify_software_token,
    )

    def ask_ours(pool: dict[str, Any], user: dict[str, Any], pool_id: str, username: str) -> dict[str, Any] | None:
        if pool.get("MfaConfiguration") == "ON" and "SOFTWARE_TOKEN_MFA" not in user.get("_mfa_enabled", []):
            session = secrets.token_urlsafe(32)
            waiting[session] = user
            parameters = {"MFAS_CAN_SETUP": '["SOFTWARE_TOKEN_MFA"]', "USER_ID_FOR_SRP": username}
            return {"ChallengeName": "MFA_SETUP", "Session": session, "ChallengeParameters": parameters}
        challenge: dict[str, Any] | None = ask(pool, user, pool_id, username)
        return challenge

    def associate_ours(data: dict[str, Any]) -> Answer:
        answer: Answer = associate(data)
        if (user := waiting.pop(data.get("Session", ""), None)) is not None:
            waiting[_body(answer)["Session"]] = user
        return answer

    def verify_ours(data: dict[str, Any]) -> Answer:
        session = data.get("Session", "")
        secret, user = cognito._totp_session_secrets.get(session), waiting.get(session)
        answer: Answer = verify(data)
        if user is not None and answer[0] == 200:
            del waiting[session]
            user["_totp_secret"] = secret
            user.setdefault("_mfa_enabled", []).append("SOFTWARE_TOKEN_MFA")
            proven[_body(answer)["Session"]] = user
        return answer

    def respond_ours(data: dict[str, Any]) -> Answer:
        if data.get("ChallengeName") == "MFA_SETUP" and proven.pop(data.get("Session", ""), None) is None:
            refused: Answer = cognito.error_response_json("NotAuthorizedException", "Invalid session.", 400)
            return refused
        answer: Answer = respond(data)
        if data.get("ChallengeName") == "NEW_PASSWORD_REQUIRED" and "AuthenticationResult" in _body(answer):
            return _ask_for_the_app(cognito, data, ask_ours) or answer
        return answer

    cognito._mfa_challenge_for_user = ask_ours
    cognito._associate_software_token = associate_ours
    cognito._verify_software_token = verify_ours
    cognito._respond_to_auth_challenge = respond_ours


def _ask_for_the_app(cognito: Any, data: dict[str, Any], ask: Callable[..., Any]) -> Answer | None:
    """Returns Cognito's next question to a user who just replaced the first password."""
    name = data["ChallengeResponses"]["USERNAME"]
    for pool_id, pool in cognito._user_pools.items():
        if data.get("ClientId") in pool["_clients"]:
            user, missing = cognito._resolve_user(pool, name)
            challenge = None if missing else ask(pool, user, pool_id, name)
            return cognito.json_response(challenge) if challenge else None
    return None


def _body(answer: Answer) -> dict[str, Any]:
    return dict(json.loads(answer[2]))
