// Server-sent events from the API, through the BFF. The client opens the stream again where EventSource gives up.

import { clockTime } from "./durations.js";
import { openEventSource } from "./okta-bff-client.js";

export class LiveClock {
  constructor(root, bff, path) {
    this.time = root.querySelector("#stream-time");
    this.state = root.querySelector("#stream-state");
    this.bff = bff;
    this.path = path;
  }

  start(signal) {
    const stream = openEventSource(this.bff, this.path, {
      on: { time: (event) => this.#tick(event.data) },
      onOpen: () => (this.state.textContent = ", by server-sent events"),
      onLost: () => (this.state.textContent = ", connecting …"),
    });
    signal.addEventListener("abort", () => stream.close());
  }

  #tick(data) {
    const { now } = JSON.parse(data);
    this.time.dateTime = new Date(now * 1000).toISOString();
    this.time.textContent = clockTime(new Date(now * 1000));
  }
}
