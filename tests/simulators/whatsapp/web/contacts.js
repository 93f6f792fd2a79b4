// People: contacts, their phone-number and LID identities, presence, and "is this number on WhatsApp?".
'use strict';

defineModule('WAWebContactModel', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  class Contact extends BaseModel {}
  defineModel(Contact, 'contact', {
    id: undefined,
    name: undefined,
    shortName: undefined,
    pushname: undefined,
    username: undefined,
    // 1 and 0, not true and false; undefined as long as nothing is known.
    isAddressBookContact: undefined,
    phoneNumber: undefined,
    isBusiness: false,
    isEnterprise: false,
    isContactBlocked: false,
    type: 'in',
  });
  return { Contact };
});

defineModule('WAWebContactCollection', (require) => {
  const { BaseCollection } = require('WAWebBaseCollection');
  const { Contact } = require('WAWebContactModel');
  class ContactCollectionImpl extends BaseCollection {
    static model = Contact;

    getMeContact() {
      return this.get(require('WAWebUserPrefsMeUser').getMaybeMePnUser());
    }
  }
  return { ContactCollectionImpl, ContactCollection: new ContactCollectionImpl() };
});

defineModule('WAWebApiContact', (require) => {
  const phoneToLid = new Map();
  const lidToPhone = new Map();
  const widOf = (text) => (text ? require('WAWebWidFactory').createWid(text) : undefined);
  const getCurrentLid = (wid) => (wid.isLid() ? wid : widOf(phoneToLid.get(wid.toString())));
  const getPhoneNumber = (wid) => (wid.isLid() ? widOf(lidToPhone.get(wid.toString())) : wid);
  const lidPnCache = {
    getCurrentLid,
    getPhoneNumber,
    getLidEntry: (lid) => ({ lid, phoneNumber: getPhoneNumber(lid) }),
    getAllLids: () => [...lidToPhone.keys()].map(widOf),
    add(lid, { phoneNumber }) {
      phoneToLid.set(phoneNumber.toString(), lid.toString());
      lidToPhone.set(lid.toString(), phoneNumber.toString());
    },
  };
  return {
    getCurrentLid,
    getPhoneNumber,
    getAlternateUserWid: (wid) => (wid.isLid() ? getPhoneNumber(wid) : getCurrentLid(wid)),
    hasLidMapping: (wid) => Boolean(getCurrentLid(wid)),
    lidPnCache,
  };
});

defineModule('WAWebLidMigrationUtils', (require) => ({
  toPn: (wid) => (wid?.isLid() ? require('WAWebApiContact').getPhoneNumber(wid) : wid),
  toLid: (wid) => require('WAWebApiContact').getCurrentLid(wid),
  Lid1X1MigrationUtils: {
    isLidMigrated: () => Boolean(require('DeviceIdentity').me()?.lid_migrated),
    isSyncdSessionMigrated: () => Boolean(require('DeviceIdentity').me()?.lid_migrated),
  },
}));

// Takes a person as the gateway describes them and makes them known under both identities. The name in the phone and
// isAddressBookContact are the address book's: they stand on the contact by number; on its LID twin only by a switch.
defineModule('AddressBook', (require) => {
  function know({ wid, lid, name, pushname, business, saved, username }) {
    const { createWid } = require('WAWebWidFactory');
    const { ContactCollection } = require('WAWebContactCollection');
    const common = { pushname: pushname ?? undefined, username: username ?? undefined, isBusiness: Boolean(business) };
    const shortName = name?.split(' ')[0];
    const book = { name: name ?? undefined, shortName, isAddressBookContact: saved ? 1 : 0, type: saved ? 'in' : 'out' };
    const learn = (id, more) => {
      ContactCollection.add({ id, ...more }, { merge: true });
    };
    if (wid) learn(createWid(wid), { ...common, ...book });
    if (!lid) return;
    if (!wid) {
      learn(createWid(lid), { ...common, ...book });
      return;
    }
    require('WAWebApiContact').lidPnCache.add(createWid(lid), { phoneNumber: createWid(wid) });
    learn(createWid(lid), { ...common, ...(readSwitches().saved_names_on_lids && book), phoneNumber: createWid(wid) });
  }
  return { know };
});

