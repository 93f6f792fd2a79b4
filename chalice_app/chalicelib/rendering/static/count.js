// Counts what is typed while it is typed: characters as the form counts them, tokens by the estimate of the server.
"use strict";

// A token is about four ASCII characters, or two UTF-8 bytes of anything else (model/messages/token_estimate.py).
function count(text) {
  const kept = [...text.replaceAll("\r\n", "\n").trim()].filter((letter) => /[\n\t]|[^\p{Cc}\p{Cs}]/u.test(letter));
  const quarters = kept.reduce((sum, letter) => {
    const code = letter.codePointAt(0);
    return sum + (code < 0x80 ? 1 : code < 0x800 ? 4 : code < 0x10000 ? 6 : 8);
  }, 0);
  return { characters: kept.length, tokens: Math.ceil(quarters / 4) };
}

for (const field of document.querySelectorAll("[data-count]")) {
  const shown = document.getElementById(field.dataset.count);
  const most = Number(shown.dataset.most);
  const show = () => {
    const { characters, tokens } = count(field.value);
    const sum = document.createElement("span");
    sum.className = characters > most ? "over" : "";
    sum.textContent = `${characters.toLocaleString("en")} of ${most.toLocaleString("en")} characters`;
    shown.replaceChildren(sum, `, about ${tokens.toLocaleString("en")} tokens (estimated)`);
  };
  field.addEventListener("input", show);
  show(); // the browser may have put back what was typed before
}
