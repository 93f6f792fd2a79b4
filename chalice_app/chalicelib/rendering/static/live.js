// Keeps every [data-live] element up to date from its own address, while the page is visible.
"use strict";

const UNTOUCHED_AFTER_MS = 30 * 60 * 1000; // a page that nobody touches need not keep a browser busy with new codes
let touchedAt = Date.now();
for (const sign of ["pointerdown", "pointermove", "keydown", "wheel"]) {
  window.addEventListener(sign, () => (touchedAt = Date.now()), { passive: true });
}

for (const place of document.querySelectorAll("[data-live]")) {
  let shown = "";

  const refresh = async () => {
    if (!document.hidden) {
      try {
        const address = new URL(place.dataset.live, location.href);
        if (Date.now() - touchedAt > UNTOUCHED_AFTER_MS) address.searchParams.set("untouched", "yes");
        const answer = await fetch(address, { credentials: "same-origin", cache: "no-store" });
        if (answer.status === 401) return location.reload(); // signed out: the page redirects to the sign-in
        if (answer.ok) {
          const html = await answer.text();
          const busy = place.contains(document.activeElement) && document.activeElement !== document.body;
          if (html !== shown && !busy) place.innerHTML = shown = html;
        }
      } catch {
        // offline: the next round retries
      }
    }
    setTimeout(refresh, Number(place.dataset.every));
  };

  setTimeout(refresh, Number(place.dataset.every));
}
