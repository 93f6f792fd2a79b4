"""Cognito: signs operators in, step by step, with each outcome as data.

A sign-in is a password, then perhaps a new password, then perhaps a code of an authenticator app, or setting one
up. Cognito's own session string ties the steps together and dies after 15 minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

#: The name under which an authenticator app lists the account.
ISSUER: Final = "Answerline"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The sign-in is complete."""

    email: str


@dataclass(frozen=True, slots=True)
class NewPassword:
    """The first password was right and must be replaced."""

    username: str
    session: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Code:
    """The password was right; now six digits of the authenticator app."""

    username: str
    session: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetUp:
    """The password was right; an authenticator app must be set up with this secret, then prove it."""

    username: str
    session: str = field(repr=False)
    secret: str = field(repr=False)

    def uri(self, email: str) -> str:
        """Returns the text of the QR code, in the format of Google Authenticator's key URI."""
        return f"otpauth://totp/{ISSUER}:{quote(email)}?secret={self.secret}&issuer={ISSUER}"


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer was wrong; the sentence explains what to do, and never whether the account exists."""

    sentence: str
    #: the step that may be repeated; None: start over
    again: "Code | NewPassword | SetUp | None" = None


Outcome = SignedIn | NewPassword | Code | SetUp | Refused

WRONG: Final = "This e-mail and password do not belong together."
WRONG_CODE: Final = "This code is not right. Enter the six digits that the app shows now."
TOO_LATE: Final = "That took too long. Sign in again."
#: Error codes that all read the same, so that an attacker does not learn which accounts exist.
_WRONG: Final = {"NotAuthorizedException", "UserNotFoundException", "InvalidParameterException"}
_WRONG_CODE: Final = {"CodeMismatchException", "EnableSoftwareTokenMFAException", "ExpiredCodeException"}
_BUSY: Final = {"TooManyRequestsException", "LimitExceededException", "TooManyFailedAttemptsException"}


class Identity:
    """The user pool of operators; it has no sign-up.

    Args:
        client: a boto3 Cognito client.
        client_id: of the app client that allows USER_PASSWORD_AUTH and has no secret.
        user_pool: the pool's id.
    """

    def __init__(self, client: "CognitoIdentityProviderClient", client_id: str, user_pool: str) -> None:
        self._client = client
        self._client_id = client_id
        self._user_pool = user_pool

    def find_subject(self, email: str) -> str | None:
        """Returns Cognito's own name for an operator's account; None if it is gone or disabled.

        Raises TransientError.
        """
        try:
            user = self._client.admin_get_user(UserPoolId=self._user_pool, Username=email)
        except (ClientError, BotoCoreError) as error:
            if _code(error) == "UserNotFoundException":
                return None
            raise TransientError("Who may sign in cannot be asked just now. Try again in a moment.") from None
        return user["Username"] if user.get("Enabled", True) else None

    def sign_in(self, email: str, password: str) -> Outcome:
        """Starts a sign-in. Raises TransientError, as the other steps do."""
        try:
            answer = self._client.initiate_auth(
                ClientId=self._client_id,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": email, "PASSWORD": password},
            )
        except (ClientError, BotoCoreError) as error:
            match _code(error):
                case code if code in _WRONG:
                    return Refused(WRONG)
                case "PasswordResetRequiredException":
                    return Refused("Your password must be reset first. Ask whoever runs Answerline.")
                case "UserNotConfirmedException":
                    return Refused(WRONG)
            return _refusal(error)
        return self._next(email, email, answer)

    def new_password(self, step: NewPassword, email: str, password: str) -> Outcome:
        """Replaces the first password."""
        answers = {"USERNAME": step.username, "NEW_PASSWORD": password}
        try:
            return self._respond("NEW_PASSWORD_REQUIRED", step.session, email, answers)
        except (ClientError, BotoCoreError) as error:
            if _code(error) in ("InvalidPasswordException", "PasswordHistoryPolicyViolationException"):
                sentence = (
                    "This password is too weak. Take at least 12 characters, with capitals, small letters and digits."
                )
                return Refused(sentence, again=step)
            if _code(error) == "InvalidParameterException":
                return Refused("This password cannot be used. Choose another one.", again=step)
            return _start_over(error)

    def code(self, step: Code, email: str, code: str) -> Outcome:
        """Checks six digits of the authenticator app."""
        answers = {"USERNAME": step.username, "SOFTWARE_TOKEN_MFA_CODE": code}
        try:
            return self._respond("SOFTWARE_TOKEN_MFA", step.session, email, answers)
        except (ClientError, BotoCoreError) as error:
            if _code(error) in _WRONG_CODE | {"InvalidParameterException"}:
                return Refused(WRONG_CODE, again=step)
            return _start_over(error)

    def set_up(self, step: SetUp, email: str, code: str) -> Outcome:
        """Verifies the authenticator app, then completes the sign-in."""
        try:
            proven = self._client.verify_software_token(Session=step.session, UserCode=code, FriendlyDeviceName=ISSUER)
            if proven.get("Status") != "SUCCESS":
                return Refused(WRONG_CODE, again=step)
            return self._respond("MFA_SETUP", proven["Session"], email, {"USERNAME": step.username})
        except (ClientError, BotoCoreError) as error:
            if _code(error) in _WRONG_CODE | {"InvalidParameterException"}:
                return Refused(WRONG_CODE, again=step)
            return _start_over(error)

    def _respond(self, challenge: Any, session: str, email: str, answers: dict[str, str]) -> Outcome:
        answer = self._client.respond_to_auth_challenge(
            ClientId=self._client_id, ChallengeName=challenge, Session=session, ChallengeResponses=answers
        )
        return self._next(email, answers["USERNAME"], answer)

    def _next(self, email: str, username: str, answer: Mapping[str, Any]) -> Outcome:
        if answer.get("AuthenticationResult"):
            return SignedIn(email)
        # Cognito may name the user otherwise than the operator did, and requires its own name from now on
        username = answer.get("ChallengeParameters", {}).get("USER_ID_FOR_SRP", username)
        session = answer.get("Session", "")
        match answer.get("ChallengeName"):
            case "NEW_PASSWORD_REQUIRED":
                return NewPassword(username, session)
            case "SOFTWARE_TOKEN_MFA":
                return Code(username, session)
            case "MFA_SETUP":
                secret = self._client.associate_software_token(Session=session)
                return SetUp(username, secret["Session"], secret["SecretCode"])
        return Refused("This account needs a way to sign in that Answerline does not offer. Ask whoever runs it.")


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _start_over(error: Exception) -> Refused:
    """Handles the failure of a later step: its session has expired, or the account was disabled meanwhile."""
    return Refused(TOO_LATE) if _code(error) in _WRONG else _refusal(error)


def _refusal(error: Exception) -> Refused:
    """Returns a refusal when Cognito limits the rate; else raises TransientError."""
    if _code(error) in _BUSY:
        return Refused("Too many attempts. Wait a few minutes, then try again.")
    # without a cause: a message of botocore may quote the password
    raise TransientError("Signing in does not work just now. Try again in a moment.") from None
