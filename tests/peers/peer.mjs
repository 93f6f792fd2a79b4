// One peer library, unmodified: pairs with the simulator's phone by QR, receives a message, replies.
// node peer.mjs <library> <control URL> <profile folder> <browser> [--stay]

const [library, controlUrl, profile, executablePath, stay] = process.argv.slice(2);
const line = `49151${String(process.pid).padStart(8, '0')}`;
const guest = '4917600000099';
const agents = { '@wppconnect-team/wppconnect': wppconnect, 'whatsapp-web.js': whatsappWebJs };

async function control(method, path, body) {
  const response = await fetch(`${controlUrl}/control/${path}`, {
    method,
    headers: { 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

// Both start a browser, call `scan` with each QR text, and come back when the line is ready.
async function wppconnect(args, { scan, receive }) {
  const { default: library } = await import('@wppconnect-team/wppconnect');
  for (const transport of library.defaultLogger.transports) transport.silent = true;
  const client = await library.create({
    session: 'peer',
    folderNameToken: profile,
    headless: true,
    useChrome: false,
    logQR: false,
    disableWelcome: true,
    updatesLog: false,
    whatsappVersion: null,
    browserArgs: args,
    puppeteerOptions: { executablePath, userDataDir: profile },
    catchQR: (image, ascii, attempt, text) => scan(text),
  });
  client.onMessage(({ from, body }) => receive(from, body));
  return { reply: (to, text) => client.sendText(to, text), close: () => client.close() };
}

async function whatsappWebJs(args, { scan, receive }) {
  const { default: library } = await import('whatsapp-web.js');
  const client = new library.Client({
    authStrategy: new library.LocalAuth({ dataPath: profile }),
    webVersionCache: { type: 'none' },
    puppeteer: { headless: true, executablePath, args },
  });
  client.on('qr', scan);
  client.on('message', ({ from, body }) => receive(from, body));
  const ready = new Promise((resolve) => client.once('ready', resolve));
  await client.initialize();
  await ready;
  return {
    reply: (to, text) => client.sendMessage(to, text, { waitUntilMsgSent: true }),
    close: () => client.destroy(),
  };
}

async function main() {
  const { chromium_arguments: flags } = await control('GET', 'flags');
  await control('POST', 'phones', { number: line, name: `Line of ${library}` });
  await control('POST', `phones/${line}/contacts`, { number: guest, name: 'Guest' });

  const received = withResolvers();
  const agent = await agents[library]([...flags, '--no-sandbox', '--disable-dev-shm-usage'], {
    // A code may have been replaced between its being shown and being scanned; the next one will do.
    scan: (code) => control('POST', `phones/${line}/scan`, { code }).catch(() => {}),
    receive: (from, body) => body === 'Are you there?' && received.resolve(from),
  });
  await control('GET', `phones/${line}/wait?until=online&timeout=30`);
  await control('POST', `phones/${line}/contacts/${guest}/write`, { text: 'Are you there?' });
  await agent.reply(await received.promise, 'I am here.');
  const { messages } = await control('GET', `phones/${line}/contacts/${guest}?replies=1&timeout=20`);
  const [reply] = messages.filter(({ origin }) => origin === 'device');
  if (reply?.text !== 'I am here.') throw new Error(`the guest saw ${JSON.stringify(messages)}`);
  console.log('replied');
  if (stay) await new Promise((resolve) => process.stdin.on('end', resolve).resume());
  await agent.close();
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

await main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
