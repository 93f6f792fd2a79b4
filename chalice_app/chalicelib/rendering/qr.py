"""Draws QR codes as inline SVG, because the gateway breaks binary images. The only importer of qrcode."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup


def qr_svg(code: str, label: str) -> "Markup":
    """Returns a QR code as inline SVG with the quiet zone that scanners need; the style sheet's ``qr-code`` colours it.

    Args:
        code: the text of the code.
        label: the description for people who cannot see it.
    """
    import qrcode
    from markupsafe import Markup, escape
    from qrcode.constants import ERROR_CORRECT_L

    image = qrcode.QRCode(error_correction=ERROR_CORRECT_L, border=4)
    image.add_data(code)
    rows: list[list[bool]] = image.get_matrix()
    modules = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            width = next((n for n, dark in enumerate(row[x:]) if not dark), len(row) - x)
            if width:
                modules.append(f"M{x} {y}h{width}v1h-{width}z")
            x += width or 1
    size = len(rows)
    return Markup(
        '<svg class="qr-code" viewBox="0 0 {0} {0}" role="img" aria-label="{1}" xmlns="http://www.w3.org/2000/svg">'
        '<rect width="{0}" height="{0}" fill="#fff"/><path d="{2}" fill="#000"/></svg>'
    ).format(size, escape(label), "".join(modules))
