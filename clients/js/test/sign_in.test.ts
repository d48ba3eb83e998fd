import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bff, createBff, PopupBlocked, StepUpRequired } from "../src/index.js";
import { ORIGIN, type Page, page } from "./page.js";
import { json, problem, Server, turns, until } from "./server.js";

let server: Server;
let window: Page;
let bff: Bff;

beforeEach(() => {
  window = page();
  server = new Server();
  server.user = null;
  bff = createBff({ events: false });
});

afterEach(() => bff.close());

const parameters = (url: string | undefined) => Object.fromEntries(new URL(url!).searchParams);

describe("by redirect", () => {
  it("returns to this page", () => {
    void bff.signIn();
    expect(new URL(window.navigations[0]!).pathname).toBe("/auth/login");
    expect(parameters(window.navigations[0])).toEqual({ return_to: "/board?tab=2#top" });
  });

  it("takes all options", () => {
    void bff.signIn({ returnTo: "/a?b=c&d", prompt: "login", acr: ["a", "b"], maxAge: 0, loginHint: "alice@example.com", idp: "0oa" });
    expect(parameters(window.navigations[0])).toEqual({
      return_to: "/a?b=c&d",
      prompt: "login",
      acr_values: "a b",
      max_age: "0",
      login_hint: "alice@example.com",
      idp: "0oa",
    });
  });

  it("steps up as the problem says", async () => {
    server.answers("/api", () => problem(401, "step_up_required", { sign_in_url: "/auth/login?acr_values=urn%3Amfa&return_to=" }));
    const required = await bff.fetch("/api").catch((error: unknown) => error);
    void bff.stepUp(required as StepUpRequired);
    expect(window.navigations[0]).toBe(`${ORIGIN}/auth/login?acr_values=urn%3Amfa&return_to=%2Fboard%3Ftab%3D2%23top`);
  });

  it("does not step up where no sign-in would help", async () => {
    server.answers("/api", () => problem(401, "step_up_required", { sign_in_url: null }));
    const required = (await bff.fetch("/api").catch((error: unknown) => error)) as StepUpRequired;
    await expect(bff.stepUp(required)).rejects.toBe(required);
    expect(window.navigations).toEqual([]);
  });
});

describe("by popup", () => {
  const say = (message: object) => {
    const channel = new BroadcastChannel("bff-sign-in");
    channel.postMessage({ type: "sign_in", code: null, ...message });
    channel.close();
  };

  it("keeps the page, and hears of the end by BroadcastChannel", async () => {
    await bff.session.ready();
    const signedIn = bff.signIn({ mode: "popup", acr: "urn:mfa" });
    const [popup] = window.popups;
    const { popup_id: id, ...rest } = parameters(popup!.url);
    expect(rest).toMatchObject({ mode: "popup", acr_values: "urn:mfa" });
    expect(id).toMatch(/^[\w-]{16,64}$/);
    expect(popup!.opener).toBeNull();
    expect(window.navigations).toEqual([]);

    server.user = { sub: "alice" };
    say({ id: "another", outcome: "finished" });
    say({ id, outcome: "failed", code: "not_assigned" }); // the page in the popup offers another attempt
    await turns();
    expect(bff.session.get().status).toBe("anonymous");
    say({ id, outcome: "finished" });
    expect(await signedIn).toBe(true);
    expect(bff.session.get()).toMatchObject({ status: "authenticated", user: { sub: "alice" } });
  });

  it("believes the BFF, not the message", async () => {
    const signedIn = bff.signIn({ mode: "popup" });
    say({ id: parameters(window.popups[0]!.url)["popup_id"], outcome: "finished" });
    expect(await signedIn).toBe(false);
  });

  it("that the user closes is no sign-in", async () => {
    const signedIn = bff.signIn({ mode: "popup" });
    window.popups[0]!.closed = true;
    window.dispatch("focus");
    expect(await signedIn).toBe(false);
  });

  it("goes on while the user looks at the page behind it", async () => {
    const signedIn = bff.signIn({ mode: "popup" });
    window.dispatch("focus");
    await turns();
    server.user = { sub: "alice" };
    say({ id: parameters(window.popups[0]!.url)["popup_id"], outcome: "finished" });
    expect(await signedIn).toBe(true);
  });

  it("that looks closed, because the provider cut it, is none until the user comes back", async () => {
    const signedIn = bff.signIn({ mode: "popup" });
    window.popups[0]!.closed = true;
    await turns();
    server.user = { sub: "alice" };
    say({ id: parameters(window.popups[0]!.url)["popup_id"], outcome: "finished" });
    expect(await signedIn).toBe(true);
  });

  it("that the browser blocks is an error", async () => {
    window = page({ popups: false });
    await expect(bff.signIn({ mode: "popup" })).rejects.toBeInstanceOf(PopupBlocked);
  });

  it("steps up", async () => {
    server.answers("/api", () => problem(403, "forbidden_by_rule", { sign_in_url: "/auth/login?max_age=60&return_to=" }));
    const forbidden = (await bff.fetch("/api").catch((error: unknown) => error)) as StepUpRequired;
    void bff.stepUp(forbidden, { mode: "popup" });
    expect(parameters(window.popups[0]!.url)).toMatchObject({ mode: "popup", max_age: "60" });
  });
});

