/* WhatsApp Web's messages of one loaded page: all of them in its database, only the newest of each chat in memory.
 *
 * Attribute names are those of wa-js 4.6.0, as in `tests/simulators/whatsapp/web/`, which the unmodified wa-js reads.
 */
"use strict";

class Wid {
  constructor(id) {
    [this.user, this.server] = id.split("@");
    this.id = id;
  }

  toString() { return this.id; }
  isLid() { return this.server === "lid"; }
  isGroup() { return this.server === "g.us"; }
  isBot() { return this.server === "bot"; }
}

// The key of a message. Its chat has another id after the migration to LIDs.
class MsgKey {
  #contact;

  constructor(contact, fromMe, id) {
    this.#contact = contact;
    this.fromMe = fromMe;
    this.id = id;
  }

  get remote() { return this.#contact.wid(); }
  get participant() { return undefined; }
  toString() { return `${this.fromMe}_${this.remote}_${this.id}`; }
}

class Chat {
  constructor(contact) {
    this.contact = contact;
    this.messages = []; // in memory, in the order in which they came
    this.t = undefined;
    this.lastReceivedKey = undefined;
    this.msgs = { getModelsArray: () => this.messages };
  }

  get id() { return this.contact.wid(); }
}

class Contact {
  constructor(store, phone, lid, isSaved) {
    this.store = store;
    this.phone = new Wid(`${phone}@c.us`);
    this.lid = new Wid(`${lid}@lid`);
    // The phone's address book is by number; a LID has an entry of its own beside it.
    this.entries = new Map([[this.phone.id, isSaved ? 1 : 0], [this.lid.id, 0]]
      .map(([id, isAddressBookContact]) => [id, { id, isAddressBookContact }]));
    this.chat = null;
    this.rows = []; // the database, oldest first; within a second in the order in which they came
    this.fault = null; // of the query of its messages: fails, hangs
  }

  wid() { return this.store.isMigrated ? this.lid : this.phone; }
}

const isSame = (row, { fromMe, id }) => row.fromMe === fromMe && row.id === id;

class MessageStore {
  constructor(emit) {
    this.emit = emit;
    this.isMigrated = false;
    this.contacts = new Map(); // phone → contact
    this.byChat = new Map(); // either id of a chat → contact
    this.chats = [];
    this.memory = new Map(); // MsgStore
    this.handedIn = new Set(); // ids of messages that the runner has
  }

  addContact(phone, lid, isSaved) {
    if (this.contacts.has(phone)) return;
    const contact = new Contact(this, phone, lid, isSaved);
    this.contacts.set(phone, contact);
    this.byChat.set(contact.phone.id, contact).set(contact.lid.id, contact);
  }

  contactOf(chatId) { return this.byChat.get(String(chatId)); }

  chatOf(contact) {
    if (!contact.chat) {
      contact.chat = new Chat(contact);
      this.chats.push(contact.chat);
    }
    return contact.chat;
  }

  // -- the database ---------------------------------------------------------------------------------------------

