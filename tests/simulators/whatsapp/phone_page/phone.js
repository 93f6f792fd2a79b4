// The page on which a person plays the phones: shows the simulator's state, and sends what is typed to its API.
const ticks = ['🕓', '✓', '✓✓', '✓✓', '✓✓'];
const refusals = {
  malformed: 'That is neither a QR text nor an 8-character code.',
  unknown: 'No page shows this code for this phone. It may have been replaced already.',
  expired: 'This code has expired. Ask for a new one.',
  keys: 'The keys in this code do not belong to its page.',
  passkey: 'This account demands a passkey before it links a device.',
};

const chosen = { phone: null, contact: null };
let state = { revision: -1, phones: [], showing: [] };

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
  return choice(name, messages.at(-1)?.text || `+${number}`, badge, number === chosen.contact, () => {
    chosen.contact = number;
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

function showPhone({ number, name, linked, online, devices, blocked, contacts }) {
  find('phone-name').textContent = name;
  const many = devices.length === 1 ? '1 linked device' : `${devices.length} linked devices`;
  const link = linked ? `${many}, ${online ? 'online' : 'offline'}` : 'not linked';
  find('phone-status').textContent = `+${number}, ${blocked ? `blocked: ${blocked}` : link}`;
  find('unlink').hidden = !linked;
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

function showChat({ name, line_state: lineState, messages }) {
  find('chat-name').textContent = name;
  find('chat-state').textContent = { composing: 'the line is typing…', recording: 'the line is recording…' }[lineState] ?? '';
  const [asContact, asOwner] = document.querySelectorAll('#write button');
  asContact.textContent = `Send as ${name}`;
  asOwner.textContent = 'Send as the owner';
  const list = find('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.replaceChildren(...messages.map((message) => bubble(name, message)));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function bubble(contactName, message) {
  const { origin, text, type, at, ack, duplicates, author_name: author } = message;
  const who = { contact: author ?? contactName, device: 'The line', phone: 'The owner, on the phone' }[origin];
  const time = new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const state = origin === 'contact' ? (message.read ? ' read by the line' : '') : ` ${ticks[ack]}`;
  const note = duplicates ? `, sent ${duplicates + 1}×` : '';
  return element(
    'li',
    { className: origin },
    element('small', { className: 'who', textContent: who }),
    type === 'chat' ? text : `[${type}] ${text}`,
    element('small', { className: ack >= 3 && origin !== 'contact' ? 'read' : '', textContent: `${time}${state}${note}` }),
  );
}

// Acting

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
onSubmit('add-contact', async (values) => {
  chosen.contact = (await post(`phones/${chosen.phone}/contacts`, values)).number;
  return true;
});
onSubmit('write', async ({ text, hand }) => {
  await post(`phones/${chosen.phone}/contacts/${chosen.contact}/${hand ?? 'write'}`, { text });
  return true;
});
find('unlink').addEventListener('click', () => post(`phones/${chosen.phone}/unlink`));
find('text').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey) return;
  event.preventDefault();
  find('write').requestSubmit(document.querySelector('#write button[value="write"]'));
});
// Who looks at the chat has read it.
find('messages').addEventListener('pointerenter', () => {
  if (contact()) post(`phones/${chosen.phone}/contacts/${chosen.contact}/read`);
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
