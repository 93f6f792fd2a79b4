"""Signing in with Cognito, step by step: moto plays the plain way, botocore's stubber what moto does not know."""

import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import ANY, Stubber

from chalicelib.aws.cognito import Code, Identity, NewPassword, Refused, SetUp, SignedIn
from chalicelib.errors import TransientError
from tests.unit.conftest import SESSION

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

OLGA = "olga@agency.example"
TOKENS = {"AuthenticationResult": {"AccessToken": "a", "IdToken": "b", "RefreshToken": "c"}}
FIRST, SECOND = "First-Pass-123", "Second-Pass-1234"
CODE = Code("sub-1", "s" * 20)
SETTING_UP = SetUp("sub-1", "s" * 20, "JBSWY3DPEHPK3PXP")
CHANGING = NewPassword("sub-1", "s" * 20)


@pytest.fixture
def pool(aws: None) -> Identity:
    client = SESSION.client("cognito-idp")
    pool = client.create_user_pool(PoolName="operators", UsernameAttributes=["email"])["UserPool"]["Id"]
    application = client.create_user_pool_client(
        UserPoolId=pool, ClientName="admin", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    client.admin_create_user(UserPoolId=pool, Username=OLGA, TemporaryPassword=FIRST, MessageAction="SUPPRESS")
    return Identity(client, application, pool)


def test_the_first_password_must_be_replaced_and_the_second_signs_in(pool: Identity) -> None:
    step = pool.sign_in(OLGA, FIRST)
    assert isinstance(step, NewPassword)
    assert pool.new_password(step, OLGA, SECOND) == SignedIn(OLGA)
    assert pool.sign_in(OLGA, SECOND) == SignedIn(OLGA)


def test_a_wrong_password_and_an_unknown_account_read_the_same(pool: Identity) -> None:
    assert pool.sign_in(OLGA, "wrong") == pool.sign_in("nobody@agency.example", "wrong")
    assert isinstance(pool.sign_in(OLGA, "wrong"), Refused)


def test_an_operator_is_known_by_cognitos_own_name_until_removed_or_disabled(pool: Identity) -> None:
    client = SESSION.client("cognito-idp")
    [user_pool] = [each["Id"] for each in client.list_user_pools(MaxResults=10)["UserPools"]]
    subject = pool.find_subject(OLGA)
    assert subject and pool.find_subject(OLGA) == subject and pool.find_subject("nobody@agency.example") is None
    client.admin_disable_user(UserPoolId=user_pool, Username=OLGA)
    assert pool.find_subject(OLGA) is None
    client.admin_enable_user(UserPoolId=user_pool, Username=OLGA)
    assert pool.find_subject(OLGA) == subject
    client.admin_delete_user(UserPoolId=user_pool, Username=OLGA)
    assert pool.find_subject(OLGA) is None
    client.admin_create_user(UserPoolId=user_pool, Username=OLGA, TemporaryPassword=FIRST, MessageAction="SUPPRESS")
    assert pool.find_subject(OLGA) not in (None, subject)


# --- what only the real Cognito does --------------------------------------------------------------------------


@pytest.fixture
def client(aws: None) -> "CognitoIdentityProviderClient":
    return SESSION.client("cognito-idp")


@pytest.fixture
def stub(client: "CognitoIdentityProviderClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def identity(client: "CognitoIdentityProviderClient") -> Identity:
    return Identity(client, "application", "eu-west-1_pool")


def challenged(name: str, session: str = "x" * 20) -> dict[str, Any]:
    return {"ChallengeName": name, "Session": session, "ChallengeParameters": {"USER_ID_FOR_SRP": "sub-1"}}


@pytest.mark.parametrize("code", ["TooManyRequestsException", "InternalErrorException", "AccessDeniedException"])
def test_cognito_that_does_not_answer_removes_nobody(stub: Stubber, identity: Identity, code: str) -> None:
    stub.add_client_error("admin_get_user", code)
    with pytest.raises(TransientError):
        identity.find_subject(OLGA)


def test_an_operator_with_an_authenticator_app_is_asked_for_its_code(stub: Stubber, identity: Identity) -> None:
    stub.add_response("initiate_auth", challenged("SOFTWARE_TOKEN_MFA", CODE.session))
    assert identity.sign_in(OLGA, SECOND) == CODE
    expected = {
        "ClientId": "application",
        "ChallengeName": "SOFTWARE_TOKEN_MFA",
        "Session": CODE.session,
        "ChallengeResponses": {"USERNAME": "sub-1", "SOFTWARE_TOKEN_MFA_CODE": "123456"},
    }
    stub.add_response("respond_to_auth_challenge", TOKENS, expected)
    assert identity.code(CODE, OLGA, "123456") == SignedIn(OLGA)


def test_an_operator_who_must_set_up_an_app_gets_a_secret_and_then_proves_it(stub: Stubber, identity: Identity) -> None:
    stub.add_response("initiate_auth", challenged("MFA_SETUP", "a" * 20))
    stub.add_response("associate_software_token", {"SecretCode": "JBSWY3DPEHPK3PXP", "Session": "b" * 20})
    step = identity.sign_in(OLGA, SECOND)
    assert step == SetUp("sub-1", "b" * 20, "JBSWY3DPEHPK3PXP")
    assert step.uri(OLGA) == (
        "otpauth://totp/Answerline:olga%40agency.example?secret=JBSWY3DPEHPK3PXP&issuer=Answerline"
    )
    stub.add_response(
        "verify_software_token",
        {"Status": "SUCCESS", "Session": "c" * 20},
        {"Session": "b" * 20, "UserCode": "123456", "FriendlyDeviceName": ANY},
    )
    stub.add_response(
        "respond_to_auth_challenge",
        TOKENS,
        {
            "ClientId": "application",
            "ChallengeName": "MFA_SETUP",
            "Session": "c" * 20,
            "ChallengeResponses": {"USERNAME": "sub-1"},
        },
    )
    assert identity.set_up(step, OLGA, "123456") == SignedIn(OLGA)


def test_a_new_password_may_lead_to_setting_up_an_app(stub: Stubber, identity: Identity) -> None:
    stub.add_response("respond_to_auth_challenge", challenged("MFA_SETUP"))
    stub.add_response("associate_software_token", {"SecretCode": "JBSWY3DPEHPK3PXP", "Session": "b" * 20})
    assert isinstance(identity.new_password(CHANGING, OLGA, SECOND), SetUp)


@pytest.mark.parametrize(
    ("call", "operation", "error", "again"),
    [
        (lambda i: i.code(CODE, OLGA, "000000"), "respond_to_auth_challenge", "CodeMismatchException", CODE),
        (lambda i: i.code(CODE, OLGA, "000000"), "respond_to_auth_challenge", "NotAuthorizedException", None),
        (
            lambda i: i.set_up(SETTING_UP, OLGA, "000000"),
            "verify_software_token",
            "EnableSoftwareTokenMFAException",
            SETTING_UP,
        ),
        (
            lambda i: i.new_password(CHANGING, OLGA, "weak"),
            "respond_to_auth_challenge",
            "InvalidPasswordException",
            CHANGING,
        ),
        (lambda i: i.sign_in(OLGA, "x"), "initiate_auth", "PasswordResetRequiredException", None),
        (lambda i: i.sign_in(OLGA, "x"), "initiate_auth", "UserNotConfirmedException", None),
        (lambda i: i.sign_in(OLGA, "x"), "initiate_auth", "TooManyRequestsException", None),
    ],
)
def test_a_refusal_is_a_sentence_and_names_the_step_to_repeat(
    stub: Stubber, identity: Identity, call: Callable[[Identity], Any], operation: str, error: str, again: Any
) -> None:
    stub.add_client_error(operation, error)
    refused = call(identity)
    assert isinstance(refused, Refused) and refused.again == again
    assert refused.sentence.endswith(".")


def test_a_challenge_we_do_not_know_is_refused(stub: Stubber, identity: Identity) -> None:
    stub.add_response("initiate_auth", challenged("SMS_MFA"))
    assert isinstance(identity.sign_in(OLGA, SECOND), Refused)


def test_an_error_of_cognito_is_transient_and_never_quotes_the_password(stub: Stubber, identity: Identity) -> None:
    stub.add_client_error("initiate_auth", "InternalErrorException", f"about {SECOND}")
    with pytest.raises(TransientError) as caught:
        identity.sign_in(OLGA, SECOND)
    assert SECOND not in "".join(traceback.format_exception(caught.value))


def test_steps_never_show_their_secrets_in_a_log() -> None:
    assert "s" * 20 not in repr(CODE) and "JBSWY" not in repr(SETTING_UP)
