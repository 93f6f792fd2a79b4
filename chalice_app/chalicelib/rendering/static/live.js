// Keeps every [data-live] element up to date from its own address, while the page is visible.
"use strict";

for (const place of document.querySelectorAll("[data-live]")) {
  let shown = "";

  const refresh = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(place.dataset.live, { credentials: "same-origin", cache: "no-store" });
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
