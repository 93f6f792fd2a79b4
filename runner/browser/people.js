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

  // The phone's address book is by number; a LID has an entry of its own beside it.
  function contactsOf(wid) {
    const ids = [idOf(wid), aliasOf(wid)].filter(Boolean).sort((one) => (one.endsWith("@c.us") ? -1 : 1));
    return ids.map((id) => attempt(() => W.whatsapp.ContactStore.get(id))).filter(Boolean);
  }

  function nameOf(wid, shown) {
    const contacts = contactsOf(wid);
    const names = [
      ...contacts.map((contact) => contact.name), shown, ...contacts.map((contact) => contact.pushname),
      ...contacts.map((contact) => contact.verifiedName), ...contacts.map((contact) => contact.username),
    ];
    return names.map(name).find(Boolean) ?? "";
  }

  const isInAddressBook = (contact) => contact.isAddressBookContact === 1
    || attempt(() => W.whatsapp.functions.getIsMyContact(contact)) === true;

  // The page has an entry of everybody in the phone's address book: somebody with other entries only is not saved.
  // Null where it has none at all.
  function isSaved(wid) {
    const contacts = contactsOf(wid);
    return contacts.length === 0 ? null : contacts.some(isInAddressBook);
  }

  return { idOf, aliasOf, phoneOf, ownIds, isOurs, isChatOfPeople, nameOf, isSaved };
})();