  // What was there before, or comes as history: of each chat only the last messages are in memory.
  open(rows, inMemory) {
    const contacts = new Set(rows.map((row) => this.contacts.get(row.phone)));
    for (const row of rows) this.#write(this.contacts.get(row.phone), { ...row });
    for (const contact of contacts) {
      const chat = this.chatOf(contact);
      const last = contact.rows.at(-1);
      chat.messages = contact.rows.slice(Math.max(0, contact.rows.length - inMemory)).map((row) => this.#load(contact, row));
      // The last message of every chat is known: the list of chats shows it.
      const known = this.#load(contact, last);
      chat.t = last.t;
      chat.lastReceivedKey = known.id;
    }
  }

  find(contact, key) { return contact.rows.find((row) => isSame(row, key)); }

  page(contact, key, count) {
    const place = contact.rows.findIndex((row) => `${row.fromMe}_${contact.wid()}_${row.id}` === key);
    return contact.rows.slice(Math.max(0, place - count), Math.max(0, place)).map((row) => this.#modelOf(contact, row));
  }

  #write(contact, row) {
    const later = contact.rows.findLastIndex((other) => other.t <= row.t);
    contact.rows.splice(later + 1, 0, row);
  }

  // -- memory ---------------------------------------------------------------------------------------------------

  #place(contact, { fromMe, id }) { return `${fromMe}_${contact.phone}_${id}`; }

  #keyOf(contact, row) { return new MsgKey(contact, row.fromMe, row.id); }

  inMemory(contact, key) { return this.memory.get(this.#place(contact, key)); }

  get(serialized) {
    const [fromMe, chat, ...id] = String(serialized).split("_");
    const contact = this.contactOf(chat);
    return contact && this.inMemory(contact, { fromMe: fromMe === "true", id: id.join("_") });
  }

  #remember(contact, model) {
    this.memory.set(this.#place(contact, model.id), model);
    return model;
  }

  #load(contact, row) { return this.#remember(contact, this.#modelOf(contact, row)); }

  // wa-js returns what MsgStore has, or a model of its own [chat/functions/getMessages.ts].
  #modelOf(contact, row) {
    const known = this.inMemory(contact, row);
    return known ?? { id: this.#keyOf(contact, row), isNewMsg: false, t: row.t, ...attributesOf(contact, row) };
  }

  load(contact, key) {
    const row = this.find(contact, key);
    return row && this.#modelOf(contact, row);
  }

  // -- what the server delivers ---------------------------------------------------------------------------------

  // A message that is new, or an edit, or the text of one that could not be decrypted.
  deliver(given, isHidden) {
    const contact = this.contacts.get(given.phone);
    const row = this.find(contact, given);
    if (!row) {
      this.add(given);
      return;
    }
    if (row.kind === "revoked") return;
    if (isHidden) this.#evict(contact, given);
    const model = this.inMemory(contact, given);
    const [wasUndecrypted, wasEdited] = [row.kind === "ciphertext", row.edited_ms];
    Object.assign(row, given);
    if (!model) {
      // Its sender sends it again, and it comes as a new one; another change is made in the database, without an event.
      if (wasUndecrypted && row.kind !== "ciphertext") this.#receive(contact, row);
      return;
    }
    Object.assign(model, attributesOf(contact, row));
    if (wasUndecrypted && row.kind !== "ciphertext" && model.isNewMsg) this.emit("chat.new_message", model);
    if (row.edited_ms && row.edited_ms !== wasEdited) {
      this.emit("chat.msg_edited", { chat: contact.wid(), id: model.id.toString(), msg: model });
    }
  }

  add(given) {
    const contact = this.contacts.get(given.phone);
    const row = { ...given };
    this.#write(contact, row);
    this.#receive(contact, row);
  }

  #receive(contact, row) {
    const chat = this.chatOf(contact);
    const model = this.#remember(contact, { ...this.#modelOf(contact, row), isNewMsg: true });
    chat.messages.push(model);
    chat.t = row.t;
    chat.lastReceivedKey = model.id;
    this.emit("chat.new_message", model);
  }

  // wa-js tells of a deletion before WhatsApp carries it out; also of a message that is not in memory.
  announceDeletion(given, isHidden) {
    const contact = this.contacts.get(given.phone);
    if (isHidden) this.#evict(contact, given);
    const known = this.inMemory(contact, given);
    if (!isHidden || known) this.emit("chat.msg_revoke", { refId: this.#keyOf(contact, given), type: "sender_revoke" });
  }

  revoke(given) {
    const contact = this.contacts.get(given.phone);
    const row = this.find(contact, given);
    if (!row) return;
    Object.assign(row, given);
    const model = this.inMemory(contact, given);
    if (model) Object.assign(model, attributesOf(contact, row));
  }

  // Memory holds a chat's newest messages: older ones leave it, those that were read long ago. The last one stays.
  #evict(contact, key) {
    const { messages } = contact.chat;
    const place = messages.findIndex(({ id }) => isSame(id, key));
    const areRead = messages.slice(0, place + 1).every(({ id }) => this.handedIn.has(id.id));
    if (place < 0 || place === messages.length - 1 || !areRead) return;
    for (const { id } of messages.splice(0, place + 1)) this.memory.delete(this.#place(contact, id));
  }

  acknowledge(phone, id, ack) {
    const contact = this.contacts.get(phone);
    const key = { fromMe: true, id };
    const row = this.find(contact, key);
    if (!row) return;
    row.ack = ack;
    const model = this.inMemory(contact, key);
    if (!model) return;
    model.ack = ack;
    // [registerAckMessageEvent.ts: the server's ack, and receipts]
    if (ack === 1) this.emit("chat.msg_ack_change", { ack, chat: contact.wid(), ids: [model.id] });
  }
}

function attributesOf(contact, row) {
  const isText = row.kind === "chat";
  return {
    type: row.kind,
    body: isText ? row.body : undefined,
    ack: row.ack,
    latestEditMsgKey: row.edited_ms ? { id: `${row.id}-edit` } : null,
    latestEditSenderTimestampMs: row.edited_ms ?? null,
    quotedStanzaID: row.quote && isText ? row.quote[0] : undefined,
    quotedMsg: row.quote && isText ? { type: "chat", body: row.quote[1] } : undefined,
    quotedParticipant: row.quote && isText ? contact.wid() : undefined,
    protocolMessageKey: row.original ? { fromMe: row.fromMe, id: row.original } : undefined,
    mentionedJidList: [],
    broadcast: false,
    isViewOnce: false,
  };
}

module.exports = { Wid, MsgKey, MessageStore };