defineModule('WAWebContactGetters', (require) => {
  const attribute = (name) => (contact) => contact[name];
  return {
    getNotifyName: (contact) => contact.pushname ?? '',
    getPremiumMessageName: () => undefined,
    getUserid: (contact) => contact.id.user,
    getUserhash: () => null,
    getIsMe: (contact) => require('WAWebUserPrefsMeUser').isMeUser(contact.id),
    getIsUser: (contact) => contact.id.isUser(),
    getIsGroup: (contact) => contact.id.isGroup(),
    getIsBroadcast: (contact) => contact.id.isBroadcast(),
    getIsNewsletter: (contact) => contact.id.isNewsletter(),
    getIsPSA: (contact) => contact.id.isPSA(),
    getIsIAS: () => false,
    getIsSupportAccount: () => false,
    getIsWAContact: () => true,
    getCanRequestPhoneNumber: () => false,
    getShowBusinessCheckmarkAsPrimary: () => false,
    getShowBusinessCheckmarkAsSecondary: () => false,
    getShowBusinessCheckmarkInChatlist: () => false,
    getIsDisplayNameApproved: () => false,
    getShouldForceBusinessUpdate: () => false,
    getVerifiedName: attribute('verifiedName'),
    getVerifiedLevel: attribute('verifiedLevel'),
    getStatusMute: () => false,
    getName: attribute('name'),
    getShortName: attribute('shortName'),
    getPushname: attribute('pushname'),
    getIsEnterprise: (contact) => Boolean(contact.isEnterprise),
  };
});

defineModule('WAWebFrontendContactGetters', (require) => {
  const phoneOf = (contact) => require('WAWebApiContact').getPhoneNumber(contact.id) ?? contact.id;
  const getFormattedPhone = (contact) => `+${phoneOf(contact).user}`;
  const getFormattedName = (contact) => contact.name || contact.pushname || getFormattedPhone(contact);
  return {
    getPhoneNumber: phoneOf,
    getTextStatusString: () => '',
    getPnForLid: (contact) => (contact.id.isLid() ? phoneOf(contact) : undefined),
    getDisplayName: getFormattedName,
    getDisplayNameOrPnForLid: getFormattedName,
    getUserDisplayNameForLid: getFormattedName,
    getFormattedPhone,
    getFormattedUsernameOrPhone: getFormattedPhone,
    getFormattedShortNameWithNonBreakingSpaces: getFormattedName,
    getFormattedShortName: getFormattedName,
    getFormattedName,
    getFormattedUser: getFormattedPhone,
    getSearchName: getFormattedName,
    getIsMyContact: (contact) => contact.isAddressBookContact === 1,
    getMentionName: getFormattedName,
    getSearchVerifiedName: () => '',
    getHeader: (contact) => getFormattedName(contact)[0] ?? '',
  };
});

defineModule('WAWebQueryExistsJob', (require) => {
  async function queryWidExists(wid) {
    const found = await require('Gateway').request('exists', { wid: wid.toString() });
    if (!found.contact) return null;
    const { createWid } = require('WAWebWidFactory');
    const { wid: phone, lid, business } = found.contact;
    if (lid && phone) require('WAWebApiContact').lidPnCache.add(createWid(lid), { phoneNumber: createWid(phone) });
    return { wid: createWid(wid.isLid() ? lid : phone), biz: Boolean(business) };
  }
  return {
    queryWidExists,
    queryPhoneExists: (phone) => queryWidExists(require('WAWebWidFactory').createUserWidOrThrow(phone)),
  };
});

defineModule('WAWebPresenceCollection', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  const { BaseCollection } = require('WAWebBaseCollection');

  class ChatstateModel extends BaseModel {}
  defineModel(ChatstateModel, 'chatstate', { id: undefined, type: undefined, t: undefined, deny: undefined });

  class PresenceModel extends BaseModel {
    initialize() {
      this.set({ chatstate: new ChatstateModel({ id: this.id }) });
      Object.defineProperty(this, 'chatstates', { value: new ChatstateCollection() });
    }

    get isUser() {
      return this.id.isUser();
    }

    get isGroup() {
      return this.id.isGroup();
    }

    async subscribe() {
      if (this.isSubscribed) return;
      this.set({ isSubscribed: true });
      require('Gateway').tell('subscribe', { chat: this.id.toString() });
    }
  }
  defineModel(PresenceModel, 'presence', {
    id: undefined,
    isOnline: false,
    hasData: false,
    isSubscribed: false,
    chatstate: undefined,
  });

  class ChatstateCollection extends BaseCollection {
    static model = ChatstateModel;
  }

  class PresenceCollectionClass extends BaseCollection {
    static model = PresenceModel;

    // The real collection announces the nested change with the chatstate, not the presence.
    hear(wid, state) {
      const presence = this.gadd(wid);
      presence.set({ isOnline: state !== 'unavailable', hasData: true });
      presence.chatstate.set({ type: state, t: Date.now() });
      this.trigger('change:chatstate.type', presence.chatstate);
    }
  }

  return { PresenceCollection: new PresenceCollectionClass() };
});
