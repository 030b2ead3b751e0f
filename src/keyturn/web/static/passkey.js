// Passkeys: a form or a button with `data-passkey` asks that address what to ask the passkey, puts its answer into the
// form and sends it.  With `data-make` it makes a new one.
"use strict";
(() => {
  const kind = globalThis.PublicKeyCredential;
  const able = kind && "parseRequestOptionsFromJSON" in kind;
  for (const one of document.querySelectorAll("[data-no-passkey]")) one.hidden = Boolean(able);

  const ask = async (form, address) => {
    const sent = new URLSearchParams({ csrf: form.elements.csrf.value });
    const answer = await fetch(address, { method: "POST", body: sent });
    if (!answer.ok) throw new Error(String(answer.status));
    const options = await answer.json();
    const made = "make" in form.dataset;
    const credential = made
      ? await navigator.credentials.create({ publicKey: kind.parseCreationOptionsFromJSON(options) })
      : await navigator.credentials.get({ publicKey: kind.parseRequestOptionsFromJSON(options) });
    return JSON.stringify(credential.toJSON());
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target, button = event.submitter;
    const address = form.dataset.passkey ?? button?.dataset.passkey;
    if (!address || form.elements.credential.value) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (form.dataset.asking) return;
    form.dataset.asking = "yes";
    const problem = form.querySelector("[data-passkey-problem]");
    problem.hidden = true;
    try {
      form.elements.credential.value = await ask(form, address);
      form.requestSubmit(button);
    } catch {
      problem.hidden = false;
    } finally {
      delete form.dataset.asking;
    }
  }, true);
})();
