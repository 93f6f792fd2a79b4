// Who is who: build constants, ids of people and messages, and this device's own identity.
'use strict';

defineModule('WAWebBuildConstants', () => ({
  SANITIZED_VERSION_STR: readSwitches().version,
  VERSION_STR: readSwitches().version,
}));

defineModule('WAWebAck', () => ({
  ACK: { FAILED: -1, CLOCK: 0, SENT: 1, RECEIVED: 2, READ: 3, PLAYED: 4, PEER: 5 },
  ACK_STRING: { SENDER: 'sender', DELIVERY: 'delivery', READ: 'read', PLAYED: 'played', READ_SELF: 'read-self' },
  EDIT_ATTR: { SENDER_REVOKE: 7, ADMIN_REVOKE: 8 },
}));

defineModule('WATimeUtils', () => ({
  unixTime: () => Math.floor(Date.now() / 1000),
  unixTimeMs: () => Date.now(),
}));

defineModule('WABase64', () => ({
  encodeB64: (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))),
  decodeB64: (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer,
}));

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

// The device's keys and account. Logged in means: IndexedDB has the account AND localStorage has the marker.
defineModule('DeviceIdentity', (require) => {
  const marker = 'last-wid-md';
  let identity = null;

  const randomBytes = () => crypto.getRandomValues(new Uint8Array(32));

  async function load() {
    identity = (await require('Storage').read('device', 'identity')) ?? (await create());
    if (identity.me && !localStorage.getItem(marker)) identity = await create();
    return identity;
  }

  async function create() {
    const fresh = { noiseKey: randomBytes(), identityKey: randomBytes(), advSecret: randomBytes(), me: null };
    await require('Storage').write('device', 'identity', fresh);
    return fresh;
  }

  async function adopt(me) {
    identity = { ...identity, me };
    localStorage.setItem(marker, JSON.stringify(me.device));
    await require('Storage').write('device', 'identity', identity);
  }

  async function forget() {
    identity = null;
    localStorage.clear();
    await require('Storage').clear();
  }

  function publicKeys() {
    const { encodeB64 } = require('WABase64');
    return {
      noise: encodeB64(identity.noiseKey),
      identity: encodeB64(identity.identityKey),
      secret: encodeB64(identity.advSecret),
    };
  }

  return { load, adopt, forget, publicKeys, current: () => identity, me: () => identity?.me ?? null };
});

defineModule('WAWebUserPrefsMeUser', (require) => {
  const widOf = (name) => {
    const serialized = require('DeviceIdentity').me()?.[name];
    return serialized ? require('WAWebWidFactory').createWid(serialized) : undefined;
  };
  const getMaybeMePnUser = () => widOf('wid');
  const getMaybeMeLidUser = () => widOf('lid');
  const orThrow = (wid) => {
    if (!wid) throw new Error('no me user');
    return wid;
  };
  const isMeUser = (wid) => [getMaybeMePnUser(), getMaybeMeLidUser()].some((me) => me?.isSameAccount(wid));
  return {
    getMaybeMePnUser,
    getMaybeMeLidUser,
    getMePnUserOrThrow: () => orThrow(getMaybeMePnUser()),
    getMeLidUserOrThrow: () => orThrow(getMaybeMeLidUser()),
    getMaybeMeDevicePn: () => widOf('device'),
    getMaybeMeDisplayName: () => require('DeviceIdentity').me()?.name,
    isMeUser,
    isMeAccount: isMeUser,
  };
});

defineModule('WAWebSignalStoreApi', (require) => ({
  waSignalStore: {
    getRegistrationInfo: async () => ({
      registrationId: 1,
      identityKeyPair: { pubKey: require('DeviceIdentity').current().identityKey.buffer },
    }),
  },
}));

defineModule('WAWebUserPrefsInfoStore', (require) => ({
  waNoiseInfo: {
    get: async () => ({ staticKeyPair: { pubKey: require('DeviceIdentity').current().noiseKey.buffer } }),
  },
}));

defineModule('WAWebUserPrefsMultiDevice', (require) => ({
  getADVSecretKey: () => require('DeviceIdentity').publicKeys().secret,
  setADVSignedIdentity: () => {},
}));

defineModule('WAWebUserPrefsRegistration', (require) => ({
  isRegistered: () => require('DeviceIdentity').me() !== null,
}));

defineModule('WAWebUserPrefsLogin', (require) => ({
  isLoggedIn: () => require('DeviceIdentity').me() !== null && localStorage.getItem('last-wid-md') !== null,
}));
