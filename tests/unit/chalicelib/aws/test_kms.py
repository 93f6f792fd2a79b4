"""Keys open for their own tenant and for nothing else."""

import traceback

import pytest

from chalicelib.aws.kms import Sealed, Vault
from chalicelib.errors import TransientError
from tests.unit.conftest import SESSION

SECRET = "sk-proj-very-secret-0123456789"


@pytest.fixture
def vault(aws: None) -> Vault:
    client = SESSION.client("kms")
    return Vault(client, client.create_key()["KeyMetadata"]["KeyId"])


def test_a_key_opens_for_its_tenant(vault: Vault) -> None:
    sealed = vault.encrypt("hotel000", SECRET)
    assert SECRET not in sealed
    assert vault.decrypt("hotel000", sealed) == SECRET


def test_a_key_does_not_open_for_another_tenant(vault: Vault) -> None:
    with pytest.raises(Sealed):
        vault.decrypt("bakery00", vault.encrypt("hotel000", SECRET))


def test_an_error_never_quotes_the_key(aws: None) -> None:
    vault = Vault(SESSION.client("kms"), "no-such-key")
    with pytest.raises(TransientError) as caught:
        vault.encrypt("hotel000", SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
