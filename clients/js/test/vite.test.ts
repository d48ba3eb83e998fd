// @vitest-environment node
import { createServer as createHttpServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createLogger, createServer, type ViteDevServer } from "vite";
import { bff } from "../src/vite.js";

let upstream: Server;
let vite: ViteDevServer;
let said: string[];
let asked: { url: string; host: string; origin: string }[];

beforeEach(async () => {
  asked = [];
  said = [];
  const logger = createLogger("silent");
  for (const level of ["info", "warn"] as const) logger[level] = (message) => said.push(message);
  upstream = createHttpServer((request, response) => {
    asked.push({ url: request.url!, host: request.headers.host!, origin: request.headers.origin ?? "" });
    response.end("{}");
  });
  upstream.on("upgrade", (request, socket) => {
    asked.push({ url: request.url!, host: request.headers.host!, origin: request.headers.origin ?? "" });
    socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  await new Promise<void>((done) => upstream.listen(0, "127.0.0.1", done));
  const target = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  vite = await createServer({
    configFile: false,
    root: import.meta.dirname,
    customLogger: logger,
    plugins: [bff({ target, routes: ["/api", "/files/"] })],
    server: { port: 0, strictPort: false, host: "127.0.0.1", ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  });
  await vite.listen();
});

afterEach(async () => {
  await vite.close();
  await new Promise((done) => upstream.close(done));
});

const address = () => `127.0.0.1:${(vite.httpServer!.address() as AddressInfo).port}`;

it("lets the BFF answer what belongs to it, with the address of the development server", async () => {
  const theirs = ["/auth/login?return_to=%2F", "/auth/session", "/authorization-code/callback?code=c", "/api", "/api/orders", "/files/1"];
  const ours = ["/authors", "/apiary", "/filesystem", "/orders"];
  for (const path of [...theirs, ...ours]) await fetch(`http://${address()}${path}`, { headers: { Origin: `http://${address()}` } });
  const probe = { url: "/auth/session", origin: "" };
  expect(asked.filter((each) => each.origin !== probe.origin).map((each) => each.url)).toEqual(theirs);
  expect(new Set(asked.filter((each) => each.origin).map((each) => each.host))).toEqual(new Set([address()]));
});

it("forwards WebSockets with their Origin", async () => {
  const socket = new (await import("node:http")).Agent();
  const { request } = await import("node:http");
  await new Promise<void>((done, fail) => {
    const handshake = request(`http://${address()}/api/echo`, {
      agent: socket,
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        Origin: `http://${address()}`,
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
      },
    });
    handshake.on("response", (response) => {
      response.resume();
      done();
    });
    handshake.on("error", fail);
    handshake.end();
  });
  expect(asked.at(-1)).toEqual({ url: "/api/echo", host: address(), origin: `http://${address()}` });
});

it("says when the BFF is away and when it is back, once", async () => {
  const { port } = upstream.address() as AddressInfo;
  const answers = `The BFF at http://127.0.0.1:${port} answers`;
  await fetch(`http://${address()}/auth/session`);
  upstream.closeAllConnections();
  await new Promise((done) => upstream.close(done));
  for (let requests = 0; requests < 3; requests++) await fetch(`http://${address()}/auth/session`);
  await vi.waitFor(() => expect(said.filter((message) => message.startsWith("No BFF answers"))).toHaveLength(1), 60_000);
  expect(said).not.toContain(answers);
  await new Promise<void>((done) => upstream.listen(port, "127.0.0.1", done));
  await vi.waitFor(() => expect(said.filter((message) => message === answers)).toHaveLength(1), 60_000);
  await fetch(`http://${address()}/auth/session`);
  expect(said.filter((message) => message === answers)).toHaveLength(1);
}, 180_000);
