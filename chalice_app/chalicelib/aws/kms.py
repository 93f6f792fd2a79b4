"""KMS: encrypts tenants' OpenAI keys, so that a ciphertext decrypts for its own tenant only."""

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

#: Part of the encryption context, so that a policy can allow just this; CloudTrail logs it, so it holds ids only.
FIELD: Final = "openai_key"


class DecryptionFailed(Exception):
    """The ciphertext does not decrypt for this tenant."""


class KeyEncryption:
    """Encrypts and decrypts under one key of KMS; the tenant is part of the authenticated encryption context.

    Args:
        client: a boto3 KMS client.
        key_id: the key, or its alias.
    """

    def __init__(self, client: "KMSClient", key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def encrypt(self, tenant: str, secret: str) -> str:
        """Returns KMS's ciphertext in base64. Raises TransientError."""
        try:
            sealed = self._client.encrypt(
                KeyId=self._key_id, Plaintext=secret.encode(), EncryptionContext=_context(tenant)
            )
        except (ClientError, BotoCoreError):
            # without a cause: a message of botocore may quote the secret
            raise TransientError("The key could not be locked away just now; nothing was saved. Try again.") from None
        return b64encode(sealed["CiphertextBlob"]).decode("ascii")

    def decrypt(self, tenant: str, ciphertext: str) -> str:
        """Decrypts a ciphertext; on AWS only the function *think* has the permission.

        Raises:
            DecryptionFailed: another tenant's or installation's ciphertext, or a damaged one.
            TransientError: KMS does not answer.
        """
        try:
            blob = b64decode(ciphertext, validate=True)
        except ValueError:
            raise DecryptionFailed from None
        try:
            opened = self._client.decrypt(KeyId=self._key_id, CiphertextBlob=blob, EncryptionContext=_context(tenant))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("InvalidCiphertextException", "IncorrectKeyException"):
                raise DecryptionFailed from None
            raise TransientError("The key could not be unlocked just now.") from error
        except BotoCoreError as error:
            raise TransientError("The key could not be unlocked just now.") from error
        try:
            return opened["Plaintext"].decode()
        except UnicodeDecodeError:
            raise DecryptionFailed from None


def _context(tenant: str) -> dict[str, str]:
    return {"tenant": tenant, "field": FIELD}
