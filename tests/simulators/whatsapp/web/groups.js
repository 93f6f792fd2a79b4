// Groups: who is in them, ourselves among them; the subject.
'use strict';

defineModule('WAWebParticipantCollection', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  const { BaseCollection } = require('WAWebBaseCollection');
  class Participant extends BaseModel {}
  defineModel(Participant, 'participant', { id: undefined, isAdmin: false, isSuperAdmin: false });

  class ParticipantCollection extends BaseCollection {
    static model = Participant;

    iAmMember() {
      return this.some(({ id }) => require('WAWebUserPrefsMeUser').isMeUser(id));
    }

    iAmAdmin() {
      return this.some(({ id, isAdmin }) => isAdmin && require('WAWebUserPrefsMeUser').isMeUser(id));
    }
  }
  return { default: ParticipantCollection };
});

defineModule('WAWebGroupMetadataCollection', (require) => {
  const { BaseModel, defineModel } = require('WAWebBaseModel');
  const { BaseCollection } = require('WAWebBaseCollection');

  class GroupMetadata extends BaseModel {
    initialize() {
      const ParticipantCollection = require('WAWebParticipantCollection').default;
      Object.defineProperty(this, 'participants', { value: new ParticipantCollection() });
    }
  }
  defineModel(GroupMetadata, 'group-metadata', {
    id: undefined,
    subject: undefined,
    isLidAddressingMode: false,
    groupType: 'DEFAULT',
  });

  class GroupMetadataCollection extends BaseCollection {
    static model = GroupMetadata;

    // wa-js knows the collection of groups by this method.
    _handleParentGroupChange() {}
  }
  return { default: new GroupMetadataCollection() };
});

defineModule('GroupDirectory', (require) => ({
  know({ id, subject, members, lids }) {
    const { createWid } = require('WAWebWidFactory');
    const group = require('WAWebGroupMetadataCollection').default.gadd(createWid(id));
    group.set({ subject, isLidAddressingMode: lids });
    group.participants.add(members.map((member) => ({ id: createWid(member) })));
  },
}));