describe("sign-out", () => {
  it("of this browser may leave the provider's session", async () => {
    server.answers("/auth/logout", () => json({ end_session_url: null }));
    expect(await bff.signOut({ local: true })).toBeNull();
    expect(server.asked[0]).toMatchObject({ method: "POST", path: "/auth/logout", body: '{"local":true}' });
    expect(server.asked[0]!.headers.get("Content-Type")).toBe("application/json");
    expect(window.navigations).toEqual([]);
    expect(bff.session.get()).toMatchObject({ status: "anonymous", reason: "signed_out" });
  });

  it("everywhere ends the other sessions first", async () => {
    server.answers("/auth/logout", () => json({ end_session_url: "/out" })).answers("/auth/sessions/end", () => json({ ended: 2 }));
    expect(await bff.signOut({ everywhere: true, navigate: false })).toBe("/out");
    const posts = server.asked.filter((each) => each.method === "POST");
    expect(posts.map((each) => [each.path, each.body])).toEqual([
      ["/auth/sessions/end", '{"others":true}'],
      ["/auth/logout", '{"local":false}'],
    ]);
    expect(window.navigations).toEqual([]);
  });

  it("everywhere goes on to the provider when the session has ended meanwhile", async () => {
    server.answers("/auth/sessions/end", () => problem(401, "sign_in_required")).answers("/auth/logout", () => json({ end_session_url: "/out" }));
    expect(await bff.signOut({ everywhere: true })).toBe("/out");
  });

  it("that fails leaves the session as it was", async () => {
    server.user = { sub: "alice" };
    await bff.session.ready();
    server.answers("/auth/logout", () => problem(503, "store_unavailable"));
    await expect(bff.signOut()).rejects.toMatchObject({ code: "store_unavailable" });
    expect(bff.session.get().status).toBe("authenticated");
    expect(window.navigations).toEqual([]);
  });
});

describe("the user's own sessions", () => {
  it("are listed and ended", async () => {
    const session = { id: "5f0c", current: false, signed_in_at: 1, last_seen_at: 2, ends_at: 3, client: "Firefox", address: null };
    server.answers("/auth/sessions", () => json({ sessions: [session] })).answers("/auth/sessions/end", () => json({ ended: 1 }));
    expect(await bff.sessions.list()).toEqual([session]);
    expect(await bff.sessions.end("5f0c")).toBe(1);
    expect(server.asked.find((each) => each.path === "/auth/sessions/end")!.body).toBe('{"id":"5f0c"}');
    await until(() => server.count("/auth/session") > 0);
  });
});
