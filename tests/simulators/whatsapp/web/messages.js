// Messages: the model, the collection they all enter through, what is on disk, media and receipts.
'use strict';

defineModule('WAWebMsgType', () => {
  const types = ['chat', 'image', 'ptt', 'audio', 'video', 'ptv', 'document', 'sticker', 'location', 'vcard', 'multi_vcard',
    'ciphertext', 'revoked', 'protocol', 'poll_creation', 'order', 'product', 'list', 'list_response', 'buttons_response',
    'template_button_reply', 'interactive', 'interactive_response', 'groups_v4_invite', 'event_creation', 'payment',
    'e2e_notification', 'notification', 'notification_template', 'gp2', 'call_log', 'automated_greeting_message', 'unknown'];
  return {
    MSG_TYPE: Object.fromEntries(types.map((type) => [type.toUpperCase(), type])),
    SYSTEM_MESSAGE_TYPES: ['notification', 'notification_template', 'gp2', 'e2e_notification'],
  };
});

defineModule('WAWebMediaInMemoryBlobCache', () => {
  class InMemoryMediaBlobCacheImpl {
    #blobs = new Map();

    has(filehash) {
      return this.#blobs.has(filehash);
    }

    get(filehash) {
      return this.#blobs.get(filehash);
    }

    put(filehash, blob) {
      this.#blobs.set(filehash, blob);
    }

    clear() {
      this.#blobs.clear();
    }
  }
  return { InMemoryMediaBlobCacheImpl, InMemoryMediaBlobCache: new InMemoryMediaBlobCacheImpl() };
});

defineModule('WAWebMsgModel', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');

  class Msg extends BaseModel {
    initialize() {
      this.collection = require('WAWebMsgCollection').MsgCollection;
      this.learnOfFile();
      // A message that can be decrypted late has its file only then.
      this.on('change:filehash', () => this.learnOfFile());
    }

    learnOfFile() {
      if (!this.filehash) return;
      const { filehash, mimetype, size, type } = this;
      this.mediaData = { filehash, mimetype, size, type, mediaStage: 'NEED_POKE' };
      this.mediaObject = { filehash, type: type.toUpperCase() };
    }

    get isMedia() {
      return Boolean(this.filehash);
    }

    updateAck(ack) {
      if (ack > this.ack) this.set({ ack });
    }

    // WhatsApp has the file at hand only after somebody asked for it.
    async downloadMedia() {
      const response = await fetch(`/media/${encodeURIComponent(this.filehash)}`);
      if (!response.ok) throw new Error(`media_not_found ${response.status}`);
      const blob = new Blob([await response.arrayBuffer()], { type: this.mimetype });
      require('WAWebMediaInMemoryBlobCache').InMemoryMediaBlobCache.put(this.filehash, blob);
      this.mediaData.mediaStage = 'RESOLVED';
    }

    msgContextInfo() {
      return {
        quotedMsg: { type: this.type, body: this.body, caption: this.caption, mimetype: this.mimetype },
        quotedStanzaID: this.id.id,
        quotedParticipant: this.author ?? this.from,
        quotedRemoteJid: undefined,
      };
    }
  }
  defineModel(Msg, 'msg', {
    id: undefined,
    type: undefined,
    body: undefined,
    from: undefined,
    to: undefined,
    author: undefined,
    t: undefined,
    ack: 0,
    isSendFailure: undefined,
    isNewMsg: undefined,
    local: undefined,
    self: undefined,
    notifyName: undefined,
    mimetype: undefined,
    filehash: undefined,
    size: undefined,
    duration: undefined,
    caption: undefined,
    mediaData: undefined,
    mediaObject: undefined,
    quotedStanzaID: undefined,
    // What real messages say when there is nothing to say.
    latestEditMsgKey: null,
    latestEditSenderTimestampMs: null,
    broadcast: false,
    isForwarded: false,
    isGif: false,
    isViewOnce: false,
    isCaptionByUser: false,
    isMdHistoryMsg: false,
    mentionedJidList: [],
    groupMentions: [],
  });
  return { Msg };
});

defineModule('WAWebMsgCollection', (require) => {
  const { BaseCollection } = require('WAWebBaseCollection');
  const { Msg } = require('WAWebMsgModel');

  class MsgCollectionImpl extends BaseCollection {
    static model = Msg;

    // Everything that comes in passes here; wa-js replaces this method to see revocations.
    async processMultipleMessages(chatId, messages) {
      const chat = require('ChatRoom').of(chatId);
      return messages.map((attributes) => {
        if (attributes.type === 'protocol') {
          require('MessageChanges').apply(this.get(attributes.protocolMessageKey), attributes);
          return undefined;
        }
        const known = this.get(attributes.id);
        if (known) {
          if (known.type === 'ciphertext' && attributes.type !== 'ciphertext') {
            known.set({ ...attributes, isNewMsg: known.isNewMsg });
          }
          return known;
        }
        const message = new Msg(attributes);
        chat.take(message);
        return this.add(message);
      });
    }

    async getMessagesById(ids) {
      return { messages: ids.map((id) => this.get(id) ?? require('MessageArchive').load(id)).filter(Boolean) };
    }
  }

  return { MsgCollectionImpl, MsgCollection: new MsgCollectionImpl() };
});

