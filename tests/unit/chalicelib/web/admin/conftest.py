"""An operator before and after signing in."""

import pytest

from chalicelib.wiring import Services
from tests.unit.support.admin_browser import Admin


@pytest.fixture
def stranger(services: Services) -> Admin:
    return Admin(services)


@pytest.fixture
def olga(stranger: Admin) -> Admin:
    return stranger.signed_in()
