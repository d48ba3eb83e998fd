import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Bff, type BffOptions, BffProblem, createBff, CsrfRequired, ForbiddenByRule, SignInRequired, StepUpRequired, Unavailable } from "../src/index.js";
import { ORIGIN, page } from "./page.js";
import { json, problem, refuse, Server } from "./server.js";

let server: Server;
let bff: Bff;

const start = (options: BffOptions = {}) => (bff = createBff({ events: false, ...options }));

/** The result of a request, after as much time as it takes. */
async function settled<T>(request: Promise<T>): Promise<T | unknown> {
  const result = request.catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(300_000);
  return result;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  vi.spyOn(Math, "random").mockReturnValue(0);
  page();
  server = new Server();
  start();
});

afterEach(() => {
  bff.close();
  vi.useRealTimers();
});

describe("every request", () => {
  it("carries the header and what the caller set", async () => {
    await bff.fetch("/api/orders", { method: "POST", body: "x", headers: { "X-Own": "2" } });
    const [asked] = server.asked;
    expect(asked).toMatchObject({ method: "POST", path: "/api/orders", body: "x" });
    expect(asked!.headers.get("X-CSRF")).toBe("1");
    expect(asked!.headers.get("X-Own")).toBe("2");
  });

  it("may be a Request, whose headers stay", async () => {
    await bff.fetch(new Request(`${ORIGIN}/api/orders`, { method: "PUT", body: "x", headers: { "X-Own": "2" } }));
    expect(server.asked[0]).toMatchObject({ method: "PUT", body: "x" });
    expect(server.asked[0]!.headers.get("X-Own")).toBe("2");
    expect(server.asked[0]!.headers.get("X-CSRF")).toBe("1");
  });

  it("has the header of the options", async () => {
    start({ csrfHeader: "X-Our-App" });
    await bff.fetch("/api/orders");
    expect(server.asked[0]!.headers.get("X-Our-App")).toBe("1");
  });

  it.each(["https://evil.example/x", "//evil.example/x", "http://app.example.com/api"])("never goes to %s", async (url) => {
    await expect(bff.fetch(url)).rejects.toThrow(TypeError);
    await expect(bff.fetch(new Request(new URL(url, ORIGIN)))).rejects.toThrow(TypeError);
    expect(server.asked).toEqual([]);
  });

  it("goes to the BFF of the options", async () => {
    start({ baseUrl: "https://bff.example.com" });
    await bff.fetch("/api/orders");
    expect(server.asked[0]!.path).toBe("https://bff.example.com/api/orders");
  });
});

describe("the errors", () => {
  it.each([
    [401, "sign_in_required", SignInRequired],
    [401, "step_up_required", StepUpRequired],
    [403, "csrf_required", CsrfRequired],
    [403, "forbidden_by_rule", ForbiddenByRule],
    [503, "store_unavailable", Unavailable],
    [503, "provider_unavailable", Unavailable],
    [404, "route_not_found", BffProblem],
    [429, "rate_limited", BffProblem],
  ])("%i %s is a class of its own", async (status, code, type) => {
    server.answers("/api", () => problem(status, code));
    const error = await settled(bff.fetch("/api"));
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ status, code, forwarded: false, name: "BffProblem" });
  });

  it("have what the SPA needs", async () => {
    server.answers("/api", () => problem(401, "step_up_required", { sign_in_url: "/auth/login?max_age=0&return_to=", max_age: 0 }));
    expect(await settled(bff.fetch("/api"))).toMatchObject({ signInUrl: "/auth/login?max_age=0&return_to=", problem: { max_age: 0 } });
    server.answers("/api", () => problem(403, "forbidden_by_rule", { rules: ["managers"] }));
    expect(await settled(bff.fetch("/api"))).toMatchObject({ rules: ["managers"], signInUrl: null });
    server.user = null;
    server.answers("/api", () => problem(401, "sign_in_required", { reason: "operator" }));
    expect(await settled(bff.fetch("/api"))).toMatchObject({ reason: "operator" });
  });

  it.each([400, 401, 403, 404, 500, 502, 503])("%i of an upstream is a response", async (status) => {
    server.answers("/api", () => json({ type: "urn:okta-bff:problem:sign_in_required", code: "sign_in_required" }, status, { "Content-Type": "application/problem+json" }));
    const response = (await settled(bff.fetch("/api"))) as Response;
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code: "sign_in_required" });
  });

  it("are not taken from the target of a redirect", async () => {
    server.answers("/api", () => Object.defineProperty(problem(503, "store_unavailable", { retryAfter: "1" }), "redirected", { value: true }));
    expect(await settled(bff.fetch("/api", { method: "POST", body: "x" }))).toBeInstanceOf(Response);
    expect(server.count("/api")).toBe(1);
  });
});

const BODIES: [string, () => BodyInit][] = [
  ["text", () => "x"],
  ["a form", () => new URLSearchParams({ x: "x" })],
  ["a blob", () => new Blob(["x"])],
  ["bytes", () => new Uint8Array([120])],
];
const stream = () => new Blob(["x"]).stream();
const unavailable = (forwarded: string) => () => problem(503, "store_unavailable", { forwarded, retryAfter: "2" });
const ofUpstream = () => json({}, 503, { "Retry-After": "2" });

