// A copy of the browser's cookies in another client: it works like the browser, unless the session is bound to a key.

import { clockTime, duration } from "./durations.js";
import { Trial } from "./trial.js";

const LOOK_EVERY = 500; // milliseconds, until the other client has its copy
const CALL_EVERY = 5000;
const OPENS_WITHIN = 60_000; // milliseconds

export class CopiedCookies {
  constructor(root, { bff, journal, signal }) {
    Object.assign(this, { bff, journal, signal });
    const article = root.querySelector("#trial-copy");
    this.more = article.querySelector(".more");
    this.trial = new Trial(article, () => this.#copy());
    // Known before the click, because a browser opens a window only right after one.
    this.port = this.#state().then(({ port }) => port);
    this.port.catch(() => {}); // reported after the click
  }

  async #copy() {
    this.more.hidden = true;
    const port = await this.port;
    const clicked = Date.now() / 1000; // by the clock of the same machine
    window.open(`http://localhost:${port}/copy`, "_blank", "noopener");
    this.trial.say("waiting", "A window of the other client opens …");
    const copy = await this.#copyAfter(clicked);
    this.journal.add({ who: "You", text: `copied ${copy.cookies.length} cookies to another client.` });
    const session = await (await this.bff.fetch("/auth/session")).json();
    if (session.device_bound && copy.device_bound === "enforce") await this.#watchBound(copy);
    else await this.#showUnbound(copy, session.device_bound);
  }

  /** A copy of a session that nothing protects: one call shows it. */
  async #showUnbound(copy, bound) {
    const { all } = await this.#call();
    if (all.status !== 200) {
      this.trial.say("waiting", `The copy was answered with ${refusal(all)}. Try again.`);
      return;
    }
    this.trial.say("wrong", "The copy works: the API answered the other client as if it were you.");
    this.more.hidden = false;
    this.more.textContent = advice(copy.device_bound, bound);
    this.journal.add({
      who: "Other client",
      tone: "bad",
      text: "called the API with the copied cookies, and was answered.",
      why: "A session cookie proves nothing but itself. HttpOnly hides it from scripts, not from malware or a backup of the disk.",
    });
  }

  /** The session cookie alone is refused at once, all cookies when the bound one has expired. */
  async #watchBound(copy) {
    const until = copy.copied_at + copy.lifetime;
    let refusedAlone = false;
    for (;;) {
      const { all, without_bound: alone } = await this.#call();
      if (this.signal.aborted) return;
      const now = Date.now() / 1000;
      if (alone.status !== 200 && !refusedAlone) {
        refusedAlone = true;
        this.journal.add({
          who: "BFF",
          tone: "ok",
          text: `refused the session cookie without the bound one: ${refusal(alone)}.`,
          why: "This session belongs to a key of your browser. The bound cookie shows that the browser has proven that it has the key.",
        });
      }
      if (all.status !== 200 && alone.status !== 200) return this.#refused(all, now - copy.copied_at);
      const first = refusedAlone
        ? `The copied session cookie alone is refused: ${refusal(alone)}.`
        : "The key is new: for 30 seconds, calls that were on their way already are answered without a proof.";
      this.trial.say("waiting", `${first} All cookies together work until ${clockTime(new Date(1000 * until))} at the latest.`);
      this.trial.button.textContent = `At most ${duration(until - now)} left`;
      await pause(CALL_EVERY, this.signal);
      if (this.signal.aborted) return;
    }
  }

  async #refused(all, after) {
    const session = await this.bff.session.refresh();
    const you = session.user ? "You are still signed in." : "You are signed out.";
    this.trial.say(session.user ? "good" : "wrong", `The copy stopped working after ${duration(after)}: ${refusal(all)}. ${you}`);
    this.journal.add({
      who: "BFF",
      tone: "ok",
      text: `refused the copy of all cookies: ${refusal(all)}.`,
      why: "The bound cookie has expired. Your browser renewed its own with a signature; the other client has no key to sign with.",
    });
  }

  async #copyAfter(clicked) {
    const deadline = Date.now() + OPENS_WITHIN;
    for (;;) {
      const state = await this.#state();
      if (state.copied_at > clicked) return state;
      if (Date.now() > deadline) throw new Error("The other client got no cookies. Does this browser block the window?");
      await pause(LOOK_EVERY, this.signal);
    }
  }

  async #state() {
    return (await this.bff.fetch("/other-client/state", { signal: this.signal })).json();
  }

  async #call() {
    const answer = await this.bff.fetch("/other-client/call", { method: "POST", signal: this.signal });
    if (!answer.ok) throw new Error("The other client could not reach the BFF.");
    return answer.json();
  }
}

function refusal({ status, reason }) {
  return reason ? `${status}, ${reason}` : String(status);
}

function advice(mode, bound) {
  if (mode !== "enforce") {
    const first = bound ? "Your session is bound to a key, and this demo does not insist on it. " : "";
    return `${first}Start the demo with DEMO_DEVICE_BOUND=enforce to see the copy fail, in a browser that binds sessions to a key.`;
  }
  return (
    "This browser has registered no key, so its session works as everywhere. Chrome on Windows binds sessions since version 145. " +
    "So does Chromium 150 with a fresh profile and --enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting."
  );
}

function pause(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
