// The owner's page: polls for changes, counts a code's seconds. Works without it. It opens no link: mail scanners run
// scripts, move and scroll; only a person presses the button.
"use strict";

(() => {
  // Nobody touched the page for this long, whatever it shows: it stops asking. An open page keeps a browser busy, and
  // keeps back mails that would say what it shows.
  const REST_AFTER_MS = 30 * 60 * 1000;
  const TOUCHES = ["pointerdown", "keydown", "wheel", "touchmove"];
  const HIDDEN_EVERY_MS = 15 * 1000;
  const LOST_AFTER_FAILURES = 3;

  const live = document.getElementById("live");
  if (live) keepUpToDate(live);

  for (const form of document.querySelectorAll("form")) submitOnce(form);

  function submitOnce(form) {
    const button = form.querySelector("button");
    const label = button.textContent;
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) return event.preventDefault();
      form.dataset.sent = "yes";
      if (!form.dataset.working) return;
      button.textContent = form.dataset.working;
      button.setAttribute("aria-busy", "true");
    });
    window.addEventListener("pageshow", () => {
      delete form.dataset.sent;
      button.textContent = label;
      button.removeAttribute("aria-busy");
    });
  }

  function keepUpToDate(live) {
    let everyMs = Number(live.dataset.everyMs);
    let failures = 0;
    let timer = 0;
    let touchedAt = Date.now();
    let rested = false;
    let countdown = startCountdown(live);

    for (const kind of TOUCHES) window.addEventListener(kind, touch, { passive: true });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      if (rested) return location.reload();
      touch();
      poll();
    });
    window.addEventListener("online", poll);
    schedule();

    function touch() {
      touchedAt = Date.now();
    }

    function schedule() {
      clearTimeout(timer);
      const slow = document.hidden ? Math.max(everyMs, HIDDEN_EVERY_MS) : everyMs;
      timer = setTimeout(poll, slow * Math.min(2 ** failures, 8));
    }

    async function poll() {
      clearTimeout(timer);
      if (rested || Date.now() - touchedAt > REST_AFTER_MS) return rest();
      try {
        const answer = await fetch(`${live.dataset.url}?seen=${live.dataset.version}`, {
          cache: "no-store",
          credentials: "same-origin",
          signal: AbortSignal.timeout(10_000),
        });
        const update = await answer.json();
        if (update.reload) return location.reload();
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        failures = 0;
        show(update);
      } catch {
        failures += 1;
      }
      document.getElementById("lost").hidden = failures < LOST_AFTER_FAILURES;
      schedule();
    }

    function show(update) {
      everyMs = update.every_ms;
      if (update.html === undefined) return;
      countdown.stop();
      const parsed = new DOMParser().parseFromString(update.html, "text/html");
      live.replaceChildren(...parsed.body.childNodes);
      live.dataset.version = update.version;
      live.querySelectorAll("form").forEach(submitOnce);
      countdown = startCountdown(live);
    }

    function rest() {
      if (rested) return;
      rested = true;
      countdown.stop();
      live.replaceChildren(document.getElementById("rested").content.cloneNode(true));
    }
  }

  // Counts the seconds between two polls; at zero the code is removed even if no answer comes.
  function startCountdown(live) {
    const text = live.querySelector("#countdown");
    if (!text) return { stop() {} };
    const bar = live.querySelector("progress");
    const expiresAt = performance.now() + Number(text.dataset.leftMs);
    const timer = setInterval(tick, 250);
    return { stop: () => clearInterval(timer) };

    function tick() {
      const leftMs = expiresAt - performance.now();
      if (leftMs <= 0) return expire();
      const seconds = Math.ceil(leftMs / 1000);
      if (bar) bar.value = seconds;
      const label = text.dataset.minutes
        ? text.dataset.minutes.replace("#", Math.ceil(seconds / 60))
        : text.dataset.seconds.replace("#", seconds);
      if (text.textContent !== label) text.textContent = label;
    }

    function expire() {
      clearInterval(timer);
      live.querySelectorAll("[data-dies]").forEach((code) => code.remove());
      live.querySelectorAll("[data-dead]").forEach((placeholder) => (placeholder.hidden = false));
      text.parentElement.matches("figcaption") ? text.parentElement.remove() : text.remove();
    }
  }
})();
