"""The script that runs in WhatsApp Web: wa-js, unmodified, then the bridge."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from runner.settings import Settings

#: The scripts of the bridge, each after those that it uses.
BRIDGE = ("values.js", "people.js", "message_content.js", "message_tail.js", "sent_replies.js", "bridge.js")


def injected_script(settings: Settings) -> str:
    """Returns wa-js, unmodified, then the bridge; for the top frame of WhatsApp Web and no other document."""
    bundle = settings.wa_js.read_text(encoding="utf-8")
    bridge = "\n".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in BRIDGE)
    host = json.dumps(urlsplit(settings.whatsapp_url).hostname)
    # wa-js reports each login to Google unless this is set before it starts (4.6.0).
    return (
        f"if (window === window.top && location.hostname === {host}) {{\n"
        f"window.WPPConfig = {{ disableGoogleAnalytics: true }};\n{bundle}\n;{bridge}\n}}"
    )
