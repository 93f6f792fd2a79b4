// The state of the line: Conn, Socket, Stream, Cmd, network status and logout.
'use strict';

defineModule('WAWebSocketConstants', () => {
  const names = (...values) => Object.fromEntries(values.map((value) => [value, value]));
  return {
    SOCKET_STATE: names(
      'OPENING', 'PAIRING', 'UNPAIRED', 'UNPAIRED_IDLE', 'CONNECTED', 'TIMEOUT', 'CONFLICT',
      'UNLAUNCHED', 'PROXYBLOCK', 'TOS_BLOCK', 'SMB_TOS_BLOCK', 'DEPRECATED_VERSION',
    ),
    SOCKET_STREAM: names('DISCONNECTED', 'SYNCING', 'RESUMING', 'CONNECTED'),
    WATCHED_SOCKET_STATE: names('OPEN', 'CLOSED'),
  };
});

defineModule('WAWebConnModel', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  class ConnImpl extends BaseModel {}
  defineModel(ConnImpl, 'conn', {
    ref: undefined,
    refTTL: undefined,
    connected: false,
    platform: 'android',
    pushname: undefined,
    wid: undefined,
    canSetMyPushname: true,
    isSMB: false,
    battery: undefined,
  });
  return { ConnImpl, Conn: new ConnImpl() };
});

defineModule('WAWebSocketModel', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  class Socket extends BaseModel {
    async logout() {
      await require('Gateway').request('logout', {}).catch(() => null);
      require('Logout').leave('user_initiated');
    }

    poke() {
      require('Gateway').tell('refresh_qr');
    }

    takeover() {
      require('Gateway').reconnect();
    }

    reconnect() {
      require('Gateway').reconnect();
    }
  }
  defineModel(Socket, 'socket', { state: 'UNLAUNCHED', stream: 'DISCONNECTED', hasSynced: false });
  return { Socket: new Socket() };
});

defineModule('WAWebStreamModel', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  class Stream extends BaseModel {
    markAvailable() {
      require('Gateway').tell('presence', { available: true });
      this.available = true;
    }

    markUnavailable() {
      require('Gateway').tell('presence', { available: false });
      this.available = false;
    }
  }
  defineModel(Stream, 'stream', {
    mode: undefined,
    info: undefined,
    displayInfo: undefined,
    needsUpdate: false,
    available: false,
  });
  return { Stream: new Stream() };
});

defineModule('WAWebCmd', (require) => {
  const EventEmitter = require('WAWebEventEmitter').default;
  class CmdImpl extends EventEmitter {
    isMainLoaded = false;

    uiBusy = 0;

    mainLoaded() {
      this.isMainLoaded = true;
      this.trigger('main_loaded');
    }

    refreshQR() {
      require('Gateway').tell('refresh_qr');
      this.trigger('refresh_qr');
    }

    async openChatBottom({ chat }) {
      return this.openChatFromUnread({ chat });
    }

    async openChatAt({ chat }) {
      return this.openChatFromUnread({ chat });
    }

    async openChatFromUnread({ chat }) {
      require('WAWebChatCollection').ChatCollection.forEach((other) => other.set({ active: other === chat }));
      return true;
    }

    closeChat(chat) {
      chat?.set({ active: false });
    }
  }
  return { CmdImpl, Cmd: new CmdImpl() };
});

defineModule('WAWebNetworkStatus', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  class NetworkStatus extends BaseModel {
    checkOnline() {
      this.online = navigator.onLine;
      return Promise.resolve(this.online);
    }
  }
  defineModel(NetworkStatus, 'network-status', { online: true });
  const status = new NetworkStatus();
  addEventListener('online', () => status.checkOnline());
  addEventListener('offline', () => status.checkOnline());
  return { default: status };
});

defineModule('WAWebBackendEventBus', (require) => {
  const EventEmitter = require('WAWebEventEmitter').default;
  return {
    BackendEvent: {
      LOGOUT: 'logout',
      REFRESH_QR: 'refresh_qr',
      OPEN_SOCKET_STREAM: 'open_socket_stream',
      SOCKET_STREAM_DISCONNECTED: 'socket_stream_disconnected',
      MAIN_STREAM_MODE_READY: 'main_stream_mode_ready',
      OFFLINE_DELIVERY_END: 'offline_delivery_end',
      ACCOUNT_TEMPORARILY_BANNED: 'account_temporarily_banned',
    },
    BackendEventBus: new EventEmitter(),
  };
});

defineModule('WAWebLogoutReason', () => ({
  getErrorCodeFromLogoutReason: (reason) => (reason === 'account_locked' ? '3' : reason === 'syncd_failure' ? '1' : null),
  setPrevLogoutReasonCode: () => {},
  getPrevLogoutReasonCode: () => null,
  setPrevCustomLogoutMessage: () => {},
  getPrevCustomLogoutMessage: () => null,
}));

defineModule('WAWebLogoutReasonConstants', () => ({
  LogoutReason: {
    UserInitiated: 'user_initiated',
    SyncdFailure: 'syncd_failure',
    UnknownCompanion: 'unknown_companion',
    AccountLocked: 'account_locked',
    PrimaryIdentityKeyChange: 'primary_identity_key_change',
  },
  LOGOUT_REASON_CODE: { CLIENT_FATAL: '0', SYNC_FAIL: '1', INITIAL_HISTORY_SYNC_TIMEOUT: '2', ACCOUNT_LOCKED: '3' },
}));

defineModule('Logout', (require) => {
  let leaving = false;

  // The Cmd event is always asynchronous: wa-js subscribes to it after calling Socket.logout().
  function leave(reason) {
    if (leaving) return;
    leaving = true;
    require('Gateway').stop();
    require('WAWebLogoutReason').getErrorCodeFromLogoutReason(reason);
    setTimeout(async () => {
      require('WAWebCmd').Cmd.trigger('logout');
      require('WAWebBackendEventBus').BackendEventBus.trigger('logout');
      require('WAWebSocketModel').Socket.set({ state: 'UNPAIRED', hasSynced: false });
      await require('DeviceIdentity').forget();
      setTimeout(() => location.assign(`/?post_logout=1&logout_reason=${reason}`), readSwitches().logout_reload_ms);
    });
  }

  return { leave };
});
