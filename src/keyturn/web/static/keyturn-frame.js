// What a page does more where it stands inside a page of the operator's: it tells that page how tall it is, and what
// has happened.  It tells one origin only, it listens to nobody, and nothing it tells is a secret.
"use strict";
(() => {
  const origin = document.documentElement.dataset.framedBy;
  if (!origin || parent === window) return;
  const tell = (message) => parent.postMessage({ keyturn: 1, ...message }, origin);

  const size = () => tell({ height: Math.ceil(document.body.getBoundingClientRect().height) });
  new ResizeObserver(size).observe(document.body);
  for (const one of document.querySelectorAll("[data-tell]")) {
    tell({ event: one.dataset.tell, key: one.dataset.tellKey ?? "" });
  }
})();
