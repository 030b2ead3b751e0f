// ALTCHA's widget in the reader's language, with its work done in a worker of ours.
for (const one of document.querySelectorAll("altcha-widget[data-worker]")) {
  const { worker, label, verifying, verified, error, wait, again } = one.dataset;
  globalThis.$altcha.algorithms.set("SHA-256", () => new Worker(worker));
  globalThis.$altcha.i18n.set(document.documentElement.lang, {
    ...globalThis.$altcha.i18n.get("en"), label, verifying, verified, error, waitAlert: wait, expired: again, reload: again,
  });
}
