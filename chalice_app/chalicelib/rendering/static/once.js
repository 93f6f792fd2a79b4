// A slow form shows that it works, and is sent once, however often its button is pressed.
"use strict";

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    const button = form.querySelector("button");
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    button.setAttribute("aria-busy", "true");
    button.textContent = form.dataset.once;
  });
}

// The browser's back button restores the submitted form: reload it, so that it is usable again.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
