import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Bff, type BffOptions, createBff, type Session } from "../src/index.js";
import { type Page, page } from "./page.js";
import { json, problem, refuse, Server, turns, until } from "./server.js";

let server: Server;
let window: Page;
let tabs: Bff[];

/** A tab that shows the session. */
function tab(options: BffOptions = {}): Bff {
  const bff = createBff({ events: false, ...options });
  tabs.push(bff);
  bff.session.subscribe(() => {});
  return bff;
}

const statuses = () => tabs.map((each) => each.session.get().status);
const all = (status: string) => until(() => statuses().every((each) => each === status));
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

describe("the session", () => {
  it("is asked for by the first who wants to know", async () => {
    const bff = createBff();
    tabs.push(bff);
    await turns();
    expect(asked()).toBe(0);
    expect(bff.session.get()).toMatchObject({ status: "pending", user: null });
    await bff.session.ready();
    expect(bff.session.get()).toMatchObject({ status: "authenticated", user: { sub: "alice" }, reason: null, stale: false });
  });

  it("is pending where there is no page, as in a rendering server", () => {
    vi.stubGlobal("location", undefined);
    vi.stubGlobal("document", undefined);
    const bff = tab();
    expect(bff.session.get().status).toBe("pending");
    expect(asked()).toBe(0);
  });

  it("has its deadlines by the clock of the device", async () => {
    server.ahead = -86_400;
    vi.setSystemTime(1_800_000_000_000);
    expect((await tab().session.ready()).deadlines).toEqual({
      signedInAt: 1_799_999_940_000,
      idleEndsAt: 1_800_001_800_000,
      endsAt: 1_800_036_000_000,
    });
  });

  it("keeps the reason of its end until the next sign-in", async () => {
    Object.assign(server, { user: null, reason: "operator" });
    const bff = tab();
    expect(await bff.session.ready()).toMatchObject({ status: "anonymous", reason: "operator" });
    server.reason = null;
    expect(await bff.session.refresh()).toMatchObject({ status: "anonymous", reason: "operator" });
    server.user = { sub: "alice" };
    expect(await bff.session.refresh()).toMatchObject({ status: "authenticated", reason: null });
    server.user = null;
    expect(await bff.session.refresh()).toMatchObject({ status: "anonymous", reason: null });
  });

  it("is the same object until something changes", async () => {
    const bff = tab();
    const seen: Session[] = [];
    bff.session.subscribe((session) => seen.push(session));
    const first = await bff.session.ready();
    expect(await bff.session.refresh()).toBe(first);
    expect(seen).toEqual([first]);
    server.user = { sub: "bob" };
    expect(await bff.session.refresh()).not.toBe(first);
    expect(seen).toHaveLength(2);
  });

  it("no longer calls who has unsubscribed", async () => {
    const bff = tab();
    const listener = vi.fn();
    bff.session.subscribe(listener)();
    await bff.session.ready();
    expect(listener).not.toHaveBeenCalled();
  });
});

