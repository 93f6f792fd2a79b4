/* The parts of wa-js that the runner's bridge uses, on the models of one loaded page.
 *
 * `tests/contract/test_wa_js.py` holds that the real wa-js has each name that the bridge uses, and
 * `tests/simulation/test_bridge_host.py` that this one has. File names of wa-js 4.6.0 are in brackets.
 */
"use strict";

const { Wid, MsgKey } = require("./message_store.js");

const failure = (code) => Object.assign(new Error(code), { code });

// `page` gives: store, state, ask(what, ...details) → promise of the server's answer, effect(name, ...details),
// readDatabase() → promise, trueSeconds().
function waJs(page) {
  const { store, state } = page;
  const listeners = new Map();
  const waiting = new Map(); // own message → callbacks of those that wait for the server's ack
  const device = new Map(); // listeners of pairing codes

  const me = () => (state.number ? new Wid(`${state.number}@c.us`) : undefined);
  const meLid = () => (state.number ? new Wid(`${state.lid}@lid`) : undefined);

  function contactOf(chatId) {
    const contact = store.contactOf(chatId);
    if (!contact) throw failure("chat_not_found");
    return contact;
  }

  async function getMessages(chatId, { count = 20, direction, id }) {
    const contact = contactOf(chatId);
    await page.readDatabase();
    if (contact.fault === "fails") throw new Error("the database");
    if (contact.fault === "hangs") await new Promise(() => {});
    if (direction !== "before" || !id) throw new Error("the model pages backwards from a message only");
    return store.page(contact, String(id), count);
  }

  async function getMessageById(serialized) {
    const known = store.get(serialized);
    if (known) return known;
    const [fromMe, chatId, ...id] = String(serialized).split("_");
    const contact = contactOf(chatId);
    await page.readDatabase();
    const found = store.load(contact, { fromMe: fromMe === "true", id: id.join("_") });
    if (!found) throw failure("msg_not_found");
    return found;
  }

  // Waits for the server's ack without end [chat/functions/sendRawMessage.ts, sendTextMessage.ts].
  async function sendTextMessage(chatId, body, { messageId, quotedMsg }) {
    const contact = contactOf(chatId);
    const [fromMe, remote, ...rest] = String(messageId).split("_");
    if (fromMe !== "true" || remote !== String(contact.wid())) {
      throw failure("message_key_remote_id_is_not_same_of_chat"); // [prepareRawMessage.ts]
    }
    if (quotedMsg && (quotedMsg.type === "ciphertext" || quotedMsg.type === "revoked")) {
      throw failure("quoted_msg_can_not_reply");
    }
    const id = rest.join("_");
    const phone = contact.phone.user;
    const quote = quotedMsg ? [quotedMsg.id.id, quotedMsg.body ?? ""] : null;
    if (!store.find(contact, { fromMe: true, id })) {
      store.add({ phone, fromMe: true, id, t: Math.floor(page.trueSeconds()), kind: "chat", body, quote, ack: 0 });
    }
    const sent = new Promise((resolve) => waiting.set(id, [...(waiting.get(id) ?? []), resolve]));
    page.effect("send", phone, id, body);
    const sendMsgResult = await sent;
    const key = `true_${contact.wid()}_${id}`;
    return { id: key, ack: store.get(key)?.ack, to: String(contact.wid()), sendMsgResult };
  }

  function acknowledge(phone, id, ack) {
    store.acknowledge(phone, id, ack);
    const messageSendResult = ack >= 1 ? "OK" : "ERROR_UNKNOWN";
    for (const resolve of waiting.get(id) ?? []) {
      resolve({ t: Math.floor(page.trueSeconds()), messageSendResult, count: 1 });
    }
    waiting.delete(id);
  }

  // WhatsApp Web's own "try again": the same message under the same id [WAWebResendMsgAction].
  async function resendMsg(message) {
    if (message.ack >= 0) return undefined;
    const contact = contactOf(message.id.remote);
    const { id } = message.id;
    store.acknowledge(contact.phone.user, id, 0);
    const sent = new Promise((resolve) => waiting.set(id, [...(waiting.get(id) ?? []), resolve]));
    page.effect("send", contact.phone.user, id, message.body);
    return (await sent).messageSendResult;
  }

  const modules = {
    WAWebResendMsgAction: { resendMsg },
    WAWebReachoutTimelockUtils: { isUserReachoutTimelocked: () => false },
  };
  const W = {
    on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    conn: {
      getStreamData: () => ({ mode: state.mode, info: state.info }),
      isAuthenticated: () => state.authenticated,
      isIdle: () => state.idle,
      getMyUserId: me,
      getMyUserLid: meLid,
      genLinkDeviceCodeForPhoneNumber: (phone) => page.ask("pair", phone),
    },
    chat: {
      find: async (chatId) => store.chatOf(contactOf(chatId)),
      getMessages, getMessageById, sendTextMessage,
      // The contact's phone shows these for a moment.
      markIsRead: async (chatId) => ({ wid: contactOf(chatId).wid() }),
      markIsComposing: async (chatId) => { contactOf(chatId); },
      markIsPaused: async (chatId) => { contactOf(chatId); },
    },
    loader: { loadModule: (name) => modules[name] ?? null },
    whatsapp: {
      BackendEventBus: { get isOfflineDeliveryEnd() { return state.delivered; } },
      ChatStore: {
        getModelsArray: () => store.chats,
        get: (chatId) => store.contactOf(chatId)?.chat ?? undefined,
      },
      Cmd: { refreshQR: () => page.effect("refreshQr") },
      Conn: { get ref() { return state.code; }, refTTL: undefined },
      ContactStore: { get: (id) => store.contactOf(id)?.entries.get(String(id)) },
      LinkDeviceEvents: { on: (event, listener) => device.set(event, listener) },
      MsgKey,
      MsgStore: { get: (key) => store.get(key) },
      Socket: { get state() { return state.socket; }, takeover: () => page.effect("takeOver") },
      Stream: { get mode() { return state.mode; }, get info() { return state.info; }, needsUpdate: false },
      UserPrefs: { getMeLidUserOrThrow: meLid },
      functions: {
        addAndSendMsgToChat: sendTextMessage,
        findOrCreateLatestChat: async (chatId) => ({ chat: store.chatOf(contactOf(chatId)), created: false }),
        msgFindByDirection: async ({ anchor, count, direction }) =>
          ({ messages: await getMessages(anchor.remote, { count, direction, id: anchor.toString() }), status: 200 }),
        getIsMyContact: (contact) => contact.isAddressBookContact === 1,
        queryWidExists: (wid) => page.ask("prove").then((known) => (known ? { wid } : null)),
      },
      lidPnCache: {
        getPhoneNumber: (wid) => store.contactOf(wid)?.phone,
        getCurrentLid: (wid) => store.contactOf(wid)?.lid,
      },
    },
  };
  const emit = (event, ...details) => {
    for (const listener of listeners.get(event) ?? []) listener(...details);
  };
  return { W, emit, acknowledge };
}

module.exports = { waJs };
