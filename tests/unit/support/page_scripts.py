"""The scripts of WhatsApp's page, run in node on made-up models instead of in a browser."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[3] / "runner" / "browser"
#: Names that the bridge asks for in lists.
LISTED = re.compile(r"const (?:NEEDED\w*|FUNCTIONS\w*) = \[([^\]]*)\]")
#: The models that a page has: ids as WhatsApp's Wid and MsgKey, the account itself, contacts, chats, and a database.
MODELS = """
class Wid {
  constructor(id) { [this.user, this.server] = id.split("@"); this.id = id; }
  toString() { return this.id; }
  isLid() { return this.server === "lid"; }
  isGroup() { return this.server === "g.us"; }
  isBot() { return this.server === "bot"; }
}
const wid = (id) => (id ? new Wid(id) : undefined);
const OWN = { phone: wid("491701111111@c.us"), lid: wid("4911@lid") };
const PHONES = { "4922@lid": "491702222222@c.us", "4933@lid": "491703333333@c.us" };
const CONTACTS = new Map();
const CHATS = new Map();
const DATABASE = new Map(); // chat → all its messages, oldest first
const FAILING = new Set(); // chats of which the database cannot be read
const HANGING = new Set(); // … or never answers
let READS = 0;
const keyOf = (message) => { try { return String(message.id); } catch { return null; } };
function messageOf({ id, chat, from_me: fromMe = false, participant, ...attributes }) {
  const key = { fromMe, remote: wid(chat), id, participant: wid(participant) };
  key.toString = () => [fromMe, chat, id].join("_");
  const wids = ["author", "quotedParticipant"].filter((name) => attributes[name]);
  return {
    id: key, type: "chat", t: 1_700_000_000, ...attributes,
    ...Object.fromEntries(wids.map((name) => [name, wid(attributes[name])])),
    mentionedJidList: (attributes.mentionedJidList ?? []).map(wid),
  };
}
globalThis.window = { WPP: {
  conn: { getMyUserId: () => OWN.phone, getMyUserLid: () => OWN.lid },
  chat: {
    async getMessages(chat, { count, id }) {
      READS += 1;
      if (FAILING.has(String(chat))) throw new TypeError("the database");
      if (HANGING.has(String(chat))) await new Promise(() => {});
      const all = DATABASE.has(String(chat)) ? DATABASE.get(String(chat)) : [];
      if (all === null) return null;
      const place = all.findIndex((message) => keyOf(message) === id);
      return all.slice(Math.max(0, place - count), Math.max(0, place));
    },
  },
  whatsapp: {
    functions: { getIsMyContact: (contact) => contact.isAddressBookContact === 1 },
    lidPnCache: {
      getPhoneNumber: (lid) => wid(PHONES[String(lid)]),
      getCurrentLid: (phone) => wid(Object.keys(PHONES).find((lid) => PHONES[lid] === String(phone))),
    },
    ContactStore: { get: (id) => CONTACTS.get(String(id)) },
    ChatStore: { getModelsArray: () => [...CHATS.values()], get: (id) => CHATS.get(String(id)) },
    MsgStore: { get: (id) => [...DATABASE.values()].flat().find((message) => message && keyOf(message) === id) },
  },
} };
"""


def names_used(bridge: str) -> set[str]:
    """Returns the path of every `WPP.…` in the bridge."""
    paths = set(re.findall(r"\bW\.((?:whatsapp\.functions|whatsapp|conn|chat|loader)\.\w+)", bridge))
    paths.discard("whatsapp.functions")
    for line in LISTED.finditer(bridge):
        room = "whatsapp.functions" if line[0].startswith("const FUNCTIONS") else "whatsapp"
        paths |= {f"{room}.{name}" for name in re.findall(r'"(\w+)"', line[1])}
    return paths


def run(*scripts: str, program: str, values: Any) -> Any:
    """Runs these scripts and then a program, an async function's body with ``input``; returns what it returns."""
    text = "\n".join([MODELS, *((SCRIPTS / script).read_text(encoding="utf-8") for script in scripts)])
    text += f"\n(async (input) => {{ {program} }})({json.dumps(values)}).then("
    text += (
        "(value) => console.log(JSON.stringify(value ?? null)), (error) => { console.error(error); process.exit(1); });"
    )
    done = subprocess.run(["node", "-"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
