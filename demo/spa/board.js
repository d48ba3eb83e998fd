// The view of a signed-in user. It works on a fresh copy of its markup, which is discarded at the end, so that no
// private data stays in the page.

import { count, duration, list } from "./durations.js";
import { Heartbeat } from "./heartbeat.js";
import { Journal } from "./journal.js";
import { LiveClock } from "./live-clock.js";
import { entryFor } from "./okta-events.js";
import { Simulator, familyOf } from "./simulator.js";
import { SocketEcho } from "./socket-echo.js";
import { Trials } from "./trials.js";

const LOOK_EVERY = 1000; // milliseconds
const TICK_EVERY = 250;

export class Board {
  constructor(root, bff, session) {
    this.root = root;
    this.bff = bff;
    this.user = session.user;
    this.deadlines = session.deadlines;
    this.ending = new AbortController();
    this.rounds = new Set();
    this.simulator = new Simulator(bff);
    this.journal = new Journal(this.#at("journal"));
    this.trials = new Trials(root, this);
    this.family = null;
    this.eventBefore = null;
    this.survived = { renewals: 0, losses: 0, outages: 0 };
  }

  start() {
    const { signal } = this.ending;
    this.#showPerson();
    this.#showWhatScriptsSee();
    this.#at("call").addEventListener("click", () => this.#callApi());
    new Heartbeat(this.root, this.bff, this.journal).start(signal);
    new LiveClock(this.root, this.bff, "/api/time").start(signal);
    new SocketEcho(this.root, this.bff, "/api/socket").start(signal);
    this.#repeat(() => this.#look(), LOOK_EVERY);
    this.#repeat(() => this.#tick(), TICK_EVERY);
  }

  /** Sends no more requests; resolves when the requests in progress are complete. */
  async stop() {
    this.ending.abort();
    await Promise.allSettled(this.rounds);
  }

  #at(id) {
    return this.root.querySelector(`#${id}`);
  }

