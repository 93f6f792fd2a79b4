// The owner's page: opens the link at once, keeps the code fresh, and counts its seconds. Everything works without it.
"use strict";

(() => {
  const REST_AFTER_MS = 30 * 60 * 1000; // nobody scanned for this long: stop asking for codes
  const HIDDEN_EVERY_MS = 15 * 1000;
  const LOST_AFTER_FAILURES = 3;

  const opening = document.getElementById("open-form");
  if (opening) whenSeen(() => open(opening));

  const live = document.getElementById("live");
  if (live) keepFresh(live);

  for (const form of document.querySelectorAll("form")) submitOnce(form);

  // A page that a browser renders in advance was opened by nobody yet.
  function whenSeen(act) {
    if (document.prerendering) document.addEventListener("prerenderingchange", act, { once: true });
    else act();
  }

  function open(form) {
    const button = form.querySelector("button");
    button.textContent = form.dataset.working;
    button.setAttribute("aria-busy", "true");
    form.submit();
  }

  function submitOnce(form) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
    window.addEventListener("pageshow", () => delete form.dataset.sent);
  }

  function keepFresh(live) {
    let everyMs = Number(live.dataset.everyMs);
    let failures = 0;
    let timer = 0;
    let codeWantedSince = Date.now();
    let countdown = startCountdown(live);

    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) look();
    });
    window.addEventListener("online", look);
    schedule();

    function schedule() {
      clearTimeout(timer);
      const slow = document.hidden ? Math.max(everyMs, HIDDEN_EVERY_MS) : everyMs;
      timer = setTimeout(look, slow * Math.min(2 ** failures, 8));
    }

    async function look() {
      clearTimeout(timer);
      if (wantsCode(live) && Date.now() - codeWantedSince > REST_AFTER_MS) return rest();
      try {
        const answer = await fetch(`${live.dataset.url}?seen=${live.dataset.version}`, {
          cache: "no-store",
          credentials: "same-origin",
          signal: AbortSignal.timeout(10_000),
        });
        const news = await answer.json();
        if (news.reload) return location.reload();
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        failures = 0;
        show(news);
      } catch {
        failures += 1;
      }
      document.getElementById("lost").hidden = failures < LOST_AFTER_FAILURES;
      schedule();
    }

    function show(news) {
      everyMs = news.every_ms;
      if (news.html === undefined) return;
      countdown.stop();
      const parsed = new DOMParser().parseFromString(news.html, "text/html");
      live.replaceChildren(...parsed.body.childNodes);
      live.dataset.version = news.version;
      live.querySelectorAll("form").forEach(submitOnce);
      if (!wantsCode(live)) codeWantedSince = Date.now();
      countdown = startCountdown(live);
    }

    function rest() {
      countdown.stop();
      live.replaceChildren(document.getElementById("rested").content.cloneNode(true));
    }
  }

  function wantsCode(live) {
    const shown = live.querySelector("#phase")?.dataset.shown;
    return shown === "qr" || shown === "pairing" || shown === "waiting";
  }

  // Seconds run here between two looks; at zero the code is taken away even if no answer comes.
  function startCountdown(live) {
    const text = live.querySelector("#countdown");
    if (!text) return { stop() {} };
    const bar = live.querySelector("progress");
    const diesAt = performance.now() + Number(text.dataset.leftMs);
    const timer = setInterval(tick, 250);
    return { stop: () => clearInterval(timer) };

    function tick() {
      const leftMs = diesAt - performance.now();
      if (leftMs <= 0) return die();
      const seconds = Math.ceil(leftMs / 1000);
      if (bar) bar.value = seconds;
      const said = text.dataset.minutes
        ? text.dataset.minutes.replace("#", Math.ceil(seconds / 60))
        : text.dataset.seconds.replace("#", seconds);
      if (text.textContent !== said) text.textContent = said;
    }

    function die() {
      clearInterval(timer);
      live.querySelectorAll("[data-dies]").forEach((code) => code.remove());
      live.querySelectorAll("[data-dead]").forEach((placeholder) => (placeholder.hidden = false));
      text.parentElement.matches("figcaption") ? text.parentElement.remove() : text.remove();
    }
  }
})();
