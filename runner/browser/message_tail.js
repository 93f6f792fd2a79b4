/* The messages that the runner has not got yet: every chat's newest ones, and earlier ones that changed since.
 *
 * A key is a message's base and its revision, each later than the one before: "c" not decrypted yet, "x" not decrypted
 * for long, "" as it was sent, "e<time>" edited, "d" deleted for everyone. Each revision is handed in once.
 */
const messageTail = (() => {
  "use strict";

  const { attempt, inTime, whole } = values;
  const W = window.WPP;
  const CHANGES_WITHIN_S = 12 * 3600; // so long edits, deletions and late decryption of a message count
  // The control plane's ten minutes, and half a one, for this clock may be ahead of its: it is told once.
  const UNDECRYPTED_AFTER_S = 630;
  const REREAD_MS = 600_000;
  const BEGINNING_MS = 3_600_000;
  const MAX_BEGINNING_PAGES = 4;
  const MAX_REPORTED = 20_000;
  const MAX_PAGES = 40;
  const MESSAGES_PER_PAGE = 50;
  const QUERY_TIMEOUT_MS = 5_000; // a query of the local database takes milliseconds
  const UNREADABLE_RETRY_MS = 30_000;
  const MAX_PROBED_CHATS = 3;

  // Entries that WhatsApp adds to a chat by itself; never handed in.
  const NOT_WRITTEN = new Set([
    "e2e_notification", "notification", "notification_template", "group_notification", "gp2", "broadcast_notification",
    "call_log", "protocol", "debug", "debug_placeholder", "reaction", "reaction_enc", "poll_update", "pinned_message",
    "pin_message", "keep_in_chat", "newsletter_notification", "status_notification", "biz_content_placeholder",
    "biz_cover_photo", "comment", "comment_notification", "event_response", "event_edit_encrypted",
    "message_edit_encrypted", "poll_edit_encrypted", "secret_encrypted", "history_bundle", "message_history_bundle",
    "message_history_notice", "guest_upsell_system_msg", "loading_media", "album",
  ]);

  const pending = new Map(); // base → message that the runner has not acknowledged yet
  const reported = new Map(); // base → rank of the newest revision that the runner has; oldest first, bounded
  const undecrypted = new Map(); // base of a message that the runner has undecrypted → its second
  const watched = new Map(); // chat → seconds of its oldest and newest message that may still change
  const changed = new Map(); // base of a message that changed, however old it is → its second
  const loaded = new Map(); // chat → the second down to which its messages were read, and when
  const beginnings = new Map(); // chat → its oldest message's second, and when that was found out
  const unreadable = new Map(); // chat that could not be read → when it is tried again
  let remembers = false;

  const second = (message) => attempt(() => whole(message.t), 0);
  const nowS = () => Date.now() / 1000;

  function isWritten(message) {
    if (message.type === "automated_greeting_message") return message.id.fromMe === true;
    return Boolean(message.type) && !NOT_WRITTEN.has(message.type);
  }

  // A deleted message gets its deletion's id, and keeps its own as the key of what was deleted.
  const idWithin = (message) => (message.type === "revoked" && message.protocolMessageKey?.id) || message.id.id;

  function baseOf(message) {
    const { fromMe, remote, participant } = message.id;
    return [fromMe ? "me" : "contact", remote, participant ? String(participant) : "", idWithin(message)].join("|");
  }

  function revisionOf(message) {
    if (message.type === "revoked") return "d";
    if (messageContent.kindOf(message) === "ciphertext") {
      return nowS() - second(message) < UNDECRYPTED_AFTER_S ? "c" : "x";
    }
    const editedAt = messageContent.editedAtMs(message);
    return editedAt === null ? "" : `e${editedAt}`;
  }

  const RANKS = { c: 0, x: 1, "": 2, d: Infinity };

  function rankOf(revision) {
    if (revision.startsWith("e")) return 3 + Number(revision.slice(1));
    return RANKS[revision] ?? 2;
  }

  function split(key) {
    const end = key.lastIndexOf("|");
    return { base: key.slice(0, end), rank: rankOf(key.slice(end + 1)) };
  }

  function envelope(message, key) {
    const { remote, fromMe } = message.id;
    const id = String(idWithin(message));
    return { key, id, chat: people.idOf(remote), from_me: Boolean(fromMe), sent_at_s: second(message) };
  }

  function plain(message, key) {
    const { remote, participant, fromMe } = message.id;
    const inGroup = Boolean(participant) || attempt(() => remote.isGroup(), false);
    const author = participant ?? (inGroup ? message.author : remote);
    return {
      ...envelope(message, key),
      chat_alias: inGroup ? null : people.aliasOf(remote),
      phone: inGroup && fromMe ? null : attempt(() => people.phoneOf(author)),
      sender: inGroup ? people.idOf(author) : null,
      author: fromMe ? "" : attempt(() => people.nameOf(author, message.notifyName), ""),
      saved_contact: inGroup ? null : attempt(() => people.isSaved(remote)),
      chat_since_ms: null,
      ...messageContent.of(message),
    };
  }

  // One message that the page has in no usable form is no reason to read no other; returns whether it is usable.
  const enqueue = (message, since) => attempt(() => add(message, since) ?? true, false);

  function enqueueAll(messages, since) {
    const usable = messages.filter((message) => enqueue(message, since));
    if (messages.length > 0 && usable.length === 0) throw new TypeError("no usable message");
  }

  function add(message, since) {
    if (!message.id.id) throw new TypeError("no message");
    if (!isWritten(message)) return;
    const base = baseOf(message);
    const reportedRank = reported.get(base) ?? -1;
    const handedIn = reportedRank < 0 ? since : Math.min(since, nowS() - CHANGES_WITHIN_S);
    const from = Math.min(handedIn, changed.get(base) ?? Infinity);
    if (second(message) < from) return;
    const key = `${base}|${revisionOf(message)}`;
    const { rank } = split(key);
    if (reportedRank >= rank || pending.get(base)?.key === key) return;
    // A deletion also of what this runner never had: another one may have handed it in, or still have it on its disk.
    pending.set(base, attempt(() => plain(message, key)) ?? { ...envelope(message, key), kind: "other" });
  }

  // -- what the runner has --------------------------------------------------------------------------------------

  function record(key, at) {
    const { base, rank } = split(key);
    const newest = Math.max(rank, reported.get(base) ?? -1);
    changed.delete(base);
    reported.delete(base);
    reported.set(base, newest);
    if (newest > RANKS.c) undecrypted.delete(base);
    else if (at !== null) undecrypted.set(base, at);
    if (at === null || at < nowS() - CHANGES_WITHIN_S) return;
    const chat = base.split("|")[1];
    const known = watched.get(chat) ?? { oldest: at, newest: at };
    watched.set(chat, { oldest: Math.min(known.oldest, at), newest: Math.max(known.newest, at) });
  }

  function limitReported() {
    for (const base of reported.keys()) {
      if (reported.size <= MAX_REPORTED) break;
      reported.delete(base);
      undecrypted.delete(base);
      changed.delete(base);
    }
  }

  function remember(handedIn) {
    for (const [key, at] of handedIn) record(key, at);
    limitReported();
    remembers = true;
  }

  function acknowledge(keys) {
    for (const key of keys) {
      const { base } = split(key);
      const known = pending.get(base);
      record(key, known?.sent_at_s ?? null);
      if (known?.key === key) pending.delete(base);
    }
    limitReported();
  }

  // -- chats ----------------------------------------------------------------------------------------------------

  const older = (a, b) => (a === null || second(b) < second(a) ? b : a);
  const newer = (a, b) => (a === null || second(b) >= second(a) ? b : a);

  async function pageBefore(chat, anchor) {
    const wanted = { count: MESSAGES_PER_PAGE, direction: "before", id: anchor.toString() };
    return inTime(W.chat.getMessages(chat.id, wanted), QUERY_TIMEOUT_MS);
  }

  // After a start only a chat's last messages are in memory: the rest of its tail comes from the local database.
  // From the newest message on: one that came late is in memory, and others between them are not. Returns its pages, the
  // oldest first: within a second only their order says which message was written first.
  async function load(chat, down, inMemory) {
    const pages = [];
    let oldest = inMemory.reduce(newer, null);
    let anchor = attempt(() => oldest.id) ?? chat.lastReceivedKey;
    for (let page = 0; anchor && page < MAX_PAGES && (!oldest || second(oldest) >= down); page += 1) {
      const found = await pageBefore(chat, anchor);
      if (!oldest && page === 0) {
        const last = attempt(() => W.whatsapp.MsgStore.get(anchor.toString()));
        if (last) pages.unshift([last]);
      }
      pages.unshift(found);
      const next = found.reduce(older, null);
      if (!next || (oldest && String(next.id) === String(oldest.id))) break;
      oldest = next;
      anchor = next.id;
    }
    return pages;
  }

  // Down to where a chat is compared with what the runner has of it.
  function watchedFrom(id) {
    const told = [...changed].filter(([base]) => base.split("|")[1] === id).map(([, at]) => at);
    const known = watched.get(id);
    const from = nowS() - CHANGES_WITHIN_S;
    if (known && known.newest >= from) return Math.min(...told, Math.max(known.oldest, from));
    watched.delete(id);
    return Math.min(Infinity, ...told);
  }

  // Messages of a chat that are waited for no longer: each is looked for once.
  function overdueIn(id) {
    const isOverdue = ([base, at]) => base.split("|")[1] === id && nowS() - at >= UNDECRYPTED_AFTER_S;
    return [...undecrypted].filter(isOverdue).map(([base]) => base);
  }

  const inMemoryOf = (chat) => attempt(() => chat.msgs.getModelsArray(), []);
  const lastSecond = (chat) => Math.max(Number(chat.t) || 0, ...inMemoryOf(chat).slice(-1).map(second));

  async function read(chat, id, since, compareFrom) {
    const down = Math.min(since, compareFrom);
    const inMemory = chat.msgs.getModelsArray().slice();
    // What changes in the database alone is found by reading it again, now and then: the page gives no sign of it.
    const known = loaded.get(id) ?? { down: Infinity, at: 0, isPartial: false };
    const isPartial = known.isPartial || second(inMemory.reduce(older, null) ?? chat) > compareFrom;
    const isStale = isPartial && performance.now() - known.at > REREAD_MS;
    const overdue = isPartial ? overdueIn(id) : [];
    const isDue = known.down > down || isStale || overdue.length > 0;
    const pages = isDue ? await load(chat, down, inMemory) : [];
    for (const messages of [...pages, inMemory]) enqueueAll(messages, since);
    if (isDue) {
      const others = pages.flat().filter((message) => second(message) >= compareFrom && !inMemory.includes(message));
      loaded.set(id, { down: Math.min(down, known.down), at: performance.now(), isPartial: others.length > 0 });
    }
    for (const base of overdue) undecrypted.delete(base);
  }

  // The oldest message that the page has of a chat; of a long one, the oldest of the newest few hundred.
  async function beginningOf(chat) {
    const id = String(chat.id);
    const known = beginnings.get(id);
    if (known && performance.now() - known.at < BEGINNING_MS) return known.second;
    const counts = (message) => isWritten(message) && second(message) > 0;
    let oldest = inMemoryOf(chat).filter(counts).reduce(older, null);
    let anchor = attempt(() => oldest.id) ?? chat.lastReceivedKey;
    for (let page = 0; anchor && page < MAX_BEGINNING_PAGES; page += 1) {
      const found = await pageBefore(chat, anchor);
      const next = found.reduce(older, null);
      if (!next || String(next.id) === String(anchor)) break;
      anchor = next.id;
      oldest = found.filter(counts).reduce(older, oldest);
    }
    const at = oldest ? second(oldest) : null;
    beginnings.set(id, { second: at, at: performance.now() });
    return at;
  }

  function unknownBeginning(chat) {
    beginnings.set(String(chat.id), { second: null, at: performance.now() - BEGINNING_MS + UNREADABLE_RETRY_MS });
    return null;
  }

  async function addBeginning(message) {
    if (message.chat.endsWith("@g.us")) return;
    const chat = attempt(() => W.whatsapp.ChatStore.get(message.key.split("|")[1]));
    const since = chat ? await beginningOf(chat).catch(() => unknownBeginning(chat)) : null;
    message.chat_since_ms = since === null ? null : Math.min(since, message.sent_at_s) * 1000;
  }

  // Reads a chat if it may have something new; returns whether it had to be looked at. Throws if it cannot be read.
  async function visit(chat, since, sinceDefault, own) {
    const id = String(chat.id);
    const from = since[id] ?? sinceDefault;
    const compareFrom = watchedFrom(id);
    if (lastSecond(chat) < Math.min(from, compareFrom) || !people.isChatOfPeople(chat.id, own)) return false;
    if (performance.now() < (unreadable.get(id) ?? 0)) throw new Error("not yet");
    try {
      await read(chat, id, from, compareFrom);
      unreadable.delete(id);
    } catch (error) {
      unreadable.set(id, performance.now() + UNREADABLE_RETRY_MS);
      throw error;
    }
    return true;
  }

  // Whether any other chat can be read, where no chat could that has something new: is it the chat, or the page?
  async function canReadAnother(chats, failed, own) {
    const isOther = ({ id, lastReceivedKey }) =>
      Boolean(lastReceivedKey) && !failed.has(String(id)) && people.isChatOfPeople(id, own);
    for (const chat of chats.filter((each) => attempt(() => isOther(each), false)).slice(0, MAX_PROBED_CHATS)) {
      if (Array.isArray(await pageBefore(chat, chat.lastReceivedKey).catch(() => null))) return true;
    }
    return false;
  }

  async function tail(since, sinceDefault, limit) {
    // The runner first says what it has: the page of a new document knows of nothing.
    if (!remembers) throw Object.assign(new Error(), { code: "nothing_remembered" });
    const own = people.ownIds();
    const chats = W.whatsapp.ChatStore.getModelsArray().slice();
    const failed = new Set();
    let visited = 0;
    for (const chat of chats) {
      try {
        if (await visit(chat, since, sinceDefault, own)) visited += 1;
      } catch {
        failed.add(attempt(() => String(chat.id), ""));
      }
    }
    // Of a chat that cannot be read nothing is handed in: what came first must not be missing.
    const found = [...pending.values()].filter(({ key }) => !failed.has(key.split("|")[1]));
    found.sort((a, b) => a.sent_at_s - b.sent_at_s); // stable: within a second in the page's own order
    const messages = found.slice(0, limit);
    for (const message of messages) await addBeginning(message);
    const readable = failed.size === 0 || visited > 0 || await canReadAnother(chats, failed, own);
    return { messages, unreadable: failed.size, readable };
  }

  // Reads this message's chat from the database again with the next tail. After half a day offline a change may come of
  // a message that is older than changes are looked for: it counts all the same, also if another runner handed that in.
  function reread(key) {
    loaded.delete(String(key.remote));
    const message = attempt(() => W.whatsapp.MsgStore.get(key.toString()));
    if (!message) return;
    changed.set(baseOf({ id: key }), second(message));
    for (const base of changed.keys()) {
      if (changed.size <= MAX_REPORTED) break;
      changed.delete(base);
    }
  }

  return { tail, acknowledge, remember, reread };
})();