// Every message this device has received, as written to disk; only the newest are models in memory.
defineModule('MessageArchive', (require) => {
  const chats = new Map();
  const byKey = new Map();
  // Within a second messages stay in the order in which they came, also after a restart.
  let lastRow = 0;

  const keyOf = (wire) => require('MessageTranslation').keyOf(wire);
  const has = (wire) => byKey.has(keyOf(wire));
  const of = (chatId) => chats.get(chatId.toString()) ?? [];

  function remember(wire) {
    const known = byKey.get(keyOf(wire));
    if (known) return Object.assign(known, wire, { ack: Math.max(known.ack, wire.ack) });
    wire.row ??= lastRow + 1;
    lastRow = Math.max(lastRow, wire.row);
    byKey.set(keyOf(wire), wire);
    if (!chats.has(wire.chat)) chats.set(wire.chat, []);
    const messages = chats.get(wire.chat);
    const later = messages.findLastIndex((other) => other.t <= wire.t);
    messages.splice(later + 1, 0, wire);
    return wire;
  }

  async function save(wires) {
    await Promise.all(wires.map((wire) => require('Storage').write('message', keyOf(wire), remember(wire))));
  }

  // An ack that is no later one: refused, or being sent once more.
  async function mark(wire, ack) {
    Object.assign(byKey.get(keyOf(wire)), { ack });
    await require('Storage').write('message', keyOf(wire), byKey.get(keyOf(wire)));
  }

  async function open() {
    const stored = await require('Storage').readAll('message');
    for (const wire of stored.sort((one, other) => one.row - other.row)) remember(wire);
    return chats;
  }

  function load(key) {
    const { MsgCollection } = require('WAWebMsgCollection');
    const known = MsgCollection.get(key);
    if (known) return known;
    const wire = byKey.get(key.toString());
    if (!wire) return undefined;
    const message = MsgCollection.add(require('MessageTranslation').attributesOf(wire, false));
    require('ChatRoom').of(wire.chat).msgs.add(message);
    return message;
  }

  const unsent = () => [...byKey.values()].filter((wire) => wire.from_me && wire.ack === 0);

  return { remember, save, mark, open, load, has, of, unsent, find: (key) => byKey.get(key.toString()) };
});

defineModule('WAWebDBMessageFindLocal', (require) => {
  async function msgFindByDirection({ anchor, count, direction }) {
    const { attributesOf, keyOf } = require('MessageTranslation');
    const all = require('MessageArchive').of(anchor.remote);
    const position = all.findIndex((wire) => keyOf(wire) === anchor.toString());
    const wanted = Number.isFinite(count) ? Math.max(count, 0) : all.length;
    const found =
      direction === 'after'
        ? all.slice(position + 1, position + 1 + wanted)
        : all.slice(Math.max(0, position - wanted), Math.max(0, position));
    // Calls are asked for apart [wa-js, chat/functions/getMessages.ts].
    const written = found.filter((wire) => wire.type !== 'call_log');
    return { messages: written.map((wire) => attributesOf(wire, false)), status: 200 };
  }
  return {
    msgFindByDirection,
    msgFindBefore: (query) => msgFindByDirection({ ...query, direction: 'before' }),
    msgFindAfter: (query) => msgFindByDirection({ ...query, direction: 'after' }),
  };
});

defineModule('WAWebSearchContext', (require) => ({
  getSearchContext({ msgKey }) {
    const message = require('MessageArchive').load(msgKey);
    return {
      collection: { loadAroundPromise: Promise.resolve(), get: () => message },
      msg: message,
      key: msgKey,
      highlightMsg: true,
    };
  },
}));

defineModule('WAWebHandleMsgReceipts', (require) => {
  async function applyReceipt({ ack, externalIds, from, participant }) {
    const MsgKey = require('WAWebMsgKey');
    for (const id of externalIds) {
      const key = new MsgKey({ fromMe: true, remote: from, id, participant });
      require('WAWebMsgCollection').MsgCollection.get(key)?.updateAck(ack);
      const wire = require('MessageArchive').find(key);
      if (wire && ack > wire.ack) void require('MessageArchive').save([{ ...wire, ack }]);
    }
  }
  return {
    handleChatSimpleReceipt: applyReceipt,
    handleGroupSimpleReceipt: applyReceipt,
    handleStatusSimpleReceipt: applyReceipt,
  };
});

defineModule('WAWebMsgActionCapability', () => ({
  canReplyMsg: (message) => message.type !== 'ciphertext' && message.ack !== 0,
  canStarMsg: () => true,
}));
