// How an unpaired page becomes a linked device: QR references, the 8-character code, the passkey demand.
'use strict';

defineModule('WAWebLinkDeviceEvents', (require) => {
  const EventEmitter = require('WAWebEventEmitter').default;
  class LinkDeviceEvents extends EventEmitter {
    triggerRefreshAltLinkingCode() {
      this.trigger('link_device_events:refresh_alt_linking_code');
    }

    triggerForceManualRefresh() {
      this.trigger('link_device_events:force_manual_refresh');
    }

    triggerPrimaryHelloReceived() {
      this.trigger('link_device_events:primary_hello_received');
    }

    triggerErrorAltLinking() {
      this.trigger('link_device_events:error_alt_linking');
    }
  }
  return { WAWebLinkDeviceEvents: new LinkDeviceEvents() };
});

defineModule('WAWebAltDeviceLinkingApi', (require) => {
  const askForCode = async (phone, push) => {
    const { code } = await require('Gateway').request('pair_code', { phone: String(phone).replace(/\D/g, ''), push });
    return code;
  };
  return {
    initializeAltDeviceLinking: async () => {},
    initializeQRLinking: async () => {},
    setPairingType: () => {},
    genLinkDeviceCodeForPhoneNumber: askForCode,
    startAltLinkingFlow: askForCode,
  };
});

defineModule('WAWebLaunchSocketUtils', (require) => ({
  refreshQR: () => require('Gateway').tell('refresh_qr'),
}));

defineModule('WAWebCompanionRegClientUtils', () => ({ DEVICE_PLATFORM: '1' }));

defineModule('WAWebAdvSignatureApi', () => ({
  verifyDeviceSignature: () => true,
}));

defineModule('Pairing', (require) => {
  const conn = () => require('WAWebConnModel').Conn;
  const socket = () => require('WAWebSocketModel').Socket;

  function showReference({ ref, ttl_ms: timeToLive }) {
    conn().set({ ref, refTTL: timeToLive });
    socket().set({ state: 'UNPAIRED' });
    require('WAWebStreamModel').Stream.set({ mode: 'QR', info: 'PAIRING' });
    require('Screen').showCode();
  }

  // The last reference stays where it is, expired: a client must not show it again.
  function rest() {
    socket().set({ state: 'UNPAIRED_IDLE' });
    require('Screen').offerReload();
  }

  async function becomeDevice({ me }) {
    socket().set({ state: 'PAIRING' });
    await require('DeviceIdentity').adopt(me);
    conn().set({ ref: undefined, connected: true });
    if (readSwitches().reload_after_pair) location.reload();
    else require('Gateway').reconnect(readSwitches().reconnect_ms);
  }

  // Some accounts demand the passkey of the phone before a new device is linked.
  async function demandPasskey() {
    require('Screen').demandPasskey();
    try {
      await navigator.credentials.get({
        publicKey: {
          challenge: crypto.getRandomValues(new Uint8Array(32)),
          rpId: 'web.whatsapp.com',
          userVerification: 'required',
          timeout: 60_000,
        },
      });
      require('Gateway').tell('passkey', { given: true });
    } catch (error) {
      require('Gateway').tell('passkey', { given: false, reason: error.name });
    }
  }

  return { showReference, rest, becomeDevice, demandPasskey };
});
