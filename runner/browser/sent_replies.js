/* The line's own messages: sent under a chosen id, found again, sent again after WhatsApp refused them; and whether
 * WhatsApp restricts the account.
 *
 * wa-js 4.6.0 has no function for the last two. WhatsApp Web's own modules have; their names in brackets were read in
 * its code of summer 2026. Where a page lacks them, nothing is restricted, and sending again fails with a code.
 */
const sentReplies = (() => {
  "use strict";

  const { attempt, text, whole } = values;
  const W = window.WPP;
  const ACK_TIMEOUT_MS = 5_000;
  const CLOCK = 0, SENT = 1, FAILED = -1; // [whatsapp/enums/ACK.ts]

  const module = (name) => attempt(() => W.loader.loadModule(name));

  // The key's remote must be the chat as WhatsApp has it, which changes with the LID migration
  // [chat/functions/prepareRawMessage.ts: message_key_remote_id_is_not_same_of_chat].
  function ownKey(chat, message) {
    const key = `true_${chat.id}_${message}`;
    if (!chat.id.isGroup()) return key;
    return `${key}_${W.whatsapp.UserPrefs.getMeLidUserOrThrow()}`;
  }

  // WhatsApp Web calls a message failed if its server refused it (ack < 0), or if it could not be sent and is not sent
  // again by itself [WAWebMsgGetters.getIsFailed].
  function ackOf(message) {
    const ack = Number(message.ack ?? CLOCK);
    return ack === CLOCK && message.isSendFailure === true ? FAILED : ack;
  }

  // Of a send that has ended: "OK", or why not [whatsapp/enums/SendMsgResult.ts].
  function ackAfter(outcome, ack) {
    if (outcome === "OK") return Math.max(ack, SENT);
    return outcome && ack === CLOCK ? FAILED : ack;
  }

  async function find(chatId, message) {
    const chat = await W.chat.find(chatId);
    try {
      return { ack: ackOf(await W.chat.getMessageById(ownKey(chat, message))) };
    } catch (error) {
      if (error?.code === "msg_not_found") return null;
      throw error;
    }
  }

  async function quoted(chat, message) {
    const inMemory = attempt(() => chat.msgs.getModelsArray().find(({ id }) => id.id === message && !id.fromMe));
    if (inMemory) return inMemory;
    return await W.chat.getMessageById(`false_${chat.id}_${message}`).catch(() => null);
  }

  // wa-js waits for the server's ack without end; replies to other chats wait behind it.
  function withTimeout(sending) {
    return Promise.race([sending, new Promise((resolve) => setTimeout(resolve, ACK_TIMEOUT_MS, null))]);
  }

  async function send(chatId, message, body, quote) {
    const chat = await W.chat.find(chatId);
    const sendText = (more) => withTimeout(W.chat.sendTextMessage(chat.id, body, {
      messageId: ownKey(chat, message), waitForAck: true, linkPreview: false, detectMentioned: false,
      markIsRead: false, ...more,
    }));
    const original = quote ? await quoted(chat, quote) : null;
    let result;
    try {
      result = await sendText(original ? { quotedMsg: original } : {});
    } catch (error) {
      if (error?.code !== "quoted_msg_can_not_reply" && error?.code !== "invalid_quoted_msg") throw error;
      result = await sendText({});
    }
    if (!result) return { ack: CLOCK };
    return { ack: ackAfter(result.sendMsgResult?.messageSendResult, Number(result.ack ?? CLOCK)) };
  }

  // The "try again" of WhatsApp Web's own screen: the same message under the same id [WAWebResendMsgAction]. Deleting
  // it first would be a "delete for me", which reaches the phone, and might delete the next one there too.
  async function resend(chatId, message) {
    const chat = await W.chat.find(chatId);
    const failed = await W.chat.getMessageById(ownKey(chat, message));
    const outcome = await withTimeout(Promise.resolve(module("WAWebResendMsgAction").resendMsg(failed)));
    return { ack: ackAfter(outcome, ackOf(failed)) };
  }

  // -- a restricted account ---------------------------------------------------------------------------------------

  // WhatsApp keeps restricted accounts from writing to contacts who did not write to them, for hours or days; some
  // from the phone, too, some from linked devices only [WAWebReachoutTimelockUtils, WAWebUserPrefsTypes].
  function restriction() {
    const rules = module("WAWebReachoutTimelockUtils");
    if (attempt(() => rules.isUserReachoutTimelocked()) !== true) return null;
    const stored = attempt(() =>
      module("WAWebUserPrefsIndexedDBStorage").userPrefsIdb.get(rules.REACHOUT_TIMELOCK_IDB_KEY), {});
    const until = whole(stored.time_enforcement_ends);
    if (until !== null && until <= Date.now()) return null; // WhatsApp Web asks its server again only on its screen
    return { until_ms: until, kind: text(stored.enforcement_type) };
  }

  // What a person could do on WhatsApp Web's own screen: it opens no other chat while the account is restricted.
  async function maySend(chatId) {
    if (restriction() === null) return true;
    const chat = await W.chat.find(chatId);
    const rules = module("WAWebReachoutTimelockUtils");
    return attempt(() => rules.canSendMsgWhileTimelocked({ chat, contact: chat.contact }), true) === true;
  }

  return { find, send, resend, restriction, maySend };
})();
