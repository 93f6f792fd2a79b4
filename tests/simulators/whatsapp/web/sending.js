// Sending: a message is in the chat at once, on disk, and on its way until the server has acknowledged its id.
'use strict';

defineModule('WAWebGetEphemeralFieldsMsgActionsUtils', () => ({ getEphemeralFields: () => ({}) }));

defineModule('WAWebSendMsgChatAction', (require) => {
  function wireOf(message) {
    return {
      id: message.id.id,
      chat: message.id.remote.toString(),
      from_me: true,
      type: message.type,
      body: message.body ?? null,
      author: message.id.participant?.toString() ?? null,
      details: detailsOf(message),
      t: message.t,
      ack: 0,
    };
  }

  function detailsOf({ quotedStanzaID, quotedParticipant, quotedMsg, mentionedJidList }) {
    return {
      ...(quotedStanzaID && { quotedStanzaID, quotedMsg, quotedParticipant: quotedParticipant?.toString() }),
      ...(mentionedJidList?.length && { mentionedJidList: mentionedJidList.map(String) }),
    };
  }

  // An array, synchronously: whatsapp-web.js takes it apart without awaiting.
  function addAndSendMsgToChat(chat, attributes) {
    const { MsgCollection } = require('WAWebMsgCollection');
    const { Msg } = require('WAWebMsgModel');
    const message = MsgCollection.get(attributes.id) ?? new Msg(attributes);
    chat.take(message);
    MsgCollection.add(message);
    const wire = wireOf(message);
    const saved = require('MessageArchive').save([wire]);
    const result = saved.then(() => require('Outbox').send(wire));
    return [saved.then(() => message), result];
  }

  return { addAndSendMsgToChat };
});

// Messages the server has not acknowledged yet; they go out again, under the same id, after every reconnect.
defineModule('Outbox', (require) => {
  const pending = new Map();

  function send(wire) {
    const waiting = pending.get(wire.id);
    if (waiting) return waiting.promise;
    const entry = { wire };
    entry.promise = new Promise((resolve) => {
      entry.resolve = resolve;
    });
    pending.set(wire.id, entry);
    require('Gateway').tell('send', { message: wire });
    return entry.promise;
  }

  async function acknowledge({ id, t }) {
    const entry = pending.get(id);
    if (!entry) return;
    pending.delete(id);
    const { wire } = entry;
    require('WAWebMsgCollection').MsgCollection.get(require('MessageTranslation').keyOf(wire))?.updateAck(1);
    await require('MessageArchive').save([{ ...wire, ack: 1 }]);
    entry.resolve({ t, messageSendResult: 'OK', count: 1 });
  }

  // The server refused it: the message stays in the chat as failed, and goes out again only when somebody says so.
  async function refuse({ id, error }) {
    const entry = pending.get(id);
    if (!entry) return;
    pending.delete(id);
    const { wire } = entry;
    const message = require('WAWebMsgCollection').MsgCollection.get(require('MessageTranslation').keyOf(wire));
    message?.set({ ack: -1, isSendFailure: true });
    await require('MessageArchive').mark(wire, -1);
    entry.resolve({ messageSendResult: 'ERROR_UNKNOWN', ackErrorCode: error });
  }

  function resend() {
    for (const wire of require('MessageArchive').unsent()) {
      if (!pending.has(wire.id)) send(wire);
      else require('Gateway').tell('send', { message: wire });
    }
  }

  return { send, acknowledge, refuse, resend };
});

// "Try again" on a failed message: the same message, under the same id.
defineModule('WAWebResendMsgAction', (require) => ({
  async resendMsg(message) {
    if (!(message.ack < 0) && !message.isSendFailure) return undefined;
    const wire = { ...require('MessageArchive').find(message.id), ack: 0 };
    message.set({ ack: 0, isSendFailure: false });
    await require('MessageArchive').mark(wire, 0);
    return (await require('Outbox').send(wire)).messageSendResult;
  },
}));

// What WhatsApp Web knows of a restriction of its account. Chats in which the contact wrote have a token.
defineModule('WAWebUserPrefsIndexedDBStorage', () => {
  const preferences = new Map();
  return {
    userPrefsIdb: {
      get: (key) => preferences.get(key),
      set: async (key, value) => { preferences.set(key, value); },
      remove: async (key) => { preferences.delete(key); },
    },
  };
});

defineModule('WAWebReachoutTimelockUtils', (require) => {
  const REACHOUT_TIMELOCK_IDB_KEY = 'WAReachoutTimelockState';
  const isUserReachoutTimelocked = () =>
    require('WAWebUserPrefsIndexedDBStorage').userPrefsIdb.get(REACHOUT_TIMELOCK_IDB_KEY) != null;
  return {
    REACHOUT_TIMELOCK_IDB_KEY,
    isUserReachoutTimelocked,
    canSendMsgWhileTimelocked: ({ chat }) => !isUserReachoutTimelocked() || chat.tcToken != null,
  };
});

defineModule('Restriction', (require) => ({
  learn({ until, kind, chats }) {
    const { REACHOUT_TIMELOCK_IDB_KEY } = require('WAWebReachoutTimelockUtils');
    const { userPrefsIdb } = require('WAWebUserPrefsIndexedDBStorage');
    if (until === null) {
      void userPrefsIdb.remove(REACHOUT_TIMELOCK_IDB_KEY);
      return;
    }
    for (const chat of chats) require('ChatRoom').of(chat).tcToken = new ArrayBuffer(8);
    void userPrefsIdb.set(REACHOUT_TIMELOCK_IDB_KEY, {
      state: 'HIDDEN', time_enforcement_ends: until, enforcement_type: kind,
    });
  },
}));
