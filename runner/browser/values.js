/* The page's values as plain, bounded data: nothing in WhatsApp's models is trusted to be what its name says. */
const values = (() => {
  "use strict";

  const MAX_TEXT_LENGTH = 65_537; // UTF-16 units; the runner cuts by bytes
  const MAX_NAME_LENGTH = 200;

  const attempt = (read, otherwise = null) => {
    try { return read() ?? otherwise; } catch { return otherwise; }
  };
  // The value of a promise that is kept in time; throws otherwise.
  const inTime = (promise, ms) => {
    let timer;
    const timeout = new Promise((_, reject) => { timer = setTimeout(reject, ms, new Error("no answer in time")); });
    return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
  };
  const text = (value, longest = MAX_TEXT_LENGTH) =>
    (typeof value === "string" ? value.slice(0, longest).toWellFormed() : "");
  const name = (value) => text(value, MAX_NAME_LENGTH).trim();
  const isNumeric = (value) => typeof value === "number" || (typeof value === "string" && value.trim() !== "");
  const number = (value) => (isNumeric(value) && Number.isFinite(Number(value)) ? Number(value) : null);
  const whole = (value) => {
    const found = number(value);
    return found !== null && found >= 0 && found <= Number.MAX_SAFE_INTEGER ? Math.floor(found) : null;
  };
  const list = (value) => (Array.isArray(value) ? value : attempt(() => value.getModelsArray(), []));
  // Texts below one another; empty and repeated ones are left out.
  const lines = (...texts) => [...new Set(texts.flat().map((one) => text(one).trim()).filter(Boolean))].join("\n");

  return { attempt, inTime, text, name, number, whole, list, lines };
})();
