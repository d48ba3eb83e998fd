// The simulated Okta's control API, reached through the BFF's route /simulator so that the page stays on one origin.
// None of this exists in production. The provider's own port can be down while this one answers.

export class Simulator {
  constructor(bff) {
    this.bff = bff;
    this.lastEvent = 0;
  }

  async state() {
    return (await this.bff.fetch("/simulator/state")).json();
  }

  /** The events since the previous call, oldest first. */
  async events() {
    const answer = await this.bff.fetch(`/simulator/events?after=${this.lastEvent}`);
    const { events, last } = await answer.json();
    this.lastEvent = last;
    return events;
  }

  loseNextAnswer() {
    return this.#post("/simulator/faults", { kind: "lose_answer", grant: "refresh_token", times: 1 });
  }

  /** Okta does not answer the next renewal until it is released, or `seconds` are over. */
  holdNextRenewal(seconds) {
    const fault = { kind: "slow", grant: "refresh_token", times: 1, delay: seconds, held: true };
    return this.#post("/simulator/faults", fault);
  }

  releaseRenewal(after) {
    return this.#post("/simulator/faults/release", { after });
  }

  refuseConnections(seconds) {
    return this.#post("/simulator/down", { seconds, how: "refuse" });
  }

  /** Ends the user's sessions at Okta, not their tokens: only a security event reports it. */
  endOktaSessions(sub) {
    return this.#post(`/simulator/users/${encodeURIComponent(sub)}/end-okta-sessions`, {});
  }

  async #post(path, body) {
    const answer = await this.bff.fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return answer.json();
  }
}

/** The token family of this session: each of the user's other sign-ins has its own family. */
export function familyOf(state, sub, signedInAt) {
  const apart = (family) => Math.abs(family.issued_at - signedInAt);
  return state.families.filter((family) => family.sub === sub).sort((a, b) => apart(a) - apart(b))[0] ?? null;
}
