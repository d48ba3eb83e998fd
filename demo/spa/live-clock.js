// Server-sent events from the API, through the BFF. EventSource stops after an error response, so it is opened again.

import { clockTime } from "./durations.js";

const AGAIN = 3000; // milliseconds

export class LiveClock {
  /** `onClosed` is called when the BFF closes the stream, which it does at the end of the session. */
  constructor(root, path, onClosed) {
    this.onClosed = onClosed;
    this.time = root.querySelector("#stream-time");
    this.state = root.querySelector("#stream-state");
    this.path = path;
  }

  start(signal) {
    let source = null;
    const open = () => {
      if (signal.aborted) return;
      source = new EventSource(this.path);
      source.addEventListener("open", () => (this.state.textContent = ", by server-sent events"));
      source.addEventListener("time", (event) => this.#tick(event.data));
      source.addEventListener("error", () => {
        this.state.textContent = ", connecting …";
        if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN);
        if (!signal.aborted) this.onClosed();
      });
    };
    signal.addEventListener("abort", () => source?.close());
    open();
  }

  #tick(data) {
    const { now } = JSON.parse(data);
    this.time.dateTime = new Date(now * 1000).toISOString();
    this.time.textContent = clockTime(new Date(now * 1000));
  }
}
