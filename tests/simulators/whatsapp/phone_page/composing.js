// What a person writes into a chat, and does to what stands in it: send, answer, edit, delete, attach, mention.
const find = (id) => document.getElementById(id);

/** What the next message is about: {verb: 'quote' | 'edit', message}. */
let about = null;

export function setAbout(next, described = '') {
  about = next;
  find('about').hidden = !next;
  if (!next) return;
  find('about-text').textContent = next.verb === 'edit' ? 'New words for:' : 'Answer to:';
  find('about-text').textContent += ` ${described}`;
  if (next.verb === 'edit') find('text').value = next.message.text;
  find('text').focus();
}

/** Returns [verb, body] of the control API for what the form holds. */
export async function request(values, contact) {
  const { text, hand = 'write', content, file, author, author_name: authorName, mention, unreadable } = values;
  if (about?.verb === 'edit') return ['edit', { message: about.message.id, text }];
  const quote = about ? { quote: about.message.id } : {};
  if (hand === 'phone-answer') return [hand, { text }];
  if (hand === 'owner-write') return [hand, { text, ...quote }];
  const writer = contact.kind === 'group' ? { ...(author && { author }), ...(authorName && { author_name: authorName }) } : {};
  const envelope = { ...quote, ...writer, unreadable: Boolean(unreadable) };
  if (content) return ['send', { content, ...envelope }];
  if (file?.size) return ['media', { ...(await described(file)), caption: text, ...envelope }];
  const words = mention ? `${contact.mention} ${text}` : text;
  const line = mention ? { mentions: [`${contact.mention.slice(1)}@${contact.mention_server}`] } : {};
  return ['write', { text: words, ...line, ...envelope }];
}

async function described(file) {
  const data = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(',')[1] ?? '');
    reader.readAsDataURL(file);
  });
  const family = file.type.split('/')[0];
  const kind = { image: 'image', video: 'video', audio: 'ptt' }[family] ?? 'document';
  return { data, mimetype: file.type || 'application/octet-stream', kind, filename: file.name };
}

/** Whether there is anything to send. */
export const isEmpty = ({ text, content, file }) => !text.trim() && !content && !file?.size;
