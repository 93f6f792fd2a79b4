// The life of the page: boot, signing in, syncing, losing the line, being blocked.
'use strict';

defineModule('Application', (require) => {
  const switches = readSwitches();
  const socket = () => require('WAWebSocketModel').Socket;
  const stream = () => require('WAWebStreamModel').Stream;

  async function start() {
    await require('DeviceIdentity').load();
    const me = require('DeviceIdentity').me();
    if (me) {
      self.releaseLateModules();
      require('WAWebConnModel').Conn.set({ connected: true });
      await require('ChatRoom').open();
    }
    self.Debug = { VERSION: switches.version };
    socket().set({ state: 'OPENING' });
    stream().set({ info: 'OPENING' });
    require('Gateway').connect();
  }

  async function signedIn({ me, contacts, groups }) {
    self.releaseLateModules();
    await require('DeviceIdentity').adopt(me);
    const { createWid } = require('WAWebWidFactory');
    require('WAWebConnModel').Conn.set({ connected: true, pushname: me.name, platform: me.platform, wid: createWid(me.wid) });
    for (const contact of [me, ...contacts]) require('AddressBook').know(contact);
    for (const group of groups) require('GroupDirectory').know(group);
    const resuming = socket().hasSynced;
    socket().set({ state: 'CONNECTED', stream: resuming ? 'RESUMING' : 'SYNCING' });
    stream().set(resuming ? { mode: 'MAIN', info: 'RESUMING' } : { mode: 'SYNCING', info: 'SYNCING' });
    if (resuming) synced();
    else setTimeout(synced, switches.sync_ms);
  }

  function synced() {
    if (socket().state !== 'CONNECTED') return;
    socket().set({ stream: 'CONNECTED', hasSynced: true });
    stream().set({ mode: 'MAIN', info: 'NORMAL' });
    const { Cmd } = require('WAWebCmd');
    if (!Cmd.isMainLoaded) Cmd.mainLoaded();
    require('WAWebBackendEventBus').BackendEventBus.trigger('main_stream_mode_ready');
    require('Screen').showChats();
    if (switches.whats_new_ms > 0) require('Screen').announce();
    require('Outbox').resend();
  }

  // A page that has synced once stays in MAIN while the line is down; only its info says OFFLINE.
  function disconnected() {
    if (!require('DeviceIdentity').me()) {
      socket().set({ state: 'OPENING' });
      return;
    }
    socket().set({ state: 'OPENING', stream: 'DISCONNECTED' });
    stream().set(socket().hasSynced ? { info: 'OFFLINE' } : { mode: 'OFFLINE', info: 'OFFLINE' });
    require('WAWebBackendEventBus').BackendEventBus.trigger('socket_stream_disconnected');
  }

  function blocked(state) {
    require('Gateway').stop();
    socket().set({ state, stream: 'DISCONNECTED' });
    stream().set({ mode: state, info: 'OFFLINE' });
    require('Screen').showNotice(
      state === 'CONFLICT'
        ? 'WhatsApp is open in another window. Click "Use here" to use WhatsApp in this window.'
        : `This account can not use WhatsApp Web: ${state}`,
    );
  }

  return { start, signedIn, disconnected, blocked };
});
