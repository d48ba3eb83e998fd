import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Bff, createBff } from "../src/index.js";
import { openEventSource, openWebSocket } from "../src/streams.js";
import { page, Stream } from "./page.js";
import { problem, Server } from "./server.js";

class Socket {
  static opened: Socket[] = [];
  static readonly OPEN = 1;
  readyState = 0;
  sent: string[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number; reason: string }) => Promise<void>;

  constructor(readonly url: URL) {
    Socket.opened.push(this);
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  send(data: string): void {
    this.sent.push(data);
  }

  async end(code: number, reason = ""): Promise<void> {
    this.readyState = 3;
    await this.onclose?.({ code, reason });
  }

  close(): void {
    void this.end(1000);
  }
}

let server: Server;
let bff: Bff;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  vi.spyOn(Math, "random").mockReturnValue(1);
  page();
  Socket.opened = [];
  vi.stubGlobal("WebSocket", Socket);
  server = new Server();
  bff = createBff({ events: false });
});

afterEach(() => {
  bff.close();
  vi.useRealTimers();
});

const open = () => {
  const onEnd = vi.fn();
  const connection = openWebSocket(bff, "/api/echo", { onEnd });
  const [socket] = Socket.opened;
  socket!.open();
  return { connection, socket: socket!, onEnd };
};

describe("a WebSocket", () => {
  it("goes to the BFF, and sends while it is open", async () => {
    const { connection, socket } = open();
    expect(socket.url.href).toBe("wss://app.example.com/api/echo");
    expect(connection.send("x")).toBe(true);
    await socket.end(1012);
    expect(connection.send("y")).toBe(false);
    expect(socket.sent).toEqual(["x"]);
  });

  it("is opened again at once when the access token has expired", async () => {
    const { socket, onEnd } = open();
    await vi.advanceTimersByTimeAsync(60_000);
    await socket.end(4408, "access_token_expired");
    await vi.advanceTimersByTimeAsync(0);
    expect(Socket.opened).toHaveLength(2);
    expect(onEnd).not.toHaveBeenCalled();
  });

  it("does not run in a circle of expired tokens", async () => {
    const { socket } = open();
    await socket.end(4408);
    await vi.advanceTimersByTimeAsync(500);
    expect(Socket.opened).toHaveLength(1);
  });

  it.each([1006, 1011, 1012])("is opened again after a pause when it is lost by %i", async (code) => {
    const { socket, onEnd } = open();
    await vi.advanceTimersByTimeAsync(60_000);
    await socket.end(code);
    await vi.advanceTimersByTimeAsync(900);
    expect(Socket.opened).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(Socket.opened).toHaveLength(2);
    await Socket.opened[1]!.end(1006); // refused: longer
    await vi.advanceTimersByTimeAsync(1_900);
    expect(Socket.opened).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(200);
    expect(Socket.opened).toHaveLength(3);
    expect(onEnd).not.toHaveBeenCalled();
  });

  it("is opened again after an outage of the BFF, which does not mean signed out", async () => {
    const { socket, onEnd } = open();
    server.answers("/auth/session", () => problem(503, "store_unavailable"));
    await socket.end(1006);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(Socket.opened.length).toBeGreaterThan(1);
    expect(onEnd).not.toHaveBeenCalled();
  });

  it("stays closed when the session has ended", async () => {
    const { socket, onEnd } = open();
    Object.assign(server, { user: null, reason: "operator" });
    await socket.end(4401, "operator");
    expect(onEnd).toHaveBeenCalledWith({ code: 4401, reason: "operator" });
    expect(bff.session.get()).toMatchObject({ status: "anonymous", reason: "operator" });
    await vi.advanceTimersByTimeAsync(600_000);
    expect(Socket.opened).toHaveLength(1);
  });

  it("stays closed when a new one is refused, because there is no session", async () => {
    const { socket, onEnd } = open();
    server.user = null;
    await socket.end(1006);
    expect(onEnd).toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(Socket.opened).toHaveLength(1);
  });

  it.each([1000, 1009, 4000])("stays closed when the API closes it by %i", async (code) => {
    const { socket, onEnd } = open();
    await socket.end(code);
    expect(onEnd).toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(Socket.opened).toHaveLength(1);
  });

  it("stays closed when the caller closes it, during a pause too", async () => {
    const { connection, socket, onEnd } = open();
    await socket.end(1012);
    connection.close();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(Socket.opened).toHaveLength(1);
    expect(onEnd).not.toHaveBeenCalled();
  });
});

describe("an EventSource", () => {
  it("is opened again where the browser gives up", async () => {
    const seen: string[] = [];
    openEventSource(bff, "/api/events", { on: { tick: (event) => seen.push(event.data) } });
    Stream.opened[0]!.open();
    Stream.opened[0]!.emit("tick", 1);
    Stream.opened[0]!.fail(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Stream.opened).toHaveLength(1);
    Stream.opened[0]!.fail(true);
    await vi.advanceTimersByTimeAsync(3_000);
    Stream.opened[1]!.emit("tick", 2);
    expect(seen).toEqual(["1", "2"]);
  });

  it("stays closed without a session", async () => {
    const onEnd = vi.fn();
    openEventSource(bff, "/api/events", { on: {}, onEnd });
    server.user = null;
    Stream.opened[0]!.fail(true);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(onEnd).toHaveBeenCalledTimes(1);
    expect(Stream.opened).toHaveLength(1);
  });

  it("stays closed when the caller closes it", async () => {
    const stream = openEventSource(bff, "/api/events", { on: {} });
    Stream.opened[0]!.fail(true);
    stream.close();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(Stream.opened).toHaveLength(1);
  });
});
