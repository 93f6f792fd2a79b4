// The page on which a person plays the phones: shows the simulator's state, and sends what is typed to its API.
import { isEmpty, request, setAbout } from '/composing.js';

const ticks = ['🕓', '✓', '✓✓', '✓✓', '✓✓'];
const refusals = {
  malformed: 'That is neither a QR text nor an 8-character code.',
  unknown: 'No page shows this code for this phone. It may have been replaced already.',
  expired: 'This code has expired. Ask for a new one.',
  keys: 'The keys in this code do not belong to its page.',
  passkey: 'This account demands a passkey before it links a device.',
};

const chosen = { phone: null, contact: null };
let state = { revision: -1, phones: [], showing: [], contents: [] };

const find = (id) => document.getElementById(id);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const phone = () => state.phones.find(({ number }) => number === chosen.phone);
const contact = () => phone()?.contacts.find(({ number }) => number === chosen.contact);

async function post(path, body = {}) {
  const response = await fetch(`/control/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// Showing

function show() {
  chosen.phone = phone() ? chosen.phone : (state.phones[0]?.number ?? null);
  chosen.contact = contact() ? chosen.contact : (phone()?.contacts[0]?.number ?? null);
  find('phones').replaceChildren(...state.phones.map(phoneButton));
  find('phone').hidden = !phone();
  find('nobody').hidden = Boolean(phone());
  if (phone()) showPhone(phone());
}

function phoneButton({ number, name, online, contacts }) {
  const unread = contacts.reduce((sum, each) => sum + each.unread, 0);
  const detail = `+${number}${unread ? `, ${unread} unread` : ''}`;
  const dot = element('span', { className: online ? 'dot online' : 'dot', title: online ? 'online' : 'offline' });
  return choice(name, detail, dot, number === chosen.phone, () => Object.assign(chosen, { phone: number, contact: null }));
}

function contactButton({ number, name, unread, messages }) {
  const badge = unread ? element('span', { className: 'count', textContent: unread, title: 'not read by the line' }) : '';
  const last = messages.at(-1);
  return choice(name, (last && words(last)) || `+${number}`, badge, number === chosen.contact, () => {
    chosen.contact = number;
    setAbout(null);
  });
}

function choice(name, detail, badge, current, choose) {
  const button = element(
    'button',
    { type: 'button' },
    element('span', { className: 'face', textContent: name.slice(0, 1).toUpperCase(), ariaHidden: 'true' }),
    element('span', { className: 'name', textContent: name }),
    badge,
    element('span', { className: 'detail', textContent: detail }),
  );
  button.setAttribute('aria-current', current);
  button.addEventListener('click', () => {
    choose();
    show();
  });
  return button;
}

function showPhone({ number, name, linked, online, devices, blocked, contacts, greeting, away }) {
  find('phone-name').textContent = name;
  const many = devices.length === 1 ? '1 linked device' : `${devices.length} linked devices`;
  const link = linked ? `${many}, ${online ? 'online' : 'offline'}` : 'not linked';
  find('phone-status').textContent = `+${number}, ${blocked ? `blocked: ${blocked}` : link}`;
  find('unlink').hidden = !linked;
  const automatic = find('automatic');
  if (!automatic.contains(document.activeElement)) {
    automatic.elements.greeting.value = greeting ?? '';
    automatic.elements.away.value = away ?? '';
  }
  find('contacts').replaceChildren(...contacts.map(contactButton));
  find('chat').hidden = !contact();
  if (contact()) showChat(contact());
  find('showing').replaceChildren(...state.showing.map(showingButton));
}

// Pointing the camera at a page that shows a code right now.
function showingButton({ code, since }) {
  const time = new Date(since).toLocaleTimeString();
  const button = element('button', { type: 'button', className: 'quiet', textContent: `Scan the page opened at ${time}` });
  button.addEventListener('click', () => link({ code }));
  return button;
}

function showChat({ name, kind, saved, line_state: lineState, messages }) {
  find('chat-name').textContent = name;
  find('chat-state').textContent = { composing: 'the line is typing…', recording: 'the line is recording…' }[lineState] ?? '';
  const [asContact, asOwner] = document.querySelectorAll('#write button[name="hand"]');
  asContact.textContent = `Send as ${name}`;
  asOwner.textContent = 'Send as the owner';
  find('in-group').hidden = kind !== 'group';
  find('save').hidden = kind !== 'person';
  find('save').textContent = saved ? 'Remove from the phone' : 'Save in the phone';
  if (find('content').options.length !== state.contents.length + 1) {
    find('content').replaceChildren(new Option('words', ''), ...state.contents.map((each) => new Option(each.replaceAll('_', ' '), each)));
  }
  const list = find('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.replaceChildren(...messages.map((message) => bubble(name, message)));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

// A picture's words are its caption; other kinds say what they are.
function words({ type, text, media, details }) {
  if (type === 'chat') return text;
  const named = details.pollName ?? details.eventName ?? details.orderTitle ?? details.vcardFormattedName ?? '';
  return `[${type}] ${media || type === 'interactive_response' || type.endsWith('reply') ? text : details.loc || named}`;
}

function bubble(contactName, message) {
  const { origin, at, ack, duplicates, author_name: author, details, edited_at: edited, unreadable } = message;
  const who = { contact: author ?? contactName, device: 'The line', phone: 'The owner, on the phone' }[origin];
  const time = new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const state = origin === 'contact' ? (message.read ? ' read by the line' : '') : ` ${ticks[ack]}`;
  const note = `${duplicates ? `, sent ${duplicates + 1}×` : ''}${edited ? ', edited' : ''}${unreadable ? ', not decrypted' : ''}`;
  const quoted = details.quotedMsg;
  return element(
    'li',
    { className: origin },
    element('small', { className: 'who', textContent: who }),
    quoted ? element('div', { className: 'quote', textContent: quoted.caption ?? quoted.body ?? `[${quoted.type}]` }) : '',
    words(message),
    element('small', { className: ack >= 3 && origin !== 'contact' ? 'read' : '', textContent: `${time}${state}${note}` }),
    message.type === 'revoked' ? '' : actions(message),
  );
}

function actions(message) {
  const act = (label, run) => {
    const button = element('button', { type: 'button', textContent: label });
    button.addEventListener('click', run);
    return button;
  };
  const change = (verb) => () => post(chatPath(verb), { message: message.id });
  const buttons = [act('Answer', () => setAbout({ verb: 'quote', message }, words(message)))];
  if (message.type === 'chat' || message.media) buttons.push(act('Edit', () => setAbout({ verb: 'edit', message }, words(message))));
  buttons.push(act('Delete for everyone', change('delete')));
  if (message.unreadable) buttons.push(act('Decrypt', change('decrypt')));
  return element('div', { className: 'acts' }, ...buttons);
}

// Acting

const chatPath = (verb) => `phones/${chosen.phone}/contacts/${encodeURIComponent(chosen.contact)}/${verb}`;

function onSubmit(id, act) {
  find(id).addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const values = Object.fromEntries(new FormData(form, event.submitter));
    if (await act(values)) form.reset();
  });
}

async function link({ code }) {
  const answer = find('link-answer');
  const verb = code.includes(',') ? 'scan' : 'enter-code';
  try {
    await post(`phones/${chosen.phone}/${verb}`, { code: code.trim() });
    answer.textContent = 'Linked.';
    return true;
  } catch (error) {
    answer.textContent = refusals[error.message] ?? error.message;
    return false;
  }
}

onSubmit('link', link);
onSubmit('add-phone', async (values) => {
  chosen.phone = (await post('phones', values)).number;
  return true;
});
onSubmit('add-contact', async ({ number, name, saved, group }) => {
  const body = { number, name, kind: group ? 'group' : 'person', saved: Boolean(saved) };
  chosen.contact = (await post(`phones/${chosen.phone}/contacts`, body)).number;
  return true;
});
onSubmit('automatic', async ({ greeting, away }) => {
  await post(`phones/${chosen.phone}/answer-automatically`, { greeting: greeting || null, away: away || null });
  return false;
});
onSubmit('write', async (values) => {
  if (isEmpty(values)) return false;
  const [verb, body] = await request(values, contact());
  await post(chatPath(verb), body);
  setAbout(null);
  return true;
});
find('about-end').addEventListener('click', () => setAbout(null));
find('save').addEventListener('click', () => post(chatPath('save'), { saved: !contact().saved }));
find('unlink').addEventListener('click', () => post(`phones/${chosen.phone}/unlink`));
find('text').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey) return;
  event.preventDefault();
  find('write').requestSubmit(document.querySelector('#write button[value="write"]'));
});
// Who looks at the chat has read it.
find('messages').addEventListener('pointerenter', () => {
  if (contact()) post(chatPath('read'));
});

async function follow() {
  for (;;) {
    try {
      const response = await fetch(`/control/state?after=${state.revision}&timeout=25`);
      state = await response.json();
      show();
    } catch {
      find('phone-status').textContent = 'The simulator does not answer.';
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

follow();
