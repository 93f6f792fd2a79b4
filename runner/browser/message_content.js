/* The content of one message of WhatsApp's page: what its author typed, and what it is besides, in words and numbers.
 *
 * Attribute names: wa-js 4.6.0 [whatsapp/models/MsgModel.ts] and whatsapp-web.js [structures/Message.js]. A message
 * and the copy of one that a quote carries have the same names.
 */
const messageContent = (() => {
  "use strict";

  const { attempt, text, name, number, whole, list, lines } = values;
  const MAX_SUMMARY_LENGTH = 4_000;
  const MAX_QUOTE_LENGTH = 1_000;
  const MILLISECONDS_FROM = 100_000_000_000; // a time below this is in seconds

  const EMPTY = {
    kind: "other", text: "", caption: "", summary: "", variant: "", media: null, quote: null, mentions_us: false,
    edited_at_ms: null, automatic: false,
  };

  const KINDS = {
    chat: "text", image: "image", ptt: "voice", audio: "audio", video: "video", ptv: "video", document: "document",
    sticker: "sticker", location: "location", vcard: "contact_card", multi_vcard: "contact_card",
    ciphertext: "ciphertext", automated_greeting_message: "text",
  };
  const VARIANTS = {
    ptv: "video_note", multi_vcard: "contact_cards", poll_creation: "poll", poll_result_snapshot: "poll_result",
    order: "order", product: "product", payment: "payment", sticker_pack: "sticker_pack",
    list_response: "list_reply", buttons_response: "button_reply", template_button_reply: "button_reply",
    interactive_response: "form_reply", groups_v4_invite: "group_invite", newsletter_admin_invite: "channel_invite",
    newsletter_follower_invite: "channel_invite", event_creation: "event", scheduled_event_creation: "event",
    list: "business_message", interactive: "business_message", native_flow: "business_message",
    hsm: "business_message", template: "business_message",
  };
  // A linked device never gets these; the phone shows them [WhatsApp Web, subtype "view_once_unavailable_fanout"].
  const NEVER_HERE = "_unavailable_fanout";

  const isNeverHere = (message) => message.type === "ciphertext" && text(message.subtype).endsWith(NEVER_HERE);
  const kindOf = (message) => (isNeverHere(message) ? "other" : KINDS[message.type] ?? "other");

  function variantOf(message) {
    if (isNeverHere(message)) return text(message.subtype).slice(0, -NEVER_HERE.length);
    if (message.isViewOnce === true) return "view_once";
    if (message.type === "location" && message.isLive === true) return "live_location";
    if (message.type === "video" && message.isGif === true) return "gif";
    if (message.broadcast) return "broadcast";
    return VARIANTS[message.type] ?? "";
  }

  // What a person typed beside the thing itself. Programs send a file with its name as caption; of documents,
  // isCaptionByUser says so, of pictures it says nothing [chat/functions/sendFileMessage.ts].
  function captionOf(message) {
    switch (message.type) {
      case "image": case "video": case "ptv": case "document": {
        const caption = text(message.caption);
        const typed = message.type !== "document" || message.isCaptionByUser !== false;
        return typed && caption.trim() !== text(message.filename).trim() ? caption : "";
      }
      case "order": return text(message.message);
      case "location": case "groups_v4_invite": return text(message.comment);
      case "payment": return text(attempt(() => message.paymentNoteMsg.body)) || text(message.paymentNoteMsg);
      default: return "";
    }
  }

  const price = (thousandths, currency) => {
    const amount = number(thousandths);
    return amount === null ? "" : `${(amount / 1000).toFixed(2)} ${name(currency)}`.trim();
  };
  const labelled = (label, value) => (value ? `${label}: ${value}` : "");
  const moment = (seconds) =>
    (whole(seconds) ? attempt(() => new Date(whole(seconds) * 1000).toISOString().slice(0, 16) + " UTC", "") : "");

  function cardName(card) {
    const named = name(card.displayName) || name(card.formattedName) || name(card.vcardFormattedName);
    return named || name(/^FN[^:\n]*:(.+)$/m.exec(text(card.vcard ?? card.body))?.[1]);
  }

  // A filled-in form: its fields, without what only programs read.
  function fieldsOf(payload) {
    const json = attempt(() => payload.paramsJson ?? payload.buttonParamsJson);
    const fields = attempt(() => JSON.parse(json), {});
    const isWords = (value) => ["string", "number", "boolean"].includes(typeof value);
    const shown = ([key, value]) => !/token|version|(?:^|_)id$/.test(key) && isWords(value);
    return Object.entries(fields).filter(shown).map(([key, value]) => `${name(key)}: ${text(String(value), 500)}`);
  }

  function placeOf(message) {
    const { lat, lng } = message;
    const coordinates = number(lat) === null || number(lng) === null ? "" : `${number(lat)}, ${number(lng)}`;
    return lines(text(message.loc)) || coordinates;
  }

  const SUMMARIES = {
    poll_creation: (m) => lines(text(m.pollName), list(m.pollOptions).map((option) => `- ${text(option?.name, 200)}`)),
    order: (m) => lines(
      name(m.orderTitle), labelled("items", whole(m.itemCount)),
      labelled("total", price(m.totalAmount1000, m.totalCurrencyCode)),
    ),
    product: (m) => lines(
      name(m.title), price(m.salePriceAmount1000 ?? m.priceAmount1000, m.currencyCode), text(m.description),
    ),
    list_response: (m) => lines(text(m.body) || [text(m.listResponse?.title), text(m.listResponse?.description)]),
    buttons_response: (m) => lines(text(m.body)),
    template_button_reply: (m) => lines(text(m.body)),
    interactive_response: (m) => lines(text(m.body), fieldsOf(m.interactivePayload)),
    groups_v4_invite: (m) => name(m.inviteGrpName),
    vcard: (m) => cardName(m),
    multi_vcard: (m) => lines(list(m.vcardList).map(cardName)),
    location: placeOf,
    event_creation: (m) => lines(
      name(m.eventName), m.isEventCanceled === true ? "cancelled" : "", labelled("start", moment(m.eventStartTime)),
      labelled("end", moment(m.eventEndTime)), labelled("place", name(m.eventLocation?.name)), text(m.eventDescription),
    ),
    payment: (m) => price(m.paymentAmount1000, m.paymentCurrency),
    sticker_pack: (m) => name(m.stickerPackName),
    poll_result_snapshot: (m) => text(m.pollName),
  };
  SUMMARIES.scheduled_event_creation = SUMMARIES.event_creation;
  const businessWords = (m) => lines(
    text(m.title), text(m.caption || m.body), text(m.list?.title), text(m.list?.description), text(m.footer),
    list(m.dynamicReplyButtons).map((button) => `- ${text(button?.buttonText?.displayText, 200)}`),
    list(m.list?.sections).flatMap((section) => list(section?.rows)).map((row) => `- ${text(row?.title, 200)}`),
  );

  function summaryOf(message) {
    const summarize = SUMMARIES[message.type] ?? (VARIANTS[message.type] === "business_message" ? businessWords : null);
    return summarize ? text(attempt(() => summarize(message), ""), MAX_SUMMARY_LENGTH) : "";
  }

  const WITH_FILE = new Set(["image", "voice", "audio", "video", "document", "sticker"]);

  function mediaOf(message, kind) {
    if (!WITH_FILE.has(kind)) return null;
    return {
      mime: name(message.mimetype),
      size_bytes: whole(message.size),
      seconds: whole(message.duration),
      file_name: kind === "document" ? name(message.filename) : "",
    };
  }

  function quoteOf(message) {
    const copy = message.quotedMsg;
    if (!copy && !message.quotedStanzaID) return null;
    const content = typeof copy === "object" && copy !== null ? wordsOf(copy) : EMPTY;
    const author = message.quotedParticipant;
    return {
      id: text(message.quotedStanzaID, 128) || null,
      from_me: people.isOurs(author),
      sender: attempt(() => message.id.remote.isGroup(), false) ? people.idOf(author) : null,
      kind: content.kind,
      text: text(content.text || content.caption || content.summary, MAX_QUOTE_LENGTH),
    };
  }

  function mentionsUs(message) {
    const everyone = ((whole(message.nonJidMentions) ?? 0) & 1) === 1; // [WAWebNonJidMentionType.ts: MENTION_ALL]
    const own = people.ownIds();
    return everyone || list(message.mentionedJidList).some((wid) => people.isOurs(wid, own));
  }

  // WhatsApp itself says that nobody wrote it in this chat: Meta's assistant for businesses, the greeting of an
  // advertisement, and a message to a broadcast list, which stands in the chat of each of its members.
  const isAutomatic = (message) => message.id.fromMe === true
    && (Boolean(message.broadcast) || Boolean(message.bizBotType) || message.type === "automated_greeting_message");

  // When it was last edited; null if it never was.
  function editedAtMs(message) {
    if (!message.latestEditMsgKey && !message.latestEditSenderTimestampMs) return null;
    const at = whole(message.latestEditSenderTimestampMs) || whole(message.t) || 0;
    return at < MILLISECONDS_FROM ? at * 1000 : at;
  }

  function wordsOf(message) {
    const kind = kindOf(message);
    return {
      kind,
      text: kind === "text" ? text(message.body) : "", // a picture's body is its thumbnail
      caption: attempt(() => captionOf(message), ""),
      summary: summaryOf(message),
    };
  }

  // Each part on its own: one that cannot be read is left out, and the message is not lost for it.
  function of(message) {
    if (message.type === "revoked") return { ...EMPTY, deleted: true };
    const words = wordsOf(message);
    return {
      ...EMPTY,
      ...words,
      deleted: false,
      variant: attempt(() => variantOf(message), ""),
      media: attempt(() => mediaOf(message, words.kind)),
      quote: attempt(() => quoteOf(message)),
      mentions_us: attempt(() => mentionsUs(message), false),
      edited_at_ms: attempt(() => editedAtMs(message)),
      automatic: attempt(() => isAutomatic(message), false),
    };
  }

  return { of, kindOf, editedAtMs, isNeverHere };
})();
