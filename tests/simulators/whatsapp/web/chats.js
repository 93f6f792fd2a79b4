// Chats: the model, unread counts, finding or creating one, marking as read.
'use strict';

defineModule('WAWebChatModel', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  const { BaseCollection } = require('WAWebBaseCollection');
  const { Msg } = require('WAWebMsgModel');

  class ChatMessages extends BaseCollection {
    static model = Msg;

    static comparator = (one, other) => one.t - other.t;
  }

  class Chat extends BaseModel {
    initialize() {
      Object.defineProperty(this, 'msgs', { value: new ChatMessages() });
      Object.defineProperty(this, 'presence', {
        value: require('WAWebPresenceCollection').PresenceCollection.gadd(this.id),
      });
    }

    get contact() {
      return require('WAWebContactCollection').ContactCollection.get(this.id);
    }

    get formattedTitle() {
      if (this.groupMetadata?.subject) return this.groupMetadata.subject;
      return this.contact ? require('WAWebFrontendContactGetters').getFormattedName(this.contact) : this.id.user;
    }

    // A new message moves the chat: newest key, time, and the unread count unless it is our own.
    take(message) {
      this.msgs.add(message);
      if (!message.isNewMsg) return;
      const unreadCount = message.id.fromMe ? this.unreadCount : Math.max(this.unreadCount, 0) + 1;
      this.set({ lastReceivedKey: message.id, t: message.t, unreadCount });
      require('ChatRoom').save(this);
    }
  }
  defineModel(Chat, 'chat', {
    id: undefined,
    unreadCount: 0,
    t: undefined,
    lastReceivedKey: undefined,
    name: undefined,
    archive: false,
    active: false,
    pin: 0,
    mute: { expiration: 0 },
    isReadOnly: false,
    groupMetadata: undefined,
    endOfHistoryTransferType: undefined,
    pausedTimerId: undefined,
  });
  return { Chat };
});

defineModule('WAWebChatCollection', (require) => {
  const { BaseCollection } = require('WAWebBaseCollection');
  const { Chat } = require('WAWebChatModel');
  class ChatCollectionImpl extends BaseCollection {
    static model = Chat;

    getActive() {
      return this.findFirst((chat) => chat.active);
    }
  }
  return { ChatCollectionImpl, ChatCollection: new ChatCollectionImpl() };
});

// The one place that makes chats appear, comes back with them after a restart, and writes them down.
defineModule('ChatRoom', (require) => {
  const chats = () => require('WAWebChatCollection').ChatCollection;

  function of(chatId) {
    const id = require('WAWebWidFactory').createWid(chatId.toString());
    const known = chats().get(id);
    if (known) return known;
    const groupMetadata = id.isGroup() ? require('WAWebGroupMetadataCollection').default.gadd(id) : undefined;
    return chats().add({ id, groupMetadata });
  }

  function save(chat) {
    const { unreadCount, endOfHistoryTransferType } = chat;
    return require('Storage').write('chat', chat.id.toString(), { id: chat.id.toString(), unreadCount, endOfHistoryTransferType });
  }

  // After a restart only the newest message and the unread ones of each chat are in memory.
  async function open() {
    const { attributesOf } = require('MessageTranslation');
    const { MsgCollection } = require('WAWebMsgCollection');
    const saved = new Map((await require('Storage').readAll('chat')).map((chat) => [chat.id, chat]));
    for (const [chatId, wires] of await require('MessageArchive').open()) {
      const chat = of(chatId);
      const { unreadCount = 0, endOfHistoryTransferType } = saved.get(chatId) ?? {};
      for (const wire of wires.slice(-Math.max(unreadCount, 1))) {
        chat.msgs.add(MsgCollection.add(attributesOf(wire, false)));
      }
      chat.set({ unreadCount, endOfHistoryTransferType, t: wires.at(-1).t, lastReceivedKey: chat.msgs.last().id });
    }
  }

  // What happened before this device was linked arrives as history: present, but never new. It may come late, and
  // find chats that have begun meanwhile; only those that it brings have an `endOfHistoryTransferType`.
  async function receiveHistory(messages, chats) {
    const archive = require('MessageArchive');
    await archive.save(messages.filter((message) => !archive.has(message)));
    await Promise.all(chats.map((chat) => require('Storage').write('chat', chat.id, chat)));
    await open();
  }

  function markRead(chat) {
    chat.set({ unreadCount: 0 });
    return save(chat);
  }

  return { of, open, save, receiveHistory, markRead };
});

defineModule('WAWebChatGetters', () => ({
  getHasUnread: (chat) => chat.unreadCount !== 0,
  getShouldAppearInList: () => true,
  getPreviewMessage: (chat) => chat.msgs.last(),
  getShowChangeNumberNotification: () => false,
  getShouldShowUnreadDivider: (chat) => chat.unreadCount > 0,
  getIsNewsletter: (chat) => chat.id.isNewsletter(),
  getIsBroadcast: (chat) => chat.id.isBroadcast(),
  getIsGroup: (chat) => chat.id.isGroup(),
}));

defineModule('WAWebFindChatAction', (require) => {
  async function findOrCreateLatestChat(wid) {
    const { getCurrentLid, getPhoneNumber } = require('WAWebApiContact');
    const { ChatCollection } = require('WAWebChatCollection');
    const known = [wid, getCurrentLid(wid), getPhoneNumber(wid)].map((id) => id && ChatCollection.get(id)).find(Boolean);
    if (known) return { chat: known, created: false };
    if (wid.isGroup() || wid.isBroadcast()) throw new Error(`chat ${wid} does not exist`);
    const exists = await require('WAWebQueryExistsJob').queryWidExists(wid);
    if (!exists) throw new Error(`findOrCreateLatestChat: ${wid} is not on WhatsApp`);
    const migrated = require('DeviceIdentity').me().lid_migrated;
    return { chat: require('ChatRoom').of(migrated ? getCurrentLid(exists.wid) : exists.wid), created: true };
  }
  return { findOrCreateLatestChat, findChat: async (wid) => (await findOrCreateLatestChat(wid)).chat };
});

defineModule('WAWebUpdateUnreadChatAction', (require) => ({
  async sendSeen({ chat }) {
    if (chat.unreadCount === 0) return;
    await require('ChatRoom').markRead(chat);
    require('Gateway').tell('seen', { chat: chat.id.toString() });
  },
  async markUnread(chat, unread) {
    chat.set({ unreadCount: unread ? -1 : 0 });
    await require('ChatRoom').save(chat);
  },
}));

defineModule('WAWebPresenceChatAction', (require) => {
  const tell = (state) => async (chat) => require('Gateway').tell('chatstate', { chat: chat.id.toString(), state });
  return { markComposing: tell('composing'), markPaused: tell('paused'), markRecording: tell('recording') };
});
