/* The runner's bridge into WhatsApp Web, on top of wa-js: one function, answers as plain data, errors as codes.
 *
 * Injected after the unmodified wa-js bundle and the scripts that read messages, in the top frame of WhatsApp Web
 * only (whatsapp.py). It decides nothing: it returns the state of the page, and notifies the runner of changes
 * through `answerlineHint`.
 * Sources of the protocol facts: wa-js 4.6.0, file names in brackets.
 */
(() => {
  "use strict";

  // A first QR code lives 60 s, the following ones 20 s (WAHA documentation; whatsmeow's pairing does the same).
  // The margin covers the time between its birth and wa-js's listener (up to about 1 s after load).
  const FIRST_QR_LIFE_MS = 60_000;
  const NEXT_QR_LIFE_MS = 20_000;
  const QR_MARGIN_MS = 2_000;
  const PAIRING_LIFE_MS = 195_000; // [linkDeviceCodeLifecycle.ts: 3.25 min]
  const CODE_TIMEOUT_MS = 10_000;
  const PASSKEY_SHOWN_MS = 300_000; // long enough to be read; then codes are shown again
  const REVOKED_MS = 1_000; // wa-js reports a deletion before WhatsApp has carried it out

  const { attempt, text } = values;
  const W = window.WPP;
  const state = {
    injected: false, qr: null, freshBatch: true, pairing: null, passkeyAt: null, loggedOut: false, reason: null,
    serverEventAt: null, unsolicitedEventAt: null,
  };

  const hint = (kind, detail = "") => {
    try { window.answerlineHint(kind, String(detail)); } catch { /* the page is going away */ }
  };
  const serverEvent = () => { state.serverEventAt = performance.now(); };
  const unsolicitedEvent = () => { state.unsolicitedEventAt = state.serverEventAt = performance.now(); };
  const msSince = (at) => (at === null ? null : Math.floor(performance.now() - at));

  // -- the state of the page ------------------------------------------------------------------------------------

  W.on("loader.injected", () => {
    state.injected = true;
    void W.whatsapp.MsgKey; // repairs the serialized ids, wa-js #3484 [whatsapp/misc/MsgKey.ts]
    attempt(() => W.whatsapp.LinkDeviceEvents.on("link_device_events:refresh_alt_linking_code", endPairing));
    attempt(() => W.whatsapp.LinkDeviceEvents.on("link_device_events:force_manual_refresh", endPairing));
    hint("state");
  });
  W.on("conn.auth_code_change", (auth) => {
    const value = auth?.fullCode ?? null;
    if (value === null) {
      state.qr = null;
    } else if (value !== state.qr?.value) {
      const usual = state.freshBatch ? FIRST_QR_LIFE_MS : NEXT_QR_LIFE_MS;
      const lifetime = Number(attempt(() => W.whatsapp.Conn.refTTL)); // unit unproven on the real site: never prolongs
      const life = lifetime >= 1_000 ? Math.min(lifetime, usual) : usual;
      state.freshBatch = false;
      state.qr = { value, endsAt: performance.now() + life - QR_MARGIN_MS };
    }
    hint("state");
  });
  W.on("conn.qrcode_idle", () => {
    state.qr = null;
    state.freshBatch = true;
    hint("state");
  });
  W.on("conn.logout_reason", (reason) => {
    state.reason = String(reason ?? "");
    hint("logout", state.reason);
  });
  W.on("conn.logout", () => {
    state.loggedOut = true;
    hint("logout", state.reason ?? "");
  });
  for (const event of ["conn.authenticated", "conn.stream_mode_changed", "conn.stream_info_changed", "conn.online",
    "conn.needs_update", "conn.main_ready", "loader.ready"]) {
    W.on(event, () => hint("state"));
  }
  W.on("conn.backend_event", (name) => {
    if (name === "offline_delivery_end") hint("message");
  });
  W.on("chat.new_message", (message) => {
    if (!message?.id?.fromMe) unsolicitedEvent();
    hint("message");
  });
  W.on("chat.msg_edited", ({ msg }) => {
    attempt(() => messageTail.reread(msg.id));
    hint("message");
  });
  W.on("chat.msg_revoke", ({ refId }) => {
    setTimeout(() => {
      attempt(() => messageTail.reread(refId));
      hint("message");
    }, REVOKED_MS);
  });
  // The server's ack answers what this page sent; a contact's receipt comes by itself [registerAckMessageEvent.ts].
  W.on("chat.msg_ack_change", ({ ack }) => (ack > 1 ? unsolicitedEvent() : serverEvent()));

  // This browser cannot answer a page that asks for a passkey: a person has to be notified.
  attempt(() => {
    const credentials = navigator.credentials;
    const get = credentials.get.bind(credentials);
    credentials.get = (...request) => {
      state.passkeyAt = performance.now();
      hint("state");
      return get(...request);
    };
  });

  const live = (code) => {
    const remaining = code ? Math.floor(code.endsAt - performance.now()) : 0;
    return remaining > 0 ? { value: code.value, remaining_ms: remaining } : null;
  };

  function endPairing() {
    state.pairing = null;
    hint("state");
  }

  function observe() {
    if (!state.injected) return { injected: false };
    const stream = attempt(() => W.conn.getStreamData(), {});
    const authenticated = attempt(() => W.conn.isAuthenticated(), false);
    if (authenticated) Object.assign(state, { qr: null, pairing: null, passkeyAt: null });
    const me = authenticated ? attempt(() => W.conn.getMyUserId()) : null;
    return {
      injected: true,
      mode: stream.mode ?? null,
      info: stream.info ?? null,
      socket: attempt(() => W.whatsapp.Socket.state),
      authenticated,
      number: me && me.server === "c.us" ? String(me.user) : null,
      idle: attempt(() => W.conn.isIdle(), false),
      qr: authenticated ? null : live(state.qr),
      pairing: authenticated ? null : live(state.pairing),
      pairing_phone: state.pairing?.phone ?? null,
      passkey_asked: state.passkeyAt !== null && performance.now() - state.passkeyAt < PASSKEY_SHOWN_MS,
      needs_update: attempt(() => W.whatsapp.Stream.needsUpdate === true, false),
      logged_out: state.loggedOut || location.search.includes("post_logout=1"),
      logout_reason: state.reason || new URLSearchParams(location.search).get("logout_reason"),
      delivered_offline: attempt(() => W.whatsapp.BackendEventBus.isOfflineDeliveryEnd === true, false),
      server_event_ms_ago: msSince(state.serverEventAt),
      unsolicited_event_ms_ago: msSince(state.unsolicitedEventAt),
      restriction: authenticated ? sentReplies.restriction() : null,
      dialog: authenticated && stream.mode === "MAIN" ? attempt(dialogKind) : null,
      missing: missing(stream.mode === "MAIN"),
      heap_bytes: performance.memory?.usedJSHeapSize ?? 0,
      version: text(attempt(() => window.Debug.VERSION, "")),
    };
  }

  // The runner needs these to receive, to prove that it is online and to send; some may come with the main bundle.
  const NEEDED = ["Conn", "Socket", "Stream", "Cmd"];
  const NEEDED_IN_MAIN = ["ChatStore", "MsgStore", "MsgKey"];
  const FUNCTIONS_IN_MAIN = ["queryWidExists", "findOrCreateLatestChat", "addAndSendMsgToChat", "msgFindByDirection"];
  const OLDER_NAMES = { msgFindByDirection: "msgFindQuery" }; // [chat/functions/getMessages.ts]

  function missing(inMain) {
    const models = (inMain ? [...NEEDED, ...NEEDED_IN_MAIN] : NEEDED).filter((name) => !attempt(() => W.whatsapp[name]));
    const functions = inMain ? FUNCTIONS_IN_MAIN : [];
    const isThere = (name) => Boolean(attempt(() => W.whatsapp.functions[name]));
    const lost = [...models, ...functions.filter((name) => !isThere(name) && !isThere(OLDER_NAMES[name]))];
    // The page has a reference to show, and wa-js cannot make a code of it.
    const codeless = !inMain && !state.qr && performance.now() > CODE_TIMEOUT_MS
      && attempt(() => W.whatsapp.Stream.mode === "QR" && Boolean(W.whatsapp.Conn.ref) && !W.conn.isIdle(), false);
    return codeless ? [...lost, "authCode"] : lost;
  }

  // -- dialogs --------------------------------------------------------------------------------------------------

  // "What's new" and similar dialogs cover the page until they are confirmed; left alone, WhatsApp unlinks the
  // device some minutes later (whatsapp-web.js #3550). They are found by their roles, not by their words.
  const DIALOGS = '[role="dialog"], [role="alertdialog"], [aria-modal="true"], dialog[open]';
  const BUTTONS = 'button, [role="button"]';
  const ENTRIES = 'input, textarea, select, [contenteditable="true"], [role="textbox"], [role="checkbox"], [role="radio"]';
  const shown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && element.getClientRects().length > 0;

  // The one action that a dialog leaves: its only button with words, or else its only button. Two buttons are a
  // decision, an entry is an answer; both are a person's.
  function dialogButton(dialog) {
    if (dialog.querySelector(ENTRIES)) return null;
    const buttons = [...dialog.querySelectorAll(BUTTONS)].filter(
      (button) => shown(button) && !button.parentElement.closest(BUTTONS)
        && !button.disabled && button.getAttribute("aria-disabled") !== "true",
    );
    const worded = buttons.filter((button) => button.innerText.trim() !== "");
    const choice = worded.length > 0 ? worded : buttons;
    return choice.length === 1 ? choice[0] : null;
  }

  function topDialog() {
    return [...document.querySelectorAll(DIALOGS)].filter(shown).pop() ?? null;
  }

  function dialogKind() {
    const dialog = topDialog();
    return dialog && (dialogButton(dialog) ? "confirm" : "unclear");
  }

  function confirmDialog() {
    const dialog = topDialog();
    const button = dialog && dialogButton(dialog);
    button?.click();
    return Boolean(button);
  }

  // -- the login ------------------------------------------------------------------------------------------------

  async function prove() {
    // The native query: wa-js's own queryExists answers from its caches [contact/functions/queryWidExists.ts].
    const me = W.conn.getMyUserId();
    const answer = await W.whatsapp.functions.queryWidExists(me);
    if (answer?.wid) serverEvent();
    return Boolean(answer?.wid);
  }

  function refreshQr() {
    state.freshBatch = true;
    W.whatsapp.Cmd.refreshQR(); // without the waiting of WPP.conn.refreshQR: the next code comes as an event
  }

  async function pair(phone) {
    const value = await W.conn.genLinkDeviceCodeForPhoneNumber(phone, true);
    state.pairing = { value: String(value), phone, endsAt: performance.now() + PAIRING_LIFE_MS - QR_MARGIN_MS };
    hint("state");
  }

  function takeOver() {
    W.whatsapp.Socket.takeover();
  }

  // -- signs that a contact sees --------------------------------------------------------------------------------

  async function markSeen(chatId) {
    await W.chat.markIsRead(chatId);
  }

  async function showTyping(chatId, typing) {
    await (typing ? W.chat.markIsComposing(chatId) : W.chat.markIsPaused(chatId));
  }

  // -- the one entry point --------------------------------------------------------------------------------------

  const calls = {
    observe, prove, confirmDialog, refreshQr, pair, takeOver, markSeen, showTyping,
    find: sentReplies.find, send: sentReplies.send, resend: sentReplies.resend, maySend: sentReplies.maySend,
    tail: messageTail.tail, acknowledge: messageTail.acknowledge, remember: messageTail.remember,
  };
  Object.defineProperty(window, "answerline", {
    value: async (name, args) => {
      try {
        return { value: (await calls[name](...args)) ?? null };
      } catch (error) {
        // Only a code leaves the page: error texts hold numbers ("Chat not found for …").
        return { code: String(error?.code ?? error?.name ?? "error").slice(0, 80) };
      }
    },
  });
})();
