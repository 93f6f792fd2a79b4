// The one websocket to the server: requests, events in order, reconnecting.
'use strict';

defineModule('Gateway', (require) => {
  const switches = readSwitches();
  const requests = new Map();
  let socket = null;
  let lastRequest = 0;
  let stopped = false;
  let signedIn = false;
  let reconnecting = null;
  let unacknowledged = 0;
  let work = Promise.resolve();

  function connect() {
    clearTimeout(reconnecting);
    stopped = false;
    signedIn = false;
    const opened = new WebSocket(`wss://${location.host}/ws/chat`);
    socket = opened;
    opened.onopen = () => {
      const me = require('DeviceIdentity').me();
      put({ type: 'hello', device: me?.device ?? null, keys: require('DeviceIdentity').publicKeys(), version: switches.version });
    };
    opened.onmessage = ({ data }) => {
      if (socket === opened) hear(JSON.parse(data));
    };
    opened.onclose = () => {
      if (socket === opened) lose();
    };
  }

  function lose() {
    socket = null;
    signedIn = false;
    for (const { reject } of requests.values()) reject(new Error('socket closed'));
    requests.clear();
    if (stopped) return;
    require('Application').disconnected();
    reconnecting = setTimeout(connect, switches.reconnect_ms);
  }

  function reconnect(delay = 0) {
    stop();
    reconnecting = setTimeout(connect, delay);
  }

  function stop() {
    stopped = true;
    clearTimeout(reconnecting);
    const open = socket;
    socket = null;
    open?.close();
  }

  function put(message) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  // Said when there is somebody to hear it; what must not be lost goes through the Outbox.
  function tell(type, content = {}) {
    if (signedIn || type === 'refresh_qr' || type === 'passkey') put({ ...content, type });
  }

  function request(type, content) {
    lastRequest += 1;
    const number = lastRequest;
    return new Promise((resolve, reject) => {
      if (socket?.readyState !== WebSocket.OPEN) {
        reject(new Error('socket is not open'));
        return;
      }
      requests.set(number, { resolve, reject });
      put({ ...content, type, request: number });
    });
  }

  function hear(message) {
    if (message.type === 'answer') {
      const waiting = requests.get(message.request);
      requests.delete(message.request);
      if (message.error) waiting?.reject(new Error(message.error));
      else waiting?.resolve(message);
      return;
    }
    if (message.type === 'success') signedIn = true;
    work = work.then(() => handlers[message.type](message)).catch((error) => console.error(message.type, error));
  }

  // The server forgets an event only once this device could lose its power without losing it.
  async function acknowledgeWhenWritten(seq) {
    unacknowledged = Math.max(unacknowledged, seq);
    await require('Storage').written();
    if (unacknowledged === seq) put({ type: 'delivered', upto: seq });
  }

  const handlers = {
    ref: (message) => require('Pairing').showReference(message),
    qr_idle: () => require('Pairing').rest(),
    code_used: () => require('WAWebLinkDeviceEvents').WAWebLinkDeviceEvents.triggerPrimaryHelloReceived(),
    passkey: () => {
      void require('Pairing').demandPasskey();
    },
    paired: (message) => require('Pairing').becomeDevice(message),
    success: (message) => require('Application').signedIn(message),
    ack: (message) => require('Outbox').acknowledge(message),
    nack: (message) => require('Outbox').refuse(message),
    restriction: (message) => require('Restriction').learn(message),
    chatstate: ({ chat, state }) =>
      require('WAWebPresenceCollection').PresenceCollection.hear(require('WAWebWidFactory').createWid(chat), state),
    contact: ({ contact }) => require('AddressBook').know(contact),
    events: async ({ events }) => {
      for (const event of events) await require('Inbox')[event.kind](event);
      void acknowledgeWhenWritten(events.at(-1).seq);
    },
    hoard: ({ mebibytes }) => {
      void require('Hoard').grow(mebibytes);
    },
    needs_update: () => require('WAWebStreamModel').Stream.set({ needsUpdate: true }),
    conflict: () => require('Application').blocked('CONFLICT'),
    blocked: ({ state }) => require('Application').blocked(state),
    logout: ({ reason }) => require('Logout').leave(reason),
  };

  return { connect, reconnect, stop, tell, request };
});

// What the server keeps for a device until the device has written it down.
defineModule('Inbox', (require) => ({
  async msg({ message, contact, group }) {
    if (contact) require('AddressBook').know(contact);
    if (group) require('GroupDirectory').know(group);
    const archive = require('MessageArchive');
    const known = archive.find(require('MessageTranslation').keyOf(message));
    if (known && known.type !== 'ciphertext') return;
    // What came as unreadable in an earlier life of the page, and is not in memory, changes on disk only.
    const { MsgCollection } = require('WAWebMsgCollection');
    if (!known || MsgCollection.get(require('MessageTranslation').keyOf(message))) {
      const attributes = require('MessageTranslation').attributesOf(message, true);
      await MsgCollection.processMultipleMessages(require('WAWebWidFactory').createWid(message.chat), [attributes]);
    }
    void archive.save([message]);
  },

  async edit({ message }) {
    if (message.type === 'ciphertext' || !require('MessageArchive').has(message)) return;
    await require('MessageChanges').edit(message);
    void require('MessageArchive').save([message]);
  },

  async revoke({ message, id, subtype, t }) {
    if (!require('MessageArchive').has(message)) return;
    await require('MessageChanges').revoke(message, { id, subtype, t });
    void require('MessageArchive').save([message]);
  },

  async history({ messages, chats }) {
    await require('ChatRoom').receiveHistory(messages, chats);
  },

  async receipt({ chat, ids, ack, participant }) {
    const { ACK_STRING } = require('WAWebAck');
    await require('WAWebHandleMsgReceipts').handleChatSimpleReceipt({
      type: 'receipt',
      externalIds: ids,
      from: require('WAWebWidFactory').createWid(chat),
      participant: participant ? require('WAWebWidFactory').createWid(participant) : null,
      recipient: null,
      ack,
      ackString: ack >= 3 ? ACK_STRING.READ : ACK_STRING.DELIVERY,
    });
  },

  async read_elsewhere({ chat }) {
    await require('ChatRoom').markRead(require('ChatRoom').of(chat));
  },
}));
