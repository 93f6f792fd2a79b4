// Ids: of people, chats and bots; of messages.
'use strict';

defineClassicModule('WAWebWid', () => {
  class Wid {
    constructor(serialized) {
      const [userPart, server] = serialized.split('@');
      const [user, device] = userPart.split(':');
      this.server = server;
      this.user = user;
      if (device !== undefined) this.device = Number(device);
      this._serialized = serialized;
    }

    toString() {
      return this._serialized;
    }

    toJSON() {
      return this._serialized;
    }

    toJid() {
      return this._serialized.replace('@c.us', '@s.whatsapp.net');
    }

    equals(other) {
      return Boolean(other) && this.toString() === other.toString();
    }

    isSameAccount(other) {
      return this.user === other?.user && this.server === other?.server;
    }

    // The five servers of whatsapp/misc/Wid.ts.
    isUser() {
      return ['c.us', 'lid', 'bot', 'hosted', 'hosted.lid'].includes(this.server);
    }

    isRegularUser() {
      return this.isUser();
    }

    isLid() {
      return this.server === 'lid';
    }

    isGroup() {
      return this.server === 'g.us';
    }

    isNewsletter() {
      return this.server === 'newsletter';
    }

    isBroadcast() {
      return this.server === 'broadcast';
    }

    isStatus() {
      return this._serialized === 'status@broadcast';
    }

    isStatusV3() {
      return this.isStatus();
    }

    isBot() {
      return this.server === 'bot';
    }

    isPSA() {
      return this._serialized === '0@c.us';
    }

    isServer() {
      return this.user === 'server';
    }

    isCompanion() {
      return Boolean(this.device);
    }

    getDeviceId() {
      return this.device ?? 0;
    }

    static isXWid(server, wid) {
      return Boolean(wid) && wid.toString().endsWith(`@${server}`);
    }

    static isWid(wid) {
      return wid instanceof Wid || /^[\w.:-]+@(c\.us|lid|g\.us|broadcast|newsletter|bot|hosted|hosted\.lid)$/.test(String(wid));
    }

    static equals(one, other) {
      return String(one) === String(other);
    }

    static isUser(wid) {
      return Wid.isXWid('c.us', wid) || Wid.isXWid('lid', wid);
    }

    static isLid(wid) {
      return Wid.isXWid('lid', wid);
    }

    static isGroup(wid) {
      return Wid.isXWid('g.us', wid);
    }

    static isBroadcast(wid) {
      return Wid.isXWid('broadcast', wid);
    }

    static isNewsletter(wid) {
      return Wid.isXWid('newsletter', wid);
    }

    static isStatusV3(wid) {
      return String(wid) === 'status@broadcast';
    }

    static isStatus(wid) {
      return Wid.isStatusV3(wid);
    }
  }
  // Meta's transpiled classes carry enumerable statics; importNamespace of a classic module copies only those.
  for (const name of Object.getOwnPropertyNames(Wid)) {
    if (/^(is|equals)/.test(name)) Object.defineProperty(Wid, name, { enumerable: true });
  }
  return Wid;
});

defineModule('WAWebWidFactory', (require) => {
  const Wid = require('WAWebWid');
  const createWid = (id) => (id instanceof Wid ? id : Wid.isWid(id) ? new Wid(String(id)) : undefined);
  const createUserWidOrThrow = (user, server = 'c.us') => {
    const wid = createWid(String(user).includes('@') ? String(user) : `${user}@${server}`);
    if (!wid) throw new Error(`wid error: invalid wid ${user}`);
    return wid;
  };
  const withoutDevice = (wid) => new Wid(`${wid.user}@${wid.server}`);
  return {
    createWid,
    createUserWidOrThrow,
    createUserWid: createUserWidOrThrow,
    createDeviceWid: createWid,
    isWidlike: (value) => value instanceof Wid || (typeof value?._serialized === 'string' && 'server' in value),
    createWidFromWidLike: (value) => createWid(value._serialized ?? String(value)),
    asUserWidOrThrow: withoutDevice,
    toUserWidOrThrow: withoutDevice,
    toUserWid: withoutDevice,
    toChatWid: withoutDevice,
    userJidToUserWid: (jid) => createWid(String(jid).replace('@s.whatsapp.net', '@c.us')),
  };
});

defineClassicModule('WAWebMsgKey', (require) => {
  const cachedIn = readSwitches().msgkey_minified ? '$1' : '_serialized';

  class MsgKey {
    constructor(fields) {
      if (!fields) throw new Error('MsgKey error: obj is null/undefined');
      const { createWid } = require('WAWebWidFactory');
      const { id, participant, from, to, selfDir } = fields;
      this.fromMe = selfDir ? selfDir === 'out' : Boolean(fields.fromMe);
      this.remote = createWid(fields.remote ?? (this.fromMe ? to : from));
      this.id = id;
      if (participant) this.participant = createWid(participant);
      this[cachedIn] = [this.fromMe, this.remote, id, this.participant].filter((part) => part !== undefined).join('_');
    }

    clone() {
      return new MsgKey(this);
    }

    equals(other) {
      return Boolean(other) && this.toString() === other.toString();
    }

    static fromString(text) {
      const [fromMe, remote, id, participant] = text.split('_');
      if (!id) throw new Error(`MsgKey error: invalid key ${text}`);
      return new MsgKey({ fromMe: fromMe === 'true', remote, id, participant });
    }

    static async newId() {
      const bytes = crypto.getRandomValues(new Uint8Array(9));
      return `3EB0${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('').toUpperCase()}`;
    }

    static from(value) {
      return value instanceof MsgKey ? value : MsgKey.fromString(String(value));
    }
  }

  // wa-js reads the name of the cached property out of this function's source text.
  MsgKey.prototype.toString =
    cachedIn === '$1'
      ? function toString() {
          return this.$1;
        }
      : function toString() {
          return this._serialized;
        };
  Object.defineProperty(MsgKey.prototype, 'toString', { enumerable: false });
  for (const name of ['fromString', 'newId', 'from']) Object.defineProperty(MsgKey, name, { enumerable: true });
  return MsgKey;
});
