/* The pages of simulated browsers, in one process: the runner's real bridge runs in each of them, in the time that the
 * simulation gives.
 *
 * Lines of JSON: first `{script}`, the bridge; then requests `{page, at, operations}`, each answered by `{effects, wake}`
 * once nothing runs any more in the page: what it did, in order, and when its next timer is due (null: it has none).
 * `at` is the history's time in seconds. The process ends with its input.
 */
"use strict";

const fs = require("node:fs");
const vm = require("node:vm");
const { MessageStore } = require("./message_store.js");
const { waJs } = require("./wa_js.js");

const RealDate = Date;
const GIVEN = ["window", "navigator", "document", "location", "performance", "Date", "setTimeout", "clearTimeout"];
// What this process has beyond the language is not there in a page: nothing may use a real clock by mistake.
const OF_THE_LANGUAGE = new Set(vm.runInNewContext("Object.getOwnPropertyNames(globalThis)"));
const OF_NODE = Object.getOwnPropertyNames(globalThis).filter((name) => !OF_THE_LANGUAGE.has(name));
const WEB = ["URLSearchParams", "URL", "TextEncoder", "TextDecoder", "structuredClone", "queueMicrotask"];
const HIDDEN = [...OF_NODE, "require", "module"].filter((name) => !WEB.includes(name) && !GIVEN.includes(name));
Math.random = () => { throw new Error("chance comes from the history"); };

let bridge = null;
const pages = new Map();

class Page {
  constructor({ epoch_ms: epochMs, skew_seconds: skew, query }, at) {
    this.now = at;
    this.loadedAt = at;
    this.epochMs = epochMs;
    this.skew = skew;
    this.query = query;
    this.readMs = 0;
    this.timers = [];
    this.effects = [];
    this.asked = new Map();
    this.numbers = 0;
    this.state = {};
    this.store = new MessageStore((...event) => this.emit(...event));
    Object.assign(this, waJs(this));
    this.window = {
      WPP: this.W,
      Debug: { VERSION: "2.3000.1" },
      answerlineHint: (kind, detail) => this.effect("hint", kind, detail),
    };
    this.run();
  }

  run() {
    const page = this;
    class PageDate extends RealDate {
      constructor(...given) { super(...(given.length > 0 ? given : [PageDate.now()])); }
      static now() { return Math.floor(page.epochMs + (page.now + page.skew) * 1000); }
    }
    bridge(
      this.window,
      { credentials: { get: async () => null } },
      { querySelectorAll: () => [] },
      { search: this.query },
      { now: () => (this.now - this.loadedAt) * 1000, memory: { usedJSHeapSize: 50_000_000 } },
      PageDate,
      (callback, ms, ...details) => this.setTimeout(callback, ms, details),
      (number) => this.clearTimeout(number),
    );
  }

  // -- what the page needs --------------------------------------------------------------------------------------

  effect(...effect) { this.effects.push(effect); }
  trueSeconds() { return this.epochMs / 1000 + this.now; }

  ask(what, ...details) {
    const number = this.numbers += 1;
    this.effect("ask", what, number, ...details);
    return new Promise((resolve) => this.asked.set(number, resolve));
  }

  readDatabase() {
    return this.readMs > 0 ? new Promise((resolve) => this.setTimeout(resolve, this.readMs, [])) : Promise.resolve();
  }

  setTimeout(callback, ms, details) {
    const number = this.numbers += 1;
    this.timers.push({ at: this.now + Math.max(0, Number(ms) || 0) / 1000, number, run: () => callback(...details) });
    this.timers.sort((one, other) => one.at - other.at || one.number - other.number);
    return number;
  }

  clearTimeout(number) { this.timers = this.timers.filter((timer) => timer.number !== number); }

  // -- what the simulation does ---------------------------------------------------------------------------------

  call(number, name, args, readMs) {
    this.readMs = readMs;
    if (name === "acknowledge") for (const key of args[0]) this.store.handedIn.add(key.split("|")[3]);
    void this.window.answerline(name, args).then((answer) => this.effect("answer", number, answer));
  }

  answer(number, value) {
    this.asked.get(number)(value);
    this.asked.delete(number);
  }

  show(state) { Object.assign(this.state, state); }
  migrate(isMigrated) { this.store.isMigrated = isMigrated; }
  meet(contacts) { for (const contact of contacts) this.store.addContact(...contact); }
  open(rows, inMemory) { this.store.open(rows, inMemory); }
  deliver(row, isHidden) { this.store.deliver(row, isHidden); }
  revoke(row, isHidden, afterMs) {
    this.store.announceDeletion(row, isHidden);
    this.setTimeout(() => this.store.revoke(row), afterMs, []);
  }

  spoil(phone, fault) { this.store.contacts.get(phone).fault = fault; }
}

// Everything that promises have still to run has run once the event loop comes round.
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function handle({ page: number, at, operations }) {
  if (number === null) {
    pages.clear();
    return {};
  }
  for (const [name, ...details] of operations) {
    if (name === "load") pages.set(number, new Page(details[0], at));
    else if (name === "close") pages.delete(number);
    else {
      const page = pages.get(number);
      page.now = at;
      page[name](...details);
      await settled();
    }
  }
  const page = pages.get(number);
  if (!page) return {};
  page.now = at;
  while (page.timers.length > 0 && page.timers[0].at <= at) {
    page.timers.shift().run();
    await settled();
  }
  return { effects: page.effects.splice(0), wake: page.timers[0]?.at ?? null };
}

const chunk = Buffer.alloc(1 << 16);
let unread = "";
function readLine() {
  let end = unread.indexOf("\n");
  while (end < 0) {
    const length = fs.readSync(0, chunk);
    if (length === 0) return null;
    unread += chunk.latin1Slice(0, length); // the lines are ASCII
    end = unread.indexOf("\n");
  }
  const line = unread.slice(0, end);
  unread = unread.slice(end + 1);
  return line;
}

function writeLine(answer) {
  const line = Buffer.from(`${JSON.stringify(answer)}\n`);
  for (let sent = 0; sent < line.length;) sent += fs.writeSync(1, line, sent);
}

function fail(error) {
  writeLine({ error: error instanceof Error ? error.stack : String(error) });
  process.exit(1);
}

async function main() {
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  const { script } = JSON.parse(readLine());
  bridge = vm.compileFunction(script, [...GIVEN, ...HIDDEN], { filename: "bridge" });
  for (let line = readLine(); line !== null; line = readLine()) writeLine(await handle(JSON.parse(line)));
  process.exit(0);
}

main().catch(fail);
