"""Advice for the page *Setup* on this machine: what is simulated, where mails stop, and the command of each step."""

import json

from infrastructure.local.service.installed import commands_of
from infrastructure.local.settings import HOST, Settings


def setup_advice(settings: Settings) -> str:
    """Returns the application's setting SETUP_ADVICE: JSON, with commands between backticks."""
    commands = commands_of(settings.data)
    simulated = {"WhatsApp": settings.simulate_whatsapp, "OpenAI": settings.simulate_openai}
    stand_ins = [name for name, each in simulated.items() if each]
    real = commands.set(" ".join(f"{name.upper()}=real" for name in stand_ins))
    address = commands.set("BASE_URL=https://line.example.com")
    if commands.service:
        mail = "Its secret is a file of its own: docs/service.md, *Settings and secrets*."
    else:
        mail = commands.set("SMTP_URL=smtps://… MAIL_FROM=…")
    advice = {
        "stand_ins": f"Simulated here: {' and '.join(stand_ins)}." if stand_ins else "",
        "make_real": f"No real message is answered yet. When you are ready: {real}" if stand_ins else "",
        "mailbox": "" if settings.smtp_url else f"http://{HOST}:{settings.ports.outbox}",
        "steps": {
            "address": f"{address}, and Caddy in front of it: docs/service.md, *From nothing to a line*.",
            "mail": f"A mail server is the setting SMTP_URL. {mail}",
            "backup": f"{commands.make('backup-key')} and {commands.set('BACKUP_TO=…')}: docs/backups.md.",
        },
    }
    return json.dumps(advice, ensure_ascii=False)
