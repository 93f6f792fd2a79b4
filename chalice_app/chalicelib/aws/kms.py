"""Only KMS: tenants' OpenAI keys, each sealed so that it opens for its own tenant and nothing else."""

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

#: Part of the encryption context, so that a policy can allow just this: appears in CloudTrail, holds ids only.
FIELD: Final = "openai_key"


class Sealed(Exception):
    """This ciphertext does not open for this tenant."""


class KeyEncryption:
    """Encrypts and decrypts under one key of KMS; the tenant is part of what is signed.

    Args:
        client: a boto3 KMS client.
        key_id: the key, or its alias.
    """

    def __init__(self, client: "KMSClient", key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def encrypt(self, tenant: str, secret: str) -> str:
        """Base64 of KMS's ciphertext."""
        try:
            sealed = self._client.encrypt(
                KeyId=self._key_id, Plaintext=secret.encode(), EncryptionContext=_context(tenant)
            )
        except (ClientError, BotoCoreError):
            # without a cause: what botocore says may quote the secret
            raise TransientError("The key could not be locked away just now; nothing was saved. Try again.") from None
        return b64encode(sealed["CiphertextBlob"]).decode("ascii")

    def decrypt(self, tenant: str, ciphertext: str) -> str:
        """Raises Sealed for another tenant's ciphertext or a damaged one; on AWS only *think* may call it."""
        try:
            opened = self._client.decrypt(
                KeyId=self._key_id, CiphertextBlob=b64decode(ciphertext), EncryptionContext=_context(tenant)
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("InvalidCiphertextException", "IncorrectKeyException"):
                raise Sealed from None
            raise TransientError("The key could not be unlocked just now.") from error
        except BotoCoreError as error:
            raise TransientError("The key could not be unlocked just now.") from error
        return opened["Plaintext"].decode()


def _context(tenant: str) -> dict[str, str]:
    return {"tenant": tenant, "field": FIELD}
