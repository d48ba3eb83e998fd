import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Bff, BffProblem, createBff, Unavailable } from "../src/index.js";
import { fetchJson, ResponseError, retryDelay, retryMutation, retryQuery } from "../src/query.js";
import { page } from "./page.js";
import { json, problem, Server } from "./server.js";

let server: Server;
let bff: Bff;

beforeEach(() => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  page();
  server = new Server();
  bff = createBff({ events: false, maxWait: 0 });
});

afterEach(() => bff.close());

const failure = async (response: () => Response): Promise<unknown> => {
  server.answers("/api", response);
  return fetchJson(bff, "/api").catch((error: unknown) => error);
};

it("reads JSON", async () => {
  server.answers("/api", () => json({ orders: 3 }));
  expect(await fetchJson<{ orders: number }>(bff, "/api")).toEqual({ orders: 3 });
});

it("waits out an outage, however long, and repeats nothing that would fail again", async () => {
  const cases: [() => Response, boolean, boolean][] = [
    [() => problem(503, "store_unavailable", { retryAfter: "1" }), true, true],
    [() => json({}, 503), true, false],
    [() => problem(502, "upstream_unreachable"), true, false],
    [() => problem(429, "rate_limited", { retryAfter: "1" }), true, false],
    [() => problem(401, "sign_in_required"), false, false],
    [() => problem(403, "csrf_required"), false, false],
    [() => json({}, 404), false, false],
  ];
  for (const [response, first, hundredth] of cases) {
    const error = await failure(response);
    expect([retryQuery(0, error), retryQuery(100, error)], String(error)).toEqual([first, hundredth]);
  }
  expect([retryQuery(0, new TypeError()), retryQuery(3, new TypeError())]).toEqual([true, false]);
});

it("repeats a mutation only when the BFF says that nothing was forwarded", async () => {
  const cases: [() => Response, boolean][] = [
    [() => problem(503, "store_unavailable", { forwarded: "no" }), true],
    [() => problem(503, "store_unavailable", { forwarded: "maybe" }), false],
    [() => problem(502, "upstream_unreachable", { forwarded: "maybe" }), false],
    [() => json({}, 503), false],
  ];
  for (const [response, again] of cases) expect(retryMutation(0, await failure(response))).toBe(again);
  expect(retryMutation(0, new TypeError("Failed to fetch"))).toBe(false);
});

it("pauses as long as the BFF asks for, and longer and longer", async () => {
  const error = await failure(() => problem(503, "store_unavailable", { retryAfter: "7" }));
  expect(error).toBeInstanceOf(Unavailable);
  expect(retryDelay(0, error)).toBe(7_000);
  expect([0, 1, 2, 9].map((failures) => retryDelay(failures, new ResponseError(json({}, 500))))).toEqual([1000, 2000, 4000, 30_000]);
  expect(error).toBeInstanceOf(BffProblem);
});