  #repeat(action, every) {
    const { signal } = this.ending;
    const again = async () => {
      if (signal.aborted) return; // since this round was set up
      const round = (async () => action())();
      this.rounds.add(round);
      try {
        await round;
      } catch {
        // The next round retries; the session store handles a 401.
      }
      this.rounds.delete(round);
      if (!signal.aborted) setTimeout(again, every);
    };
    again();
  }

  #showPerson() {
    this.#at("headline-name").textContent = this.user.given_name ? `, ${this.user.given_name}` : "";
    const claims = Object.entries(this.user).flatMap(([name, value]) => {
      const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      detail.textContent = Array.isArray(value) ? value.join(", ") : String(value);
      return [term, detail];
    });
    this.#at("claims").replaceChildren(...claims);
  }

  async #showWhatScriptsSee() {
    const stored = localStorage.length + sessionStorage.length;
    // An access token here is a JWT: three parts in base64url, the first beginning with an encoded {".
    const everything = [document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)].join("\n");
    const tokens = everything.match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g)?.length ?? 0;
    this.#fact("seen-cookies", document.cookie ? "some" : "none", !document.cookie);
    this.#fact("seen-storage", stored ? count(stored, "entry", "entries") : "empty", !stored);
    const databases = (await indexedDB.databases?.()) ?? [];
    this.#fact("seen-databases", databases.length ? String(databases.length) : "none", !databases.length);
    this.#fact("seen-tokens", tokens ? String(tokens) : "none", !tokens);
  }

  #fact(id, text, good) {
    const fact = this.#at(id);
    fact.textContent = text;
    fact.className = good ? "good" : "wrong";
  }

  async #look() {
    const asked = [this.simulator.state(), this.simulator.events(), this.bff.session.refresh()];
    await Promise.allSettled(asked); // a round is over when every request is complete, not at the first failure
    const [state, events, session] = await Promise.all(asked);
    if (this.ending.signal.aborted || !session.user) return;
    this.deadlines = session.deadlines;
    this.family = familyOf(state, this.user.sub, this.deadlines.signedInAt / 1000);
    for (const event of events) await this.#hear(event);
    const lastsUntil = this.family?.access_token_expires_at ?? 0;
    this.#fact("okta-state", state.up ? "answering" : "down", state.up);
    this.#at("okta-requests").textContent = state.token_requests;
    this.#at("okta-lost").textContent = this.survived.losses;
    this.#fact("okta-alarms", String(state.reuse_alarms), state.reuse_alarms === 0);
    this.#at("log").hidden = !state.bff_log;
    this.#at("log").querySelector("code").textContent = state.bff_log ?? "";
    this.#at("token-rotations").textContent = this.family ? count(this.family.rotation_count, "time") : "–";
    await this.trials.look({
      up: state.up,
      downFor: state.down_until ? state.down_until - state.now : 0,
      renewalIn: this.#renewalIn(),
      usableUntil: this.#usableUntil(),
      tokenIsLive: lastsUntil > Date.now() / 1000,
    });
  }

  async #hear(event) {
    if (event.at < this.deadlines.signedInAt / 1000 - 2) return;
    if (event.family && event.family !== this.family?.id) {
      this.trials.hearOfOthers(event);
      return;
    }
    if (event.kind === "refreshed") this.survived.renewals += 1; // a repetition ("resent") is the same renewal
    if (event.kind === "fault" && event.fault === "lose_answer") this.survived.losses += 1;
    if (event.kind === "down") this.survived.outages += 1;
    const entry = entryFor(event, this.eventBefore);
    this.eventBefore = event;
    if (entry) this.journal.add(entry);
    await this.trials.hear(event);
  }

  /** Seconds until the BFF refreshes: a quarter of the lifetime before expiry, as in bff/session/timing.py. */
  #renewalIn() {
    const { access_token_issued_at: from, access_token_expires_at: until } = this.family ?? {};
    return from ? Math.max(0, until - (until - from) / 4 - Date.now() / 1000) : null;
  }

  /** The BFF uses a token until shortly before its expiry, as in bff/session/timing.py. */
  #usableUntil() {
    const { access_token_issued_at: from, access_token_expires_at: until } = this.family ?? {};
    return from ? until - Math.min(5, (until - from) / 10) : 0;
  }

  #tick() {
    const now = Date.now() / 1000;
    const { signedInAt, idleEndsAt, endsAt } = this.deadlines;
    this.#at("idle-left").textContent = `in ${duration(idleEndsAt / 1000 - now)}`;
    this.#at("absolute-left").textContent = `in ${duration(endsAt / 1000 - now)}`;
    const { renewals, losses, outages } = this.survived;
    const through = [];
    if (renewals) through.push(count(renewals, "renewal"));
    if (losses) through.push(count(losses, "lost answer"));
    if (outages) through.push(count(outages, "outage"));
    if (this.trials.callsSurvived) through.push(`${this.trials.callsSurvived} calls at once`);
    const since = `For ${duration(now - signedInAt / 1000)} now`;
    this.#at("survived").textContent = through.length
      ? `${since}, through ${list(through)}, and without a token in this page.`
      : `${since}, without a token in this page.`;
    this.#tickToken(now);
  }

  #tickToken(now) {
    const { access_token_issued_at: from, access_token_expires_at: until } = this.family ?? {};
    if (!from) return;
    const left = Math.max(0, until - now);
    this.#at("token-meter").value = left / (until - from);
    const age = this.#at("token-age");
    age.textContent = left ? `${duration(now - from)} of ${duration(until - from)}` : "expired, renewal pending";
    age.className = left ? "" : "waiting";
  }

  async #callApi() {
    const shown = this.#at("answer");
    const waiting = () => this.#answer("Okta is unavailable and the access token has expired. Waiting …");
    try {
      const answer = await this.bff.fetch("/api/orders", { maxWait: 60_000, onWait: waiting });
      this.#answer(JSON.stringify(await answer.json(), null, 2));
      this.journal.add({
        who: "API",
        tone: "ok",
        text: "answered your call.",
        why: "This page sent a cookie. The BFF replaced it with the access token.",
      });
    } catch (error) {
      if (shown.isConnected) this.#answer(`${error.code ?? error.name}: ${error.message}`);
    }
  }

  #answer(text) {
    const shown = this.#at("answer");
    shown.hidden = false;
    shown.textContent = text;
  }
}
