// A message as the gateway and the disk describe it, in WhatsApp's own terms; quotes; edits and deletions in place.
'use strict';

defineModule('MessageTranslation', (require) => {
  const pictures = new Set(['image', 'video', 'ptv']);
  const widOf = (value) => (value ? require('WAWebWidFactory').createWid(value) : undefined);

  function attributesOf(wire, isNewMsg) {
    const MsgKey = require('WAWebMsgKey');
    const people = require('WAWebUserPrefsMeUser');
    const chat = widOf(wire.chat);
    const me = chat.isLid() ? people.getMeLidUserOrThrow() : people.getMePnUserOrThrow();
    const author = widOf(wire.author);
    return {
      id: new MsgKey({ fromMe: wire.from_me, remote: chat, id: wire.id, participant: author }),
      type: wire.type,
      from: wire.from_me ? me : chat,
      to: wire.from_me ? chat : me,
      author,
      t: wire.t,
      ack: wire.ack,
      self: wire.from_me ? 'out' : 'in',
      notifyName: wire.notify_name,
      isNewMsg,
      isMdHistoryMsg: Boolean(wire.history),
      ...contentOf(wire),
      ...editOf(wire),
    };
  }

  // The body of a picture is its thumbnail, as in the real page; the words are in the caption.
  function contentOf({ type, body, media, details }) {
    const content = { body: body ?? undefined, caption: undefined, ...attributesWithWids(details ?? {}) };
    if (!media) return content;
    const { hash: filehash, mimetype, size, seconds: duration, thumbnail } = media;
    const thumbnailBody = pictures.has(type) ? thumbnail : undefined;
    return { ...content, body: thumbnailBody, caption: body || undefined, filehash, mimetype, size, duration };
  }

  function attributesWithWids(details) {
    const { mentionedJidList, groupMentions, quotedParticipant, quotedRemoteJid } = details;
    return {
      ...details,
      ...(mentionedJidList && { mentionedJidList: mentionedJidList.map(widOf) }),
      ...(groupMentions && { groupMentions: groupMentions.map((each) => ({ ...each, groupJid: widOf(each.groupJid) })) }),
      ...(quotedParticipant && { quotedParticipant: widOf(quotedParticipant) }),
      ...(quotedRemoteJid && { quotedRemoteJid: widOf(quotedRemoteJid) }),
    };
  }

  // wa-js tells of an edit by `change:latestEditMsgKey` [chat/events/registerEditedMessageEvent.ts].
  function editOf({ edit_id: id, edited_at: editedAt, from_me: fromMe, chat, author }) {
    if (!id) return {};
    const MsgKey = require('WAWebMsgKey');
    const key = new MsgKey({ fromMe, remote: widOf(chat), id, participant: widOf(author) });
    return { latestEditMsgKey: key, latestEditSenderTimestampMs: editedAt };
  }

  const keyOf = ({ from_me: fromMe, chat, id, author }) => [fromMe, chat, id, ...(author ? [author] : [])].join('_');

  return { attributesOf, contentOf, editOf, keyOf };
});

// Edits and deletions arrive as protocol messages about an older one, and pass through processMultipleMessages
// [wa-js, chat/events/registerRevokeMessageEvent.ts, chat/functions/editMessage.ts]. The older one keeps its key.
defineModule('MessageChanges', (require) => {
  const { attributesOf, contentOf, editOf, keyOf } = require('MessageTranslation');
  // What stays of a deleted message: its envelope. A quote stays too, in the model as long as the page lives.
  const kept = new Set(['ack', 'author', 'broadcast', 'from', 'id', 'isNewMsg', 'notifyName', 'quotedMsg', 'quotedParticipant',
    'quotedRemoteJid', 'quotedStanzaID', 'self', 't', 'to']);

  const process = (wire, attributes) =>
    require('WAWebMsgCollection').MsgCollection.processMultipleMessages(
      require('WAWebWidFactory').createWid(wire.chat),
      [{ ...attributesOf({ ...wire, details: {} }, true), body: undefined, type: 'protocol', ...attributes }],
    );

  async function edit(wire) {
    const { latestEditMsgKey, latestEditSenderTimestampMs } = editOf(wire);
    await process(wire, {
      id: latestEditMsgKey,
      subtype: 'message_edit',
      protocolMessageKey: require('WAWebMsgKey').fromString(keyOf(wire)),
      editMsgType: wire.type,
      content: contentOf(wire),
      latestEditMsgKey,
      latestEditSenderTimestampMs,
    });
  }

  async function revoke(wire, { id, subtype, t }) {
    const MsgKey = require('WAWebMsgKey');
    const protocolMessageKey = MsgKey.fromString(keyOf(wire));
    await process(wire, { id: new MsgKey({ ...protocolMessageKey, id }), subtype, t, protocolMessageKey });
  }

  // On what is in memory; a message that is only on disk changes there, and nobody is told.
  function apply(known, protocol) {
    if (!known || known.type === 'revoked') return;
    const { latestEditMsgKey, latestEditSenderTimestampMs, content } = protocol;
    if (protocol.subtype === 'message_edit') {
      if (known.type !== 'ciphertext') known.set({ ...content, latestEditMsgKey, latestEditSenderTimestampMs });
      return;
    }
    const gone = Object.keys(known.attributes).filter((name) => !kept.has(name));
    known.set({
      ...Object.fromEntries(gone.map((name) => [name, undefined])),
      type: 'revoked',
      subtype: protocol.subtype.replace('_revoke', ''),
      protocolMessageKey: protocol.protocolMessageKey,
    });
  }

  return { edit, revoke, apply };
});

defineModule('WAWebQuotedMsgModelUtils', (require) => ({
  // The quoted message itself if it is in memory, otherwise one made of the copy that the quote carries.
  getQuotedMsgObj({ id, quotedMsg, quotedStanzaID, quotedParticipant }) {
    const known = require('WAWebMsgCollection').MsgCollection.findFirst((message) => message.id.id === quotedStanzaID);
    if (known || !quotedMsg) return known;
    const fromMe = require('WAWebUserPrefsMeUser').isMeUser(quotedParticipant);
    const MsgKey = require('WAWebMsgKey');
    const participant = id.remote.isGroup() ? quotedParticipant : undefined;
    const { Msg } = require('WAWebMsgModel');
    return new Msg({ ...quotedMsg, id: new MsgKey({ fromMe, remote: id.remote, id: quotedStanzaID, participant }) });
  },
}));
