// Modules that clients look for beside the 36 necessary ones: mostly whatsapp-web.js's.
'use strict';

defineModule('WAWebNonJidMentionType', () => ({ default: { MENTION_ALL: 1 } }));

function defineEmptyCollection(id, exportedAs, proxyName) {
  defineModule(id, (require) => {
    const { BaseModel, defineModel } = require('WAWebBaseModel');
    const { BaseCollection } = require('WAWebBaseCollection');
    class Entry extends BaseModel {}
    defineModel(Entry, proxyName, { id: undefined });
    class Entries extends BaseCollection {
      static model = Entry;
    }
    return { [exportedAs]: new Entries() };
  });
}

defineEmptyCollection('WAWebNewsletterCollection', 'default', 'newsletter');
defineEmptyCollection('WAWebStatusCollection', 'StatusCollection', 'status-v3');

defineModule('WAWebCallCollection', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  const { BaseCollection } = require('WAWebBaseCollection');
  class Call extends BaseModel {}
  defineModel(Call, 'call', { id: undefined });
  class CallCollectionImpl extends BaseCollection {
    static model = Call;
  }
  return { CallCollectionImpl, CallCollection: new CallCollectionImpl() };
});

defineEmptyCollection('WAWebBlocklistCollection', 'BlocklistCollection', 'blocklist');

defineModule('WAWebOfflineHandler', () => ({
  OfflineMessageHandler: { getOfflineDeliveryProgress: () => 100 },
}));

defineModule('WALinkify', () => {
  const findLinks = (text) => (String(text ?? '').match(/https?:\/\/\S+/g) ?? []).map((href) => ({ href, url: href }));
  return { findLinks, findLink: (text) => findLinks(text)[0] };
});

defineModule('WAWebSyncGatingUtils', () => ({ isPlaceholderMessageResendEnabled: () => false }));

defineModule('WAWebNonMessageDataRequestPlaceholderMessageResendUtils', () => ({
  handlePlaceholderMsgsSeen: async () => {},
}));

defineModule('WAWebMsgReply', () => ({ canReplyMsg: (message) => message.type !== 'ciphertext' }));

defineModule('WAWebMiscBrowserUtils', () => ({ info: () => ({ os: 'Linux', name: 'Chrome', version: '100' }) }));

defineModule('WAWebCollections', (require) => ({
  Chat: require('WAWebChatCollection').ChatCollection,
  Msg: require('WAWebMsgCollection').MsgCollection,
  Contact: require('WAWebContactCollection').ContactCollection,
  WAWebGroupMetadataCollection: require('WAWebGroupMetadataCollection').default,
  WAWebNewsletterCollection: require('WAWebNewsletterCollection').default,
  Blocklist: require('WAWebBlocklistCollection').BlocklistCollection,
  Label: { get: () => undefined, getModelsArray: () => [] },
}));
