"""Keys open for their own tenant and for nothing else."""

import traceback

import pytest

from chalicelib.aws.kms import DecryptionFailed, KeyEncryption
from chalicelib.errors import TransientError
from tests.unit.conftest import SESSION

SECRET = "sk-proj-very-secret-0123456789"


@pytest.fixture
def key_encryption(aws: None) -> KeyEncryption:
    client = SESSION.client("kms")
    return KeyEncryption(client, client.create_key()["KeyMetadata"]["KeyId"])


def test_a_key_opens_for_its_tenant(key_encryption: KeyEncryption) -> None:
    sealed = key_encryption.encrypt("hotel000", SECRET)
    assert SECRET not in sealed
    assert key_encryption.decrypt("hotel000", sealed) == SECRET


def test_a_key_does_not_open_for_another_tenant(key_encryption: KeyEncryption) -> None:
    with pytest.raises(DecryptionFailed):
        key_encryption.decrypt("bakery00", key_encryption.encrypt("hotel000", SECRET))


def test_an_error_never_quotes_the_key(aws: None) -> None:
    key_encryption = KeyEncryption(SESSION.client("kms"), "no-such-key")
    with pytest.raises(TransientError) as caught:
        key_encryption.encrypt("hotel000", SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