describe("an outage", () => {
  const OUTAGES: [string, () => Response][] = [
    ["of the network", refuse],
    ["of the store", () => problem(503, "store_unavailable", { retryAfter: "3" })],
    ["of the proxy in front", () => new Response("<h1>Bad Gateway</h1>", { status: 502 })],
    ["by a captive portal", () => new Response("<h1>Pay</h1>", { headers: { "Content-Type": "text/html" } })],
    ["by other JSON", () => json({ hello: "world" })],
  ];

  it.each(OUTAGES)("%s never looks like signed out", async (_, outage) => {
    const bff = tab();
    const user = (await bff.session.ready()).user;
    server.answers("/auth/session", outage);
    expect(await bff.session.refresh()).toMatchObject({ status: "authenticated", user, stale: true });
    server.script.clear();
    await vi.advanceTimersByTimeAsync(5_000);
    await until(() => !bff.session.get().stale);
    expect(bff.session.get()).toMatchObject({ status: "authenticated", user });
  });

  it.each(OUTAGES)("%s at the start is `unavailable` until there is an answer", async (_, outage) => {
    server.answers("/auth/session", outage);
    const bff = tab();
    expect(await bff.session.ready()).toMatchObject({ status: "unavailable", user: null });
    server.script.clear();
    await vi.advanceTimersByTimeAsync(5_000);
    await all("authenticated");
  });

  it("is asked about less and less often, at least every half minute", async () => {
    server.answers("/auth/session", refuse);
    tab();
    const times: number[] = [];
    const start = Date.now();
    for (let second = 0; second < 160; second++) {
      await turns(3);
      if (asked() > times.length) times.push((Date.now() - start) / 1000);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(times).toEqual([0, 1, 3, 7, 15, 31, 61, 91, 121, 151]);
  });

  it("in a tab that knows nothing takes nothing from the others", async () => {
    const first = tab();
    await first.session.ready();
    server.answers("/auth/session", refuse);
    const second = tab();
    expect((await second.session.ready()).status).toBe("unavailable");
    await turns();
    expect(first.session.get().status).toBe("authenticated");
  });

  it("past the end of the session still leaves the decision to the BFF", async () => {
    server.idle = 60;
    const bff = tab();
    await bff.session.ready();
    server.answers("/auth/session", refuse);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(bff.session.get()).toMatchObject({ status: "authenticated", stale: true });
  });
});

describe("ten tabs", () => {
  it("that look at the same time ask once", async () => {
    let open = () => {};
    server.gate = new Promise((done) => (open = done));
    for (let each = 0; each < 10; each++) tab();
    await turns();
    open();
    await all("authenticated");
    await turns();
    expect(asked()).toBe(1);

    await vi.advanceTimersByTimeAsync(2_000);
    window.dispatch("focus");
    window.dispatch("online");
    window.document.dispatchEvent(new Event("visibilitychange"));
    await until(() => asked() === 2);
    await turns();
    expect(asked()).toBe(2);
  });

  it("share an outage too", async () => {
    let open = () => {};
    server.gate = new Promise((done) => (open = done));
    server.answers("/auth/session", refuse);
    for (let each = 0; each < 10; each++) tab();
    await turns();
    open();
    await all("unavailable");
    await turns();
    expect(asked()).toBe(1);
  });

  it("learn of the sign-out in one of them", async () => {
    for (let each = 0; each < 10; each++) tab();
    await all("authenticated");
    server.answers("/auth/logout", () => json({ end_session_url: "https://app.example.com/auth/logout/provider?ticket=t" }));
    expect(await tabs[3]!.signOut()).toMatch(/ticket=t$/);
    expect(window.navigations).toEqual(["https://app.example.com/auth/logout/provider?ticket=t"]);
    await all("anonymous");
    expect(tabs.map((each) => each.session.get().reason)).toEqual(Array(10).fill("signed_out"));
  });

  it("do not take an older answer for news", async () => {
    const [first, second] = [tab(), tab()];
    await all("authenticated");
    let open = () => {};
    const slow = server.session;
    server.answers("/auth/session", async () => {
      await new Promise<void>((done) => (open = done));
      return json(slow);
    });
    const before = asked();
    const answer = first!.session.refresh();
    await until(() => asked() > before);
    await vi.advanceTimersByTimeAsync(50);
    server.answers("/auth/logout", () => json({ end_session_url: null }));
    await second!.signOut();
    open();
    await answer;
    await turns();
    expect(statuses()).toEqual(["anonymous", "anonymous"]);
  });

  it("go on when the clock is put back", async () => {
    const [first] = [tab(), tab()];
    await all("authenticated");
    vi.setSystemTime(Date.now() - 3_600_000);
    server.user = null;
    await first!.session.refresh();
    await all("anonymous");
  });

  it("work alone without Web Locks", async () => {
    window = page({ locks: false });
    for (let each = 0; each < 3; each++) tab();
    await all("authenticated");
    expect(asked()).toBe(3);
  });
});

describe("it is asked again", () => {
  it("at most once a second when the page is looked at", async () => {
    await tab().session.ready();
    window.dispatch("focus");
    await turns();
    expect(asked()).toBe(1);
    await vi.advanceTimersByTimeAsync(1_500);
    window.document.hidden = true;
    window.document.dispatchEvent(new Event("visibilitychange"));
    await turns();
    expect(asked()).toBe(1);
    window.document.hidden = false;
    window.document.dispatchEvent(new Event("visibilitychange"));
    await until(() => asked() === 2);
  });

  it("after the device was asleep", async () => {
    await tab({ pollInterval: 1e9 }).session.ready();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked()).toBe(1);
    Object.assign(server, { user: null, reason: "operator" });
    vi.setSystemTime(Date.now() + 600_000);
    await vi.advanceTimersByTimeAsync(15_000);
    await all("anonymous");
    expect(asked()).toBe(2);
  });

  it("in a page from the back/forward cache, which shows no user until then", async () => {
    const bff = tab();
    await bff.session.ready();
    window.dispatch("pagehide");
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked()).toBe(1);
    server.user = null;
    window.dispatch("pageshow", { persisted: true });
    expect(bff.session.get()).toMatchObject({ status: "pending", user: null });
    await all("anonymous");
  });

  it("never after `close`", async () => {
    const bff = tab();
    await bff.session.ready();
    bff.close();
    window.dispatch("focus");
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(asked()).toBe(1);
  });
});

