// The console's custom elements. Plain JavaScript, no build: every page also works without it.
"use strict";

/** `<sl-time datetime>`: adds the local time to the UTC time that the server wrote, and keeps an age up to date. */
class SlTime extends HTMLElement {
  connectedCallback() {
    const at = new Date(this.getAttribute("datetime"));
    if (Number.isNaN(at.getTime())) return;
    this.at = at;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }).format(at);
    this.title = `${this.getAttribute("datetime")} (UTC)\n${local} (${zone})`;
    const spot = this.querySelector(".local");
    const offset = at.getTimezoneOffset();
    if (spot && offset !== 0) spot.textContent = ` · ${at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })} local`;
    SlTime.all.add(this);
    this.age();
  }
  disconnectedCallback() {
    SlTime.all.delete(this);
  }
  age() {
    const spot = this.querySelector(".age");
    if (!spot) return;
    const seconds = Math.round((Date.now() - this.at.getTime()) / 1000);
    const text = SlTime.words(seconds);
    if (spot.textContent !== text) spot.textContent = text;
  }
  static words(seconds) {
    const ahead = seconds < 0;
    const s = Math.abs(seconds);
    const text =
      s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
    return ahead ? `in ${text}` : `${text} ago`;
  }
}
SlTime.all = new Set();
setInterval(() => {
  if (!document.hidden) for (const time of SlTime.all) time.age();
}, 1000);

/** `<sl-copy text>`: a button that copies. */
class SlCopy extends HTMLElement {
  connectedCallback() {
    if (this.firstElementChild) return;
    const what = this.getAttribute("label") || "Copy";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button small";
    button.textContent = what;
    const said = document.createElement("span");
    said.className = "sr";
    said.setAttribute("role", "status");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(this.getAttribute("text"));
        button.textContent = said.textContent = "Copied";
      } catch {
        button.textContent = said.textContent = "Not copied";
      }
      setTimeout(() => {
        button.textContent = what;
        said.textContent = "";
      }, 1600);
    });
    this.append(button, said);
  }
}

/** `<sl-theme>`: light, dark, or as the system has it; kept in a cookie, so that the server renders it. */
class SlTheme extends HTMLElement {
  connectedCallback() {
    if (this.firstElementChild) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button small";
    const root = document.documentElement;
    const show = () => {
      button.textContent = `Theme: ${root.dataset.theme || "system"}`;
    };
    button.addEventListener("click", () => {
      const next = { "": "light", light: "dark", dark: "" }[root.dataset.theme || ""];
      if (next) root.dataset.theme = next;
      else delete root.dataset.theme;
      document.cookie = `sluice-theme=${next}; path=/; max-age=${next ? 31536000 : 0}; samesite=strict`;
      show();
    });
    show();
    this.append(button);
  }
}

/**
 * `<sl-live hx-get hx-trigger="sl:poll">`: asks again while somebody looks, every 2 s after something was done or has changed, else every
 * 30 s, never in a hidden tab. What has another order waits under a pointer or a focus until the person says so.
 */
