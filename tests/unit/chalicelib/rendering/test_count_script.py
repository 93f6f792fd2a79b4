"""The counter in the browser says what the server says, whatever is typed."""

import json
import subprocess

from chalicelib.rendering.static_files import static_file
from chalicelib.web.admin.assistant.section import count_text

TEXTS = (
    *("", " ", "four", "  padded \n", "two\r\nlines", "tab\tand\nline", "bell\x07 and null\x00"),
    *("Größe", "Привет", "مرحبا", "ご予約", "🥐", "👩‍👩‍👧", "e\u0301", "a" * 4_001, "ж🥐a" * 999),
)


def test_the_script_counts_as_the_server_does() -> None:
    script = f"""
        const document = {{ querySelectorAll: () => [] }};
        {static_file("count.js").text}
        console.log(JSON.stringify({json.dumps(TEXTS)}.map(count)));
    """
    ran = subprocess.run(["node", "-"], input=script, capture_output=True, text=True, timeout=30, check=True)
    counted = [(each["characters"], each["tokens"]) for each in json.loads(ran.stdout)]
    assert counted == [tuple(count_text(text)) for text in TEXTS]
