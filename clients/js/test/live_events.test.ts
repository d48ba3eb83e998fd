import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Bff, createBff } from "../src/index.js";
import { ORIGIN, type Page, page, Stream } from "./page.js";
import { Server, turns, until } from "./server.js";

let server: Server;
let window: Page;
let tabs: Bff[];

function tab(): Bff {
  const bff = createBff();
  tabs.push(bff);
  bff.session.subscribe(() => {});
  return bff;
}

async function open(count: number): Promise<Stream> {
  for (let each = 0; each < count; each++) tab();
  await until(() => tabs.every((each) => each.session.get().user));
  await elected();
  Stream.opened[0]!.open();
  return Stream.opened[0]!;
}

/** Until the tab that leads is sure of it. */
async function elected(): Promise<void> {
  await turns();
  await vi.advanceTimersByTimeAsync(200);
}

const asked = () => server.count("/auth/session");

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  vi.spyOn(Math, "random").mockReturnValue(0);
  window = page();
  server = new Server();
  tabs = [];
});

afterEach(() => {
  for (const each of tabs) each.close();
  vi.useRealTimers();
});

describe("the event stream", () => {
  it("is one for all tabs", async () => {
    const stream = await open(10);
    expect(Stream.opened).toHaveLength(1);
    expect(stream.url.href).toBe(`${ORIGIN}/auth/session/events`);
  });

  it("needs a session", async () => {
    server.user = null;
    tab();
    await until(() => tabs[0]!.session.get().status === "anonymous");
    await turns();
    expect(Stream.opened).toEqual([]);
    server.user = { sub: "alice" };
    await tabs[0]!.session.refresh();
    await elected();
    expect(Stream.opened).toHaveLength(1);
  });

  it("moves to another tab when its tab is closed or cached", async () => {
    const stream = await open(2);
    tabs[0]!.close();
    await elected();
    expect(Stream.opened).toHaveLength(2);
    expect(stream.readyState).toBe(2);
  });

  it("says in all tabs why the session ended, and is closed", async () => {
    const stream = await open(3);
    stream.emit("ended", { reason: "operator" });
    await until(() => tabs.every((each) => each.session.get().reason === "operator"));
    expect(stream.readyState).toBe(2);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(Stream.opened).toHaveLength(1);
  });

  it("shows the user of the next session when another user has signed in here", async () => {
    const stream = await open(2);
    server.user = { sub: "bob" };
    stream.emit("ended", { reason: "replaced" });
    await until(() => tabs.every((each) => each.session.get().user?.sub === "bob"));
  });

  it("warns in all tabs, and takes the warning back", async () => {
    const stream = await open(3);
    stream.emit("expiring", { at: 5_100, now: 5_000, reason: "idle_timeout" });
    await until(() => tabs.every((each) => each.session.get().expiring?.reason === "idle_timeout"));
    expect(tabs[1]!.session.get().expiring!.at - Date.now()).toBe(100_000);
    stream.emit("renewed", { at: 6_800, now: 5_000 });
    await until(() => tabs.every((each) => each.session.get().user && !each.session.get().expiring));
    expect(tabs[2]!.session.get().deadlines!.idleEndsAt - Date.now()).toBe(1_800_000);
  });

  it("asks again after a sign-in", async () => {
    const stream = await open(2);
    const before = asked();
    stream.emit("signed_in", { at: 1, now: 1 });
    await until(() => asked() === before + 1);
  });

  it("asks again when it is open again, because nothing is replayed", async () => {
    const stream = await open(2);
    const before = asked();
    stream.fail(false);
    await vi.advanceTimersByTimeAsync(4_000);
    server.user = null;
    stream.open();
    await until(() => tabs.every((each) => each.session.get().status === "anonymous"));
    expect(asked()).toBe(before + 1);
  });

  it("makes polling unnecessary while it is open", async () => {
    await open(3);
    const before = asked();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked()).toBe(before);
  });

  it("that is refused is replaced by polling, and tried again", async () => {
    const stream = await open(3);
    stream.fail(true);
    await until(() => asked() === 2);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(Stream.opened).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(Stream.opened).toHaveLength(2);
    Stream.opened[1]!.fail(true);
    await turns();
    const before = asked();
    Object.assign(server, { user: null, reason: "operator" });
    await vi.advanceTimersByTimeAsync(80_000);
    await until(() => tabs.every((each) => each.session.get().reason === "operator"));
    expect(asked() - before).toBeLessThanOrEqual(2); // by one tab
  });

  it("is closed in the back/forward cache, and opened again after it", async () => {
    const stream = await open(1);
    window.dispatch("pagehide");
    expect(stream.readyState).toBe(2);
    window.dispatch("pageshow", { persisted: true });
    await until(() => tabs[0]!.session.get().user);
    await elected();
    expect(Stream.opened).toHaveLength(2);
  });
});
