import type { Bff } from "./bff.js";

/** What a stream that opens itself again is for its user. */
export interface OpenStream {
  /** Closes it for good. `onEnd` is not called. */
  close(): void;
}

export interface OpenSocket extends OpenStream {
  /** Sends on the connection of this moment. False, and nothing is sent, while there is none. */
  send(data: string | ArrayBufferLike | Blob | ArrayBufferView<ArrayBuffer>): boolean;
}

export interface SocketOptions {
  protocols?: string | string[];
  /** After every opening: messages from the time without a connection are missing. */
  onOpen?: (socket: WebSocket) => void;
  onMessage?: (event: MessageEvent) => void;
  /** The connection is lost. It opens itself again, or `onEnd` follows. */
  onLost?: () => void;
  /** It is closed for good: the session has ended (4401), or the API closed it. */
  onEnd?: (event: CloseEvent) => void;
}

export interface EventsOptions {
  /** After every opening: events from the time without a connection are missing, unless the API replays them. */
  onOpen?: () => void;
  /** By the name of the event; `message` for events without a name. */
  on: Record<string, (event: MessageEvent<string>) => void>;
  /** The connection is lost. It opens itself again, or `onEnd` follows. */
  onLost?: () => void;
  /** It is closed for good, because the session has ended. */
  onEnd?: () => void;
}

const SESSION_ENDED = 4401;
const TOKEN_EXPIRED = 4408;
const LOST = [1001, 1005, 1006, 1011, 1012, 1013, 1014];
const SETTLED = 5_000; // milliseconds after which an opening counts as a success
const LONGEST_PAUSE = 30_000;

/** Pauses between attempts: none after a connection that lasted, then longer and longer ones. */
function pauses() {
  let failures = 0;
  let openedAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    opened: () => (openedAt = Date.now()),
    /** Calls `open` after a pause, which is none if `atOnce` and the connection lasted. */
    again(open: () => void, atOnce = false) {
      const lasted = openedAt && Date.now() - openedAt > SETTLED;
      failures = lasted ? 0 : failures + 1;
      openedAt = 0;
      const pause = atOnce && lasted ? 0 : Math.min(1000 * 2 ** failures, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
      timer = setTimeout(open, pause);
    },
    stop: () => clearTimeout(timer),
  };
}

/**
 * A WebSocket that opens itself again: at once when its access token has expired (4408), after a pause when a replica
 * restarts (1012) or the connection is lost, and never when the session has ended.
 */
export function openWebSocket(bff: Bff, path: string, options: SocketOptions = {}): OpenSocket {
  const url = bff.url(path);
  url.protocol = url.protocol.replace("http", "ws");
  const attempts = pauses();
  let socket: WebSocket;
  let closed = false;

  function open(): void {
    socket = new WebSocket(url, options.protocols);
    socket.onopen = () => {
      attempts.opened();
      options.onOpen?.(socket);
    };
    socket.onmessage = (event) => options.onMessage?.(event);
    socket.onclose = async (event) => {
      if (closed) return;
      options.onLost?.();
      if (event.code === TOKEN_EXPIRED) return attempts.again(open, true);
      const lost = LOST.includes(event.code);
      // A refused handshake looks like a lost connection: only the BFF knows whether there is a session.
      const session = lost || event.code === SESSION_ENDED ? await bff.session.refresh(true) : null;
      if (closed) return;
      if (lost && session?.status !== "anonymous") return attempts.again(open);
      closed = true;
      options.onEnd?.(event);
    };
  }

  open();
  return {
    send(data) {
      const ready = socket.readyState === WebSocket.OPEN;
      if (ready) socket.send(data);
      return ready;
    },
    close() {
      closed = true;
      attempts.stop();
      socket.close();
    },
  };
}

/**
 * An EventSource that goes on where the browser gives up, which is after every response that is no stream, and that stops
 * when there is no session. The route needs `csrf = "fetch-metadata"`.
 */
export function openEventSource(bff: Bff, path: string, options: EventsOptions): OpenStream {
  const attempts = pauses();
  let source: EventSource;
  let closed = false;

  function open(): void {
    source = new EventSource(bff.url(path), { withCredentials: true });
    source.onopen = () => {
      attempts.opened();
      options.onOpen?.();
    };
    source.onerror = async () => {
      options.onLost?.();
      if (source.readyState !== EventSource.CLOSED) return; // the browser opens it again
      const session = await bff.session.refresh(true);
      if (closed) return;
      if (session.status !== "anonymous") return attempts.again(open);
      closed = true;
      options.onEnd?.();
    };
    for (const [name, handler] of Object.entries(options.on)) source.addEventListener(name, handler as EventListener);
  }

  open();
  return {
    close() {
      closed = true;
      attempts.stop();
      source.close();
    },
  };
}
