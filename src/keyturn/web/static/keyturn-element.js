// <keyturn-keys src="https://keys.example.com/portal/…"></keyturn-keys>: the pages of one person's API keys, in your page.
// `src` is the `url` that POST /v1/portal/sessions has answered, with your page's origin as `embed_origin`.  It opens once.
//
// Events, none of which holds a secret:
//   keyturn:reset    a key has a new secret; detail.key is the key's id
//   keyturn:ended    the view is closed, or its time is over: ask your server for another link
//   keyturn:blocked  nothing was shown: the browser keeps no cookies here, or this origin is not the one; use a plain link
const SANDBOX = "allow-scripts allow-same-origin allow-forms allow-downloads allow-modals allow-popups";
const PATIENCE = 4000;
const EVENTS = ["reset", "ended"];
let count = 0;

class KeyturnKeys extends HTMLElement {
  static observedAttributes = ["src"];
  #frame;
  #origin;
  #heard = (event) => this.#hear(event);
  #waiting;

  connectedCallback() {
    addEventListener("message", this.#heard);
    this.#open();
  }

  disconnectedCallback() {
    removeEventListener("message", this.#heard);
    clearTimeout(this.#waiting);
  }

  attributeChangedCallback() {
    this.#open();
  }

  #open() {
    const src = this.getAttribute("src");
    if (!src || !this.isConnected) return;
    this.removeAttribute("src"); // it opens once, and nobody needs to read it here afterwards
    const url = new URL(src, location.href);
    this.#origin = url.origin;
    const frame = document.createElement("iframe");
    frame.name = "keyturn-" + ++count;
    frame.title = this.getAttribute("label") || "API Keys";
    frame.allow = `clipboard-write ${url.origin}; publickey-credentials-get ${url.origin}`;
    frame.setAttribute("sandbox", SANDBOX);
    Object.assign(frame.style, { display: "block", width: "100%", height: "20rem", border: "0", borderRadius: ".6rem" });
    frame.addEventListener("load", () => this.#wait());
    this.style.display ||= "block";
    this.replaceChildren(frame);
    this.#frame = frame;
    this.#post(new URL("/frame/open", url), {
      token: url.pathname.split("/").pop(),
      language: this.closest("[lang]")?.lang ?? "",
      zone: Intl.DateTimeFormat().resolvedOptions().timeZone ?? "",
    });
  }

  // A form, so that the link is in no address, and the browser says whose page has sent it.
  #post(action, fields) {
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: action.href, target: this.#frame.name, hidden: true });
    for (const [name, value] of Object.entries(fields)) {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    this.append(form);
    form.submit();
    form.remove();
  }

  // A page that may not be shown is loaded like any other, and says nothing.
  #wait() {
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => this.#say("blocked"), PATIENCE);
  }

  #hear(event) {
    if (event.origin !== this.#origin || event.source !== this.#frame?.contentWindow) return;
    const told = event.data;
    if (told?.keyturn !== 1) return;
    clearTimeout(this.#waiting);
    if (Number.isFinite(told.height)) this.#frame.style.height = Math.min(Math.max(told.height, 96), 20000) + "px";
    if (EVENTS.includes(told.event)) this.#say(told.event, { key: String(told.key ?? "") });
  }

  #say(name, detail = {}) {
    this.dispatchEvent(new CustomEvent("keyturn:" + name, { detail, bubbles: true }));
  }
}

customElements.define("keyturn-keys", KeyturnKeys);
