"""The operator's authenticator app: reads the secret from the pixels of a QR code, and shows six digits."""

import base64
import io
import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

import zxingcpp
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from PIL import Image

#: The defaults of a key URI, which all apps have: https://github.com/google/google-authenticator/wiki/Key-Uri-Format
DIGITS, STEP_SECONDS = 6, 30


def read_qr_code(picture: bytes) -> str:
    """Returns the text of the one QR code that this picture shows, as a camera does."""
    formats = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
    codes = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)), formats=formats)
    assert len(codes) == 1, f"{len(codes)} QR codes can be read on the page"
    return str(codes[0].text)


@dataclass(frozen=True)
class Authenticator:
    """An app with one account."""

    secret: bytes

    @classmethod
    def scan(cls, picture: bytes) -> Self:
        """Returns an app that scanned the code of this picture."""
        uri = urlsplit(read_qr_code(picture))
        assert (uri.scheme, uri.netloc) == ("otpauth", "totp"), "this is no code for an authenticator app"
        (secret,) = parse_qs(uri.query)["secret"]
        return cls(base64.b32decode(secret + "=" * (-len(secret) % 8)))

    def digits(self) -> str:
        """Returns the digits that the app shows now."""
        return TOTP(self.secret, DIGITS, SHA1(), STEP_SECONDS).generate(int(time.time())).decode()

    def wrong_digits(self) -> str:
        """Returns six digits that the app does not show, nor just before or after."""
        app = TOTP(self.secret, DIGITS, SHA1(), STEP_SECONDS)
        now = int(time.time())
        near = {app.generate(max(0, now + step * STEP_SECONDS)) for step in range(-3, 4)}
        return next(digits for digits in map("{:06d}".format, range(10)) if digits.encode() not in near)
