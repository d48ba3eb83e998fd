// A WebSocket to the API, through the BFF: each message is echoed, and the round trip is measured.

const EVERY = 2000; // milliseconds
const AGAIN = 3000;

export class SocketEcho {
  constructor(root, path) {
    this.shown = root.querySelector("#socket-time");
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
  }

  start(signal) {
    let socket = null;
    const open = () => {
      if (signal.aborted) return;
      socket = new WebSocket(this.url);
      socket.addEventListener("open", () => this.#send(socket));
      socket.addEventListener("message", (message) => {
        this.#show(performance.now() - Number(message.data));
        setTimeout(() => this.#send(socket), EVERY);
      });
      socket.addEventListener("close", () => {
        this.shown.textContent = "–";
        setTimeout(open, AGAIN);
      });
    };
    signal.addEventListener("abort", () => socket?.close());
    open();
  }

  #send(socket) {
    if (socket.readyState === WebSocket.OPEN) socket.send(String(performance.now()));
  }

  #show(milliseconds) {
    this.shown.textContent = milliseconds < 10 ? `${milliseconds.toFixed(1)} ms` : `${Math.round(milliseconds)} ms`;
  }
}
