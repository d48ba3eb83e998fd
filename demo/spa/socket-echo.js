// A WebSocket to the API, through the BFF: each message is echoed, and the round trip is measured.

import { openWebSocket } from "./okta-bff-client.js";

const EVERY = 2000; // milliseconds

export class SocketEcho {
  constructor(root, bff, path) {
    this.shown = root.querySelector("#socket-time");
    this.bff = bff;
    this.path = path;
  }

  start(signal) {
    const send = () => socket.send(String(performance.now()));
    const socket = openWebSocket(this.bff, this.path, {
      onOpen: send,
      onMessage: (message) => {
        this.#show(performance.now() - Number(message.data));
        setTimeout(send, EVERY);
      },
      onLost: () => (this.shown.textContent = "–"),
    });
    signal.addEventListener("abort", () => socket.close());
  }

  #show(milliseconds) {
    this.shown.textContent = milliseconds < 10 ? `${milliseconds.toFixed(1)} ms` : `${Math.round(milliseconds)} ms`;
  }
}
