// One API call every two seconds, each drawn as a bar: answered, waiting for the provider, or refused.

import { count, list } from "./durations.js";
import { Unavailable } from "./okta-bff-client.js";

const EVERY = 2000; // milliseconds
const SHOWN = 90;

export class Heartbeat {
  constructor(root, bff, journal) {
    this.bars = root.querySelector("#beats");
    this.words = root.querySelector("#beats-words");
    this.bff = bff;
    this.journal = journal;
    this.answered = 0;
    this.waited = 0;
    this.waiting = false;
    for (let i = 0; i < SHOWN; i++) this.bars.append(document.createElement("i"));
  }

  start(signal) {
    const beat = () => document.hidden || this.#beat(signal);
    const timer = setInterval(beat, EVERY);
    signal.addEventListener("abort", () => clearInterval(timer));
    beat();
  }

  async #beat(signal) {
    const bar = document.createElement("i");
    this.bars.append(bar);
    this.bars.firstElementChild.remove();
    try {
      const answer = await this.bff.fetch("/api/echo", { signal });
      await answer.text(); // a body left unread keeps its connection busy
      bar.className = answer.ok ? "ok" : "bad";
      if (!answer.ok) return;
      this.answered += 1;
      this.#answeredAgain();
    } catch (error) {
      if (signal.aborted) return;
      const patient = error instanceof Unavailable && error.code === "provider_unavailable";
      bar.className = patient ? "wait" : "bad";
      if (patient) this.#askedToRetry();
    }
    const parts = [`${this.answered} answered`];
    if (this.waited) parts.push(`${this.waited} asked to retry later`);
    this.words.textContent = list(parts);
  }

  #askedToRetry() {
    this.waited += 1;
    if (this.waiting) return;
    this.waiting = true;
    this.journal.add({
      who: "BFF",
      tone: "wait",
      text: "asked a call to retry later: 503 with Retry-After.",
      why: "The access token expired while Okta was unavailable. A 401 would have sent you to a sign-in page that is down too; the session and its cookie stay.",
    });
  }

  #answeredAgain() {
    if (!this.waiting) return;
    this.waiting = false;
    this.journal.add({
      who: "API",
      tone: "ok",
      text: "is answering again.",
      why: `${count(this.waited, "call was", "calls were")} asked to retry later so far. You did not have to sign in again.`,
    });
  }
}