class SlLive extends HTMLElement {
  connectedCallback() {
    this.fast = 2000;
    this.slow = 30000;
    this.activeUntil = Date.now() + 60000;
    this.etag = this.getAttribute("etag");
    this.status = this.parentElement.querySelector(".fresh");
    this.waiting = null;
    this.seen = Date.now();
    this.wake = () => {
      if (document.hidden) return clearTimeout(this.timer);
      this.activeUntil = Date.now() + 60000;
      this.plan(Date.now() - this.seen > this.fast ? 50 : this.fast);
    };
    this.stir = () => {
      const idle = Date.now() > this.activeUntil;
      this.activeUntil = Date.now() + 60000;
      if (idle && !document.hidden) this.plan(this.fast);
    };
    document.addEventListener("visibilitychange", this.wake);
    for (const kind of ["pointermove", "keydown"]) document.addEventListener(kind, this.stir, { passive: true });
    this.addEventListener("htmx:configRequest", (event) => {
      if (event.target === this && this.etag) event.detail.headers["If-None-Match"] = this.etag;
    });
    this.addEventListener("htmx:beforeSwap", (event) => this.judge(event));
    this.addEventListener("htmx:afterRequest", (event) => {
      if (event.target !== this) return;
      this.seen = Date.now();
      const { xhr } = event.detail;
      const failed = !(xhr.status === 304 || (xhr.status >= 200 && xhr.status < 300));
      this.say(failed ? `not updated: ${xhr.status ? `HTTP ${xhr.status}` : "the console does not answer"}` : "");
      if (!failed && xhr.status !== 304) {
        this.etag = xhr.getResponseHeader("ETag");
        this.activeUntil = Math.max(this.activeUntil, Date.now() + 20000);
      }
      this.plan();
    });
    this.plan();
  }
  disconnectedCallback() {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.wake);
    for (const kind of ["pointermove", "keydown"]) document.removeEventListener(kind, this.stir);
  }
  plan(pause) {
    clearTimeout(this.timer);
    if (document.hidden) return;
    const wait = pause || (Date.now() < this.activeUntil ? this.fast : this.slow);
    this.timer = setTimeout(() => this.dispatchEvent(new CustomEvent("sl:poll")), wait);
  }
  rows(root) {
    return [...root.querySelectorAll("[data-row]")].map((row) => row.dataset.row);
  }
  judge(event) {
    if (event.target !== this || event.detail.xhr.status !== 200) return;
    const next = new DOMParser().parseFromString(event.detail.serverResponse, "text/html");
    const [now, then] = [this.rows(this), this.rows(next)];
    const moved = now.length > 0 && now.join("\n") !== then.join("\n");
    const typing = this.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
    const open = this.querySelector("details[open]") !== null;
    const held = typing || open || (moved && (this.matches(":hover") || this.contains(document.activeElement)));
    if (!held) return;
    event.detail.shouldSwap = false;
    const known = new Set(now);
    this.waiting = event.detail.serverResponse;
    this.offer(then.filter((row) => !known.has(row)).length);
  }
  offer(count) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "new";
    button.textContent = count > 0 ? `${count} new: show` : "changed: show";
    button.addEventListener("click", () => {
      htmx.swap(this, this.waiting, { swapStyle: "innerHTML" });
      this.waiting = null;
      this.say("");
    });
    this.status.replaceChildren(button);
  }
  say(text) {
    if (this.waiting === null && this.status) this.status.textContent = text;
  }
}

/** `<sl-keys>`: `/` goes to the search, `g` and a letter to a page, `j` and `k` along the rows, `?` says so. */
class SlKeys extends HTMLElement {
  connectedCallback() {
    this.dialog = this.querySelector("dialog");
    this.pages = JSON.parse(this.getAttribute("pages") || "{}");
    this.after = "";
    document.addEventListener("keydown", (event) => this.key(event));
    document.querySelector("[data-open=keys]")?.addEventListener("click", () => this.dialog.showModal());
  }
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (this.after === "g") {
      this.after = "";
      const to = this.pages[event.key];
      if (to) {
        event.preventDefault();
        location.assign(to);
      }
      return;
    }
    if (event.key === "g") this.after = "g";
    else if (event.key === "?" && !this.dialog.open) this.dialog.showModal();
    else if (event.key === "/") {
      const field = document.querySelector("[data-search]");
      if (field) {
        event.preventDefault();
        field.focus();
      }
    } else if (event.key === "j" || event.key === "k") {
      const links = [...document.querySelectorAll("tr[data-row] a.main")];
      const at = links.indexOf(document.activeElement);
      const next = links[event.key === "j" ? Math.min(at + 1, links.length - 1) : Math.max(at - 1, 0)];
      next?.focus();
    } else if (event.key === "[" || event.key === "]") {
      document.querySelector(event.key === "[" ? "[rel=prev]" : "[rel=next]")?.click();
    }
  }
}

customElements.define("sl-time", SlTime);
customElements.define("sl-copy", SlCopy);
customElements.define("sl-theme", SlTheme);
customElements.define("sl-live", SlLive);
customElements.define("sl-keys", SlKeys);
