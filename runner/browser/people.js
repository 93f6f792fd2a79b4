/* People and chats of WhatsApp's page: ids, phone numbers, names, and what the phone's contacts say of them. */
const people = (() => {
  "use strict";

  const { attempt, name } = values;
  const W = window.WPP;
  const CHATS_OF_PEOPLE = new Set(["c.us", "lid", "g.us"]);
  // WhatsApp's own account, and Meta AI, which has numbers too [WhatsApp Web, WAWebWid: isBot; WAWebBotUtils].
  const ACCOUNTS_OF_META = /^(?:0|13135550\d{3}|1316555\d{4})@c\.us$/;

  // "49170:5@c.us" is the fifth device of "49170@c.us".
  const idOf = (wid) => (wid ? String(wid).replace(/(?:\.\d+)?:\d+(?=@)/, "") : null);
  const digitsOf = (id) => (id?.endsWith("@c.us") ? id.slice(0, -"@c.us".length) : null);

  function aliasOf(wid) {
    const cache = W.whatsapp.lidPnCache;
    return idOf(attempt(() => (wid.isLid() ? cache.getPhoneNumber(wid) : cache.getCurrentLid(wid))));
  }

  function phoneOf(wid) {
    return digitsOf(idOf(wid)) ?? digitsOf(aliasOf(wid));
  }

  function ownIds() {
    const wids = [attempt(() => W.conn.getMyUserId()), attempt(() => W.conn.getMyUserLid())];
    return new Set(wids.map(idOf).filter(Boolean));
  }

  const isOurs = (wid, own = ownIds()) => own.has(idOf(wid));

  // Channels, status posts, broadcast lists, bots, accounts of WhatsApp, and the chat with oneself are no people.
  function isChatOfPeople(wid, own) {
    const id = String(wid);
    return CHATS_OF_PEOPLE.has(id.split("@")[1]) && !ACCOUNTS_OF_META.test(id) && !isOurs(wid, own)
      && !attempt(() => wid.isBot(), false);
  }

  // The phone's contacts are by number; a LID has an entry of its own beside them.
  function contactsOf(wid) {
    const alias = aliasOf(wid);
    const found = (id) => (id ? attempt(() => W.whatsapp.ContactStore.get(id)) : null);
    const [first, second] = [found(wid), found(alias)];
    return idOf(wid)?.endsWith("@c.us") || !alias ? [first, second] : [second, first];
  }

  function nameOf(wid, shown) {
    const contacts = contactsOf(wid).filter(Boolean);
    const names = [
      ...contacts.map((contact) => contact.name), shown, ...contacts.map((contact) => contact.pushname),
      ...contacts.map((contact) => contact.verifiedName), ...contacts.map((contact) => contact.username),
    ];
    return names.map(name).find(Boolean) ?? "";
  }

  const saysSaved = (contact) => {
    const isMine = attempt(() => W.whatsapp.functions.getIsMyContact(contact));
    if (contact.isAddressBookContact === 1 || isMine === true) return true;
    return contact.isAddressBookContact === 0 ? false : null;
  };

  // Null where the page does not know: the entry by number counts, unless there is none to be had.
  function isSaved(wid) {
    const [first, second] = contactsOf(wid).map((contact) => (contact ? saysSaved(contact) : null));
    return first === true || second === true ? true : first;
  }

  return { idOf, aliasOf, phoneOf, ownIds, isOurs, isChatOfPeople, nameOf, isSaved };
})();
