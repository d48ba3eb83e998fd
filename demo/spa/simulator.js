// The simulated Okta's control API, reached through the BFF's route /simulator so that the page stays on one origin.
// None of this exists in production. The provider's own port can be down while this one answers.

export class Simulator {
  constructor(client) {
    this.client = client;
    this.lastEvent = 0;
  }

  async state() {
    return (await this.client.fetch("/simulator/state")).json();
  }

  /** The events since the last time this was asked, oldest first. */
  async events() {
    const answer = await this.client.fetch(`/simulator/events?after=${this.lastEvent}`);
    const { events, last } = await answer.json();
    this.lastEvent = last;
    return events;
  }

  loseNextAnswer() {
    return this.#tell("/simulator/faults", { kind: "lose_answer", grant: "refresh_token", times: 1 });
  }

  refuseConnections(seconds) {
    return this.#tell("/simulator/down", { seconds, how: "refuse" });
  }

  async #tell(path, body) {
    const answer = await this.client.fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return answer.json();
  }
}

/** The family of tokens that began with this session: the person's other sign-ins have families of their own. */
export function familyOf(state, sub, signedInAt) {
  const apart = (family) => Math.abs(family.issued_at - signedInAt);
  return state.families.filter((family) => family.sub === sub).sort((one, other) => apart(one) - apart(other))[0] ?? null;
}
