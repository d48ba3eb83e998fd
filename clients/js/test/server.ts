/** A BFF in front of an API, as far as a page sees it: scripted answers, and a record of what was asked. */
import { vi } from "vitest";
import { ORIGIN } from "./page.js";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
}

type Answer = (asked: Asked) => Response | Promise<Response>;

export const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });

/** A response of the BFF itself. */
export const problem = (
  status: number,
  code: string,
  { forwarded = "no", retryAfter, ...members }: Record<string, unknown> & { forwarded?: string; retryAfter?: string } = {},
): Response =>
  json({ type: `urn:okta-bff:problem:${code}`, title: code, status, code, correlation_id: "c", ...members }, status, {
    "Content-Type": "application/problem+json",
    "X-BFF-Forwarded": forwarded,
    ...(retryAfter !== undefined && { "Retry-After": retryAfter }),
  });

export const refuse = (): Response => {
  throw new TypeError("Failed to fetch");
};

export class Server {
  readonly asked: Asked[] = [];
  user: { sub: string } | null = { sub: "alice" };
  reason: string | null = null;
  /** Seconds until the idle timeout, and until the absolute one. */
  idle = 1800;
  absolute = 36_000;
  /** The server's clock, in seconds ahead of the page's. */
  ahead = 500;
  /** Answers of a path, each once; the last one stays. */
  readonly script = new Map<string, Answer[]>();
  /** While it is set no answer leaves the server. */
  gate: Promise<void> | undefined;

  constructor() {
    vi.stubGlobal("fetch", async (input: Request | URL | string, init: RequestInit = {}) => {
      const request = new Request(input, { ...init, ...(init.body ? { duplex: "half" } : {}) } as RequestInit);
      const url = new URL(request.url);
      const asked: Asked = {
        method: request.method,
        path: (url.origin === ORIGIN ? "" : url.origin) + url.pathname,
        headers: request.headers,
        body: await request.text(),
      };
      this.asked.push(asked);
      await this.gate;
      const answers = this.script.get(asked.path) ?? [(each) => this.answer(each)];
      return (answers.length > 1 ? answers.shift()! : answers[0]!)(asked);
    });
  }

  count(path: string): number {
    return this.asked.filter((each) => each.path === path).length;
  }

  answers(path: string, ...answers: Answer[]): this {
    this.script.set(path, answers);
    return this;
  }

  get session(): object {
    const now = Math.floor(Date.now() / 1000) + this.ahead;
    if (!this.user) return { authenticated: false, reason: this.reason };
    const times = { signed_in_at: now - 60, idle_ends_at: now + this.idle, ends_at: now + this.absolute, now };
    return { authenticated: true, user: this.user, session: times };
  }

  private answer(asked: Asked): Response {
    if (asked.path === "/auth/session" || asked.path === "/auth/session/extend") return json(this.session);
    return json({ echo: asked.body });
  }
}

/** Lets messages between tabs arrive: they take turns of the real event loop, which fake timers do not stop. */
export async function until(condition: () => unknown): Promise<void> {
  const real = setImmediateOfNode;
  for (let turns = 0; !condition(); turns++) {
    if (turns > 200_000) throw new Error(`never: ${condition}`);
    await new Promise((done) => real(done));
  }
}

/** Long enough for a message that must not arrive. */
export async function turns(count = 200): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((done) => setImmediateOfNode(done));
}

const setImmediateOfNode = globalThis.setImmediate;