describe("a repetition", () => {
  it.each(["GET", "HEAD", "OPTIONS"])("of %s follows every 503 with Retry-After", async (method) => {
    for (const refused of [unavailable("no"), unavailable("maybe"), ofUpstream]) {
      server.answers("/api", refused, refused, () => json({}));
      const before = server.count("/api");
      expect(await settled(bff.fetch("/api", { method }))).toMatchObject({ status: 200 });
      expect(server.count("/api") - before).toBe(3);
    }
  });

  it("waits as long as Retry-After says", async () => {
    server.answers("/api", () => problem(503, "store_unavailable", { retryAfter: "7" }), () => json({}));
    const answer = bff.fetch("/api");
    await vi.advanceTimersByTimeAsync(6_900);
    expect(server.count("/api")).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(server.count("/api")).toBe(2);
    expect((await answer).status).toBe(200);
  });

  it("says before each pause why it waits", async () => {
    server.answers("/api", unavailable("no"), ofUpstream, () => json({}));
    const onWait = vi.fn();
    await settled(bff.fetch("/api", { onWait }));
    expect(onWait.mock.calls).toEqual([[expect.objectContaining({ code: "store_unavailable" })], [null]]);
  });

  it("waits until the date of Retry-After", async () => {
    vi.setSystemTime(new Date("2026-01-01T00:00:00Z"));
    server.answers("/api", () => problem(503, "store_unavailable", { retryAfter: "Thu, 01 Jan 2026 00:00:05 GMT" }), () => json({}));
    const answer = bff.fetch("/api");
    await vi.advanceTimersByTimeAsync(4_900);
    expect(server.count("/api")).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect((await answer).status).toBe(200);
  });

  it.each(BODIES)("of an unsafe request with %s needs the word of the BFF", async (_, body) => {
    const post = () => settled(bff.fetch("/api", { method: "POST", body: body() }));
    server.answers("/api", unavailable("no"), () => json({}));
    expect(await post()).toMatchObject({ status: 200 });
    expect(server.asked.map((each) => each.body)).toEqual([server.asked[0]!.body, server.asked[0]!.body]);

    for (const refused of [unavailable("maybe"), unavailable("NO"), unavailable("no, no")]) {
      server.answers("/api", refused, () => json({}));
      expect(await post()).toBeInstanceOf(Unavailable);
    }
    server.answers("/api", ofUpstream, () => json({}));
    expect(await post()).toMatchObject({ status: 503 });
    const marked = () => json({ type: "urn:okta-bff:problem:store_unavailable" }, 503, { "Retry-After": "2", "X-BFF-Forwarded": "no" });
    server.answers("/api", marked, () => json({}));
    expect(await post()).toMatchObject({ status: 503 });
    const ofAnother = () => problem(503, "x", { retryAfter: "2", type: "about:blank" });
    server.answers("/api", ofAnother, () => json({}));
    expect(await post()).toMatchObject({ status: 503 });
    server.answers("/api", refuse, () => json({}));
    expect(await post()).toBeInstanceOf(TypeError);
    expect(server.count("/api")).toBe(2 + 3 + 1 + 1 + 1 + 1);
  });

  it("of a body that can be read once does not happen", async () => {
    server.answers("/api", unavailable("no"), () => json({}));
    const init = { method: "POST", body: stream(), duplex: "half" };
    expect(await settled(bff.fetch("/api", init as RequestInit))).toBeInstanceOf(Unavailable);
    expect(server.count("/api")).toBe(1);
  });

  it("of a Request sends its body again", async () => {
    server.answers("/api", unavailable("no"), () => json({}));
    const request = new Request(`${ORIGIN}/api`, { method: "POST", body: "once" });
    expect(await settled(bff.fetch(request))).toMatchObject({ status: 200 });
    expect(server.asked.map((each) => each.body)).toEqual(["once", "once"]);
  });

  it("has a limit: of the client, and of the request", async () => {
    server.answers("/api", () => problem(503, "store_unavailable", { retryAfter: "10" }));
    expect(await settled(bff.fetch("/api"))).toMatchObject({ code: "store_unavailable", retryAfter: 10 });
    expect(server.count("/api")).toBe(4); // after 0, 10, 20 and 30 seconds
    await settled(bff.fetch("/api", { maxWait: 10_000 }));
    expect(server.count("/api")).toBe(4 + 2);
    await settled(bff.fetch("/api", { maxWait: 0 }));
    expect(server.count("/api")).toBe(4 + 2 + 1);
  });

  it("needs a Retry-After", async () => {
    server.answers("/api", () => problem(503, "store_unavailable"), () => json({}));
    expect(await settled(bff.fetch("/api"))).toBeInstanceOf(Unavailable);
  });

  it("of a lost connection does not happen", async () => {
    server.answers("/api", refuse, () => json({}));
    expect(await settled(bff.fetch("/api"))).toBeInstanceOf(TypeError);
    expect(server.count("/api")).toBe(1);
  });

  it("ends with the caller's signal", async () => {
    server.answers("/api", () => problem(503, "store_unavailable", { retryAfter: "10" }));
    const abort = new AbortController();
    const answer = bff.fetch("/api", { signal: abort.signal }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(1_000);
    abort.abort(new Error("enough"));
    expect(await answer).toMatchObject({ message: "enough" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.count("/api")).toBe(1);
  });
});

describe("a sign-in that becomes necessary", () => {
  const signInRequired = (forwarded = "no") => () => problem(401, "sign_in_required", { forwarded });

  it("is asked for once, and all requests are sent again", async () => {
    const onSignInRequired = vi.fn(async () => {
      await new Promise((done) => setTimeout(done, 1000));
      server.answers("/api", () => json({}));
      return true;
    });
    start({ onSignInRequired });
    server.user = null;
    server.answers("/api", signInRequired());
    const answers = ["GET", "POST", "DELETE"].map((method) => bff.fetch("/api", { method, ...(method === "POST" && { body: "x" }) }));
    const results = (await settled(Promise.all(answers))) as Response[];
    expect(results.map((each) => each.status)).toEqual([200, 200, 200]);
    expect(onSignInRequired).toHaveBeenCalledTimes(1);
    expect(server.count("/api")).toBe(6);
  });

  it.each([["alice", "POST", 200, 2], ["bob", "POST", 401, 1], ["bob", "GET", 200, 2]])("by %s repeats a %s of alice: %s", async (sub, method, status, count) => {
    start({
      onSignInRequired: () => {
        server.user = { sub };
        return bff.session.refresh(true).then(() => true);
      },
    });
    await bff.session.ready();
    server.user = null;
    server.answers("/api", signInRequired(), () => json({}));
    expect(await settled(bff.fetch("/api", { method, ...(method === "POST" && { body: "x" }) }))).toMatchObject({ status });
    expect(server.count("/api")).toBe(count);
  });

  it.each([["alice", "POST", 200, 2], ["bob", "POST", 401, 1], ["bob", "GET", 200, 2]])("by %s repeats a %s of alice, whose end was known: %s", async (sub, method, status, count) => {
    start({
      onSignInRequired: () => {
        server.user = { sub };
        return bff.session.refresh(true).then(() => true);
      },
    });
    await bff.session.ready();
    server.user = null;
    expect((await bff.session.refresh(true)).user).toBeNull();
    server.answers("/api", signInRequired(), () => json({}));
    expect(await settled(bff.fetch("/api", { method, ...(method === "POST" && { body: "x" }) }))).toMatchObject({ status });
    expect(server.count("/api")).toBe(count);
  });

  it("repeats only once", async () => {
    start({ onSignInRequired: () => true });
    server.user = null;
    server.answers("/api", signInRequired());
    expect(await settled(bff.fetch("/api"))).toBeInstanceOf(SignInRequired);
    expect(server.count("/api")).toBe(2);
  });

  it("that the user refuses repeats nothing", async () => {
    start({ onSignInRequired: () => false });
    server.user = null;
    server.answers("/api", signInRequired());
    expect(await settled(bff.fetch("/api"))).toBeInstanceOf(SignInRequired);
    expect(server.count("/api")).toBe(1);
  });

  it("needs no dialog if another tab has done it", async () => {
    const onSignInRequired = vi.fn(() => false);
    start({ onSignInRequired });
    server.answers("/api", signInRequired(), () => json({}));
    expect(await settled(bff.fetch("/api"))).toMatchObject({ status: 200 });
    expect(onSignInRequired).not.toHaveBeenCalled();
  });

  it("for an API that has seen the request repeats a safe one only", async () => {
    start({ onSignInRequired: () => true });
    const stepUp = () => problem(401, "step_up_required", { forwarded: "maybe" });
    server.answers("/api", stepUp, () => json({}));
    expect(await settled(bff.fetch("/api", { method: "POST", body: "x" }))).toBeInstanceOf(StepUpRequired);
    server.answers("/api", stepUp, () => json({}));
    expect(await settled(bff.fetch("/api"))).toMatchObject({ status: 200 });
  });

  it("shows in the session", async () => {
    await bff.session.ready();
    expect(bff.session.get().status).toBe("authenticated");
    Object.assign(server, { user: null, reason: "operator" });
    server.answers("/api", signInRequired());
    await settled(bff.fetch("/api"));
    expect(bff.session.get()).toMatchObject({ status: "anonymous", reason: "operator" });
  });

  it("is not confused with a defect of the caller", async () => {
    const onSignInRequired = vi.fn(() => true);
    start({ onSignInRequired });
    server.answers("/api", () => problem(403, "csrf_required"));
    expect(await settled(bff.fetch("/api"))).toBeInstanceOf(CsrfRequired);
    expect(onSignInRequired).not.toHaveBeenCalled();
    expect(bff.session.get().status).toBe("pending");
  });
});
