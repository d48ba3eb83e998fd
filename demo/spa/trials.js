// Three faults that sign users out of less careful clients, each of which ends by checking with the BFF that the user
// is still signed in; and one order of Okta's that does sign out.

import { CopiedCookies } from "./copied-cookies.js";
import { count, duration } from "./durations.js";
import { Trial } from "./trial.js";

const CALLS = 50;
const OUTAGE = 20; // seconds
const PATIENCE = 60_000; // milliseconds that a call waits out an outage
const HELD = 7; // seconds that Okta holds a renewal at most; the BFF waits for 8
const RELEASED_AFTER = 1; // second: time for the calls to arrive while the renewal is held

export class Trials {
  constructor(root, { bff, simulator, journal, user, ending }) {
    Object.assign(this, { bff, simulator, journal, user });
    this.lose = new Trial(root.querySelector("#trial-lose"), () => this.#loseAnswer());
    this.down = new Trial(root.querySelector("#trial-down"), () => this.#takeDown());
    this.calls = new Trial(root.querySelector("#trial-calls"), () => this.#openCalls());
    this.revoke = new Trial(root.querySelector("#trial-revoke"), () => this.#revokeSession());
    this.copy = new CopiedCookies(root, { bff, journal, signal: ending.signal });
    this.grid = root.querySelector("#calls-grid");
    this.callsSurvived = 0;
    this.outage = false;
    this.armed = false;
    this.callsWait = false; // for the access token to run out
    this.holding = false; // the next renewal
    this.usableUntil = 0;
  }

  async #loseAnswer() {
    await this.simulator.loseNextAnswer();
    this.armed = true;
    this.lose.say("waiting", "Armed. The answer to the next renewal will get lost; wait for it.");
    this.journal.add({ who: "You", text: "armed a fault: the next token answer will be lost." });
    return "keep disabled";
  }

  async #takeDown() {
    await this.simulator.refuseConnections(OUTAGE);
    this.outage = true;
    this.down.say("waiting", "Okta refuses every connection. Watch the calls above, and try the other buttons.");
    this.journal.add({ who: "You", text: `took Okta down for ${OUTAGE} seconds.` });
    return "keep disabled";
  }

  async #revokeSession() {
    this.revoke.say("waiting", "Okta has ended the session, and its security event is on the way …");
    await this.simulator.endOktaSessions(this.user.sub);
    return "keep disabled"; // until the other view takes its place
  }

  /** Handles the simulator's current state; called about once a second. */
  async look({ up, downFor, renewalIn, usableUntil, tokenIsLive }) {
    this.usableUntil = usableUntil;
    if (this.callsWait) {
      this.calls.button.textContent = up && renewalIn ? `Renewal due in ${duration(renewalIn)}` : "Waiting …";
      // While Okta is down no renewal reaches it: the calls wait for it to come back.
      if (!tokenIsLive && !up) this.#sendCalls();
    }
    if (this.armed && renewalIn !== null) this.lose.button.textContent = `Renewal due in ${duration(renewalIn)}`;
    if (!this.outage) return;
    if (!up) {
      this.down.button.textContent = `Back in ${duration(downFor)}`;
    } else if (!tokenIsLive) {
      this.down.button.textContent = "Okta is back";
      this.down.say("waiting", "Okta is back. The BFF will retry soon …");
    } else {
      this.outage = false;
      await this.#report(this.down, `Okta was down for ${OUTAGE} seconds.`);
    }
  }

  /** One event of the simulator's. */
  async hear(event) {
    if (event.kind === "fault" && event.fault === "lose_answer" && this.armed) {
      this.armed = false;
      this.lose.say("waiting", "The answer is lost. Okta has replaced the token, and the BFF does not have the new one …");
    } else if (event.kind === "fault" && event.fault === "slow" && this.holding) {
      this.holding = false;
      await this.#meetRenewal(event);
    } else if (event.kind === "resent" && this.lose.busy) {
      await this.#report(this.lose, "The answer was lost; the BFF repeated the request in time.");
    }
  }

  /** One event of another sign-in: two browsers may be watching one simulated Okta. */
  hearOfOthers(event) {
    if (event.kind !== "resent" || !this.lose.busy) return;
    this.armed = false;
    this.lose.say("waiting", "Another browser's renewal came first and got the fault. Try again.");
    this.lose.finish();
  }

  /** The calls come when they need a renewal: with a token that is still good there would be none. */
  async #openCalls() {
    this.grid.replaceChildren();
    const { up } = await this.simulator.state();
    if (up) await this.simulator.holdNextRenewal(HELD);
    this.holding = up;
    this.callsWait = true;
    const when = up ? "and Okta takes its time to renew it" : "and Okta is down";
    this.calls.say("waiting", `The calls begin when the access token has run out ${when}.`);
    return "keep disabled";
  }

  /** A renewal is under way, and Okta holds it: sends the calls once the old token is no longer used. */
  async #meetRenewal(event) {
    if (!this.callsWait) return this.simulator.releaseRenewal(0);
    const { token_requests } = await this.simulator.state();
    const at = Math.min(this.usableUntil + 0.2, event.at + HELD - 2 * RELEASED_AFTER);
    setTimeout(async () => {
      const released = this.simulator.releaseRenewal(RELEASED_AFTER);
      await released.catch(() => {}); // before the calls, which occupy every connection; without it Okta goes on later
      this.#sendCalls(token_requests - 1);
    }, Math.max(0, 1000 * (at - Date.now() / 1000)));
  }

  /** `before` is the number of token requests without those that the calls wait for. */
  async #sendCalls(before) {
    if (!this.callsWait) return;
    this.callsWait = false;
    try {
      await this.#race(before);
    } catch (error) {
      this.calls.say("wrong", error.message);
      this.calls.finish();
    }
  }

  async #race(before) {
    const squares = Array.from({ length: CALLS }, () => document.createElement("i"));
    this.grid.replaceChildren(...squares);
    this.calls.say("waiting", `${CALLS} calls are on their way.`);
    before ??= (await this.simulator.state()).token_requests;
    const started = performance.now();
    const answers = await Promise.all(squares.map((square) => this.#call(square)));
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const after = await this.simulator.state();
    const requests = after.token_requests - before;
    const answered = answers.filter(Boolean).length;
    this.callsSurvived += answered;
    this.journal.add({
      who: "You",
      text: `opened ${CALLS} calls at once: ${answered} answered, with ${count(requests, "token request")}.`,
      why: "All calls of a session share one renewal, across every replica of the BFF: the lease is in the session's record.",
    });
    const facts = `${answered} of ${CALLS} answered in ${seconds} s, with ${count(requests, "token request")}.`;
    await this.#report(this.calls, facts, answered === CALLS);
  }

  async #call(square) {
    try {
      const onWait = () => (square.className = "wait");
      const answer = await this.bff.fetch("/api/echo", { maxWait: PATIENCE, onWait });
      await answer.text();
      square.className = answer.ok ? "ok" : "bad";
      return answer.ok;
    } catch {
      square.className = "bad";
      return false;
    }
  }

  async #report(trial, facts, good = true) {
    const authenticated = !!(await this.bff.session.refresh()).user;
    if (authenticated && good) trial.say("good", `${facts} You are still signed in.`);
    else trial.say("wrong", `${facts} ${authenticated ? "You are signed in." : "You are signed out."}`);
    trial.finish();
  }
}
