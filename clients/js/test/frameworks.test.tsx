// @vitest-environment happy-dom
// @vitest-environment-options { "url": "https://app.example.com/board" }
import { act, createElement } from "react";
import { createRoot } from "react-dom/client";
import { get } from "svelte/store";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createApp, h, nextTick } from "vue";
import { type Bff, createBff } from "../src/index.js";
import { BffProvider, SignedIn as ReactSignedIn, SignedOut as ReactSignedOut, useBff, useIdleWarning } from "../src/react.js";
import { sessionStore } from "../src/svelte.js";
import { bffPlugin, SignedIn, SignedOut, useSession } from "../src/vue.js";
import { problem, Server } from "./server.js";

let server: Server;
let bff: Bff;
let root: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  server = new Server();
  bff = createBff({ events: false });
  root = document.body.appendChild(document.createElement("main"));
});

afterEach(() => {
  bff.close();
  root.remove();
});

const shows = (text: string) => vi.waitFor(() => expect(root.textContent).toBe(text), { timeout: 30_000 });

it("React shows what belongs to the session, also during an outage", async () => {
  const Warning = () => createElement("b", null, useIdleWarning() ? "soon" : "");
  const app = createElement(
    BffProvider,
    { bff },
    createElement(ReactSignedIn, { pending: "…", children: (session) => `in: ${session.user.sub}` }),
    createElement(ReactSignedOut, { children: (session) => `out: ${session.reason}` }),
    createElement(Warning),
  );
  const react = createRoot(root);
  await act(async () => react.render(app));
  await act(async () => void (await bff.session.refresh(true)));
  await shows("in: alice");
  server.idle = 100;
  await act(async () => void (await bff.session.refresh(true)));
  await shows("in: alicesoon");
  server.answers("/auth/session", () => problem(503, "store_unavailable"));
  await act(async () => void (await bff.session.refresh(true)));
  await shows("in: alicesoon");
  server.script.clear();
  Object.assign(server, { user: null, reason: "operator" });
  await act(async () => void (await bff.session.refresh(true)));
  await shows("out: operator");
  await act(async () => react.unmount());
});

it("React says what is missing around a component", () => {
  const react = createRoot(root, { onUncaughtError: () => {} });
  const Lost = () => createElement("b", null, useBff().url("/x").href);
  expect(() => act(() => react.render(createElement(Lost)))).toThrow(/BffProvider/);
});

it("Vue shows what belongs to the session", async () => {
  const Name = { setup: () => { const session = useSession(); return () => ` ${session.value.status}`; } };
  const app = createApp({
    render: () => [
      h(SignedIn, null, { default: ({ session }: { session: { user: { sub: string } } }) => `in: ${session.user.sub}`, pending: () => "…" }),
      h(SignedOut, null, { default: ({ session }: { session: { reason: string } }) => `out: ${session.reason}` }),
      h(Name),
    ],
  });
  app.use(bffPlugin(bff)).mount(root);
  expect(root.textContent).toBe("… pending");
  await shows("in: alice authenticated");
  Object.assign(server, { user: null, reason: "operator" });
  await bff.session.refresh(true);
  await nextTick();
  await shows("out: operator anonymous");
  app.unmount();
});

it("Svelte has the session as a store", async () => {
  const store = sessionStore(bff);
  expect(get(store).status).toBe("pending");
  const seen: string[] = [];
  const stop = store.subscribe((session) => seen.push(session.status));
  await vi.waitFor(() => expect(seen).toEqual(["pending", "authenticated"]), { timeout: 30_000 });
  stop();
});
