// What pages do more with a script: times count down, secrets are copied or saved, forms are sent once.
// Everything else works without it.
"use strict";
(() => {
  const zone = document.documentElement.dataset.zone + "=" + Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!document.cookie.split("; ").includes(zone)) {
    document.cookie = zone + "; path=/; max-age=31536000; samesite=lax";
  }

  const two = (number) => String(number).padStart(2, "0");
  const clock = (seconds) => {
    const days = Math.floor(seconds / 86400);
    const rest = two(Math.floor((seconds % 86400) / 3600)) + ":" + two(Math.floor((seconds % 3600) / 60)) + ":" + two(seconds % 60);
    return days ? days + " d " + rest : rest;
  };
  // The server says how long is left, so a reader's clock that is wrong does no harm.
  const count = () => {
    for (const one of document.querySelectorAll("[data-left]")) {
      one.dataset.began ??= String(performance.now());
      const left = Math.max(0, Math.ceil(Number(one.dataset.left) - (performance.now() - Number(one.dataset.began)) / 1000));
      one.textContent = left ? clock(left) : one.dataset.over;
    }
  };
  count();
  setInterval(count, 500);

  const act = {
    async copy(button) {
      const text = document.getElementById(button.dataset.of).textContent.trim();
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        getSelection().selectAllChildren(document.getElementById(button.dataset.of));
        if (!document.execCommand("copy")) return;
      }
      say(button);
    },
    save(button) {
      const text = document.getElementById(button.dataset.of).textContent.trim() + "\n";
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
      link.download = button.dataset.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      say(button);
    },
    print() { window.print(); },
    show(button) {
      const field = document.getElementById(button.dataset.of);
      field.type = field.type === "password" ? "text" : "password";
      button.setAttribute("aria-pressed", String(field.type === "text"));
    },
  };
  const say = (button) => {
    const before = button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = before; }, 2000);
  };

  let unsaved = document.querySelector("[data-unsaved]") !== null;
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) act[button.dataset.act]?.(button);
  });
  document.addEventListener("submit", (event) => {
    unsaved = false;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    if (event.target.method === "post") event.target.dataset.sent = "yes";
    setTimeout(() => { delete event.target.dataset.sent; }, 4000);
  });
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
  for (const one of document.querySelectorAll("[data-script]")) one.hidden = false;
  for (const one of document.querySelectorAll("[data-no-script]")) one.hidden = true;
  for (const one of document.querySelectorAll("form[data-at-once] input[type=radio], form[data-at-once] select")) {
    one.addEventListener("change", () => one.form.requestSubmit());
  }
})();
