"""QR codes: a scanner reads back the text that was drawn."""

import re

import pytest
import zxingcpp
from PIL import Image, ImageDraw

from chalicelib.rendering.qr import qr_svg


@pytest.mark.parametrize("code", ["2@" + "Ab9/x+" * 30 + "==,k3y,1", "otpauth://totp/Answerline:a%40b?secret=ABC", "1"])
def test_a_qr_code_reads_back_as_its_text(code: str) -> None:
    svg = str(qr_svg(code, "a <code>"))
    assert 'aria-label="a &lt;code&gt;"' in svg
    found = re.search(r'viewBox="0 0 (\d+) ', svg)
    assert found is not None
    size = int(found[1]) * 4
    image = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(image)
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", svg):
        left, top = int(x) * 4, int(y) * 4
        draw.rectangle((left, top, left + int(width) * 4 - 1, top + 3), fill=0)
    assert [barcode.text for barcode in zxingcpp.read_barcodes(image)] == [code]
