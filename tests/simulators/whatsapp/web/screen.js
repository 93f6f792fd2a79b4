// What a person (or a scraping client) would see: the code with data-ref, the chat list, notices.
'use strict';

defineModule('Screen', (require) => {
  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const show = (...children) => document.getElementById('app').replaceChildren(...children);

  function fullCode() {
    const { noise, identity, secret } = require('DeviceIdentity').publicKeys();
    return [require('WAWebConnModel').Conn.ref, noise, identity, secret].join(',');
  }

  // Not a readable QR code, only a picture that changes with the reference, as clients copy the canvas.
  function draw(canvas, text) {
    const context = canvas.getContext('2d');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, 228, 228);
    context.fillStyle = '#000';
    for (let cell = 0; cell < 33 * 33; cell += 1) {
      const value = text.charCodeAt(cell % text.length) * (cell + 7);
      if (value % 3 === 0) context.fillRect(15 + (cell % 33) * 6, 15 + Math.floor(cell / 33) * 6, 6, 6);
    }
  }

  function showCode() {
    const canvas = element('canvas', { width: 228, height: 228 });
    const frame = element('div', { className: 'qr' }, canvas);
    const code = fullCode();
    frame.dataset.ref = code;
    draw(canvas, code);
    show(element('h1', { textContent: 'Log in to WhatsApp Web' }), frame);
  }

  function offerReload() {
    const button = element('button', { textContent: 'Click to reload QR code' });
    button.addEventListener('click', () => require('WAWebCmd').Cmd.refreshQR());
    document.querySelector('[data-ref]')?.append(button);
  }

  function demandPasskey() {
    show(
      element('h1', { textContent: 'Use your passkey to link this device' }),
      element('div', { id: 'passkey-required', role: 'dialog', textContent: 'Continue on your phone with your passkey.' }),
    );
  }

  function showChats() {
    const rows = require('WAWebChatCollection').ChatCollection.map((chat) => {
      const row = element('div', { textContent: chat.formattedTitle });
      row.setAttribute('role', 'row');
      return row;
    });
    show(element('div', { id: 'side' }, element('div', { id: 'pane-side' }, ...rows)));
  }

  function showNotice(text) {
    show(element('div', { role: 'dialog', textContent: text }));
  }

  // In some language; its cross only hides it, and what was not confirmed is held against the device.
  function announce() {
    if (localStorage.getItem('whats-new-confirmed') || document.getElementById('whats-new')) return;
    const cross = element('button', {}, element('span', { className: 'cross', ariaLabel: 'Sluiten' }));
    const confirm = element('div', { tabIndex: 0, textContent: 'Doorgaan' });
    confirm.setAttribute('role', 'button');
    const dialog = element('div', { id: 'whats-new' }, element('h1', { textContent: 'Wat is er nieuw?' }), cross, confirm);
    dialog.setAttribute('role', 'dialog');
    const unanswered = setTimeout(() => require('Gateway').tell('not_confirmed'), readSwitches().whats_new_ms);
    cross.addEventListener('click', () => dialog.remove());
    confirm.addEventListener('click', () => {
      clearTimeout(unanswered);
      localStorage.setItem('whats-new-confirmed', 'yes');
      dialog.remove();
    });
    document.body.append(dialog);
  }

  return { announce, showCode, offerReload, demandPasskey, showChats, showNotice };
});
