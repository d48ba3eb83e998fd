// @vitest-environment node
import { createServer as createHttpServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createServer, type ViteDevServer } from "vite";
import { bff } from "../src/vite.js";

let upstream: Server;
let vite: ViteDevServer;
let asked: { url: string; host: string; origin: string }[];

beforeEach(async () => {
  asked = [];
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
    logLevel: "silent",
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