describe("the idle warning", () => {
  it("comes two minutes before the end, after a look whether another tab was busy", async () => {
    const bff = tab({ pollInterval: 1e9 });
    await bff.session.ready();
    await vi.advanceTimersByTimeAsync(1_680_000 - 20_000);
    expect(asked()).toBe(1);
    await vi.advanceTimersByTimeAsync(24_000); // busy in the meantime: the server has moved the end
    await until(() => asked() === 2);
    expect(bff.session.get().expiring).toBeNull();
    const at = Date.now() + 100_000;
    server.idle = 100;
    await bff.session.refresh();
    expect(bff.session.get().expiring?.reason).toBe("idle_timeout");
    expect(Math.abs(bff.session.get().expiring!.at - at)).toBeLessThan(2_000);
  });

  it("goes when the session is extended", async () => {
    server.idle = 1800;
    const bff = tab();
    await bff.session.ready();
    server.idle = 100;
    await bff.session.refresh();
    expect(bff.session.get().expiring).not.toBeNull();
    server.idle = 1800;
    expect((await bff.extend()).expiring).toBeNull();
    expect(server.asked.filter((each) => each.method === "POST")).toMatchObject([{ path: "/auth/session/extend", body: "" }]);
  });

  it("goes when a request extends the session", async () => {
    const bff = tab();
    await bff.session.ready();
    server.idle = 100;
    await bff.session.refresh();
    server.idle = 1800;
    await bff.fetch("/api");
    await until(() => bff.session.get().expiring === null);
  });

  it("names the absolute timeout, which cannot be extended", async () => {
    server.absolute = 100;
    expect((await tab().session.ready()).expiring?.reason).toBe("absolute_timeout");
  });

  it("leaves a short session most of its time", async () => {
    server.idle = 60;
    const bff = tab({ pollInterval: 1e9 });
    expect((await bff.session.ready()).expiring).toBeNull();
    server.idle = 14;
    await vi.advanceTimersByTimeAsync(48_000);
    await until(() => bff.session.get().expiring);
  });

  it("comes when the caller wants it", async () => {
    const bff = tab({ idleWarning: 300_000 });
    await bff.session.ready();
    server.idle = 290;
    expect((await bff.session.refresh()).expiring).not.toBeNull();
  });

  it("is followed by the question whether the session has ended", async () => {
    server.idle = 60;
    tab({ pollInterval: 1e9 });
    await all("authenticated");
    Object.assign(server, { user: null, reason: "idle_timeout" });
    await vi.advanceTimersByTimeAsync(62_000);
    await all("anonymous");
    expect(tabs[0]!.session.get().reason).toBe("idle_timeout");
  });
});
