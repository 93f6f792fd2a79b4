// Build constants, and this device's own identity.
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
