import type { Connection } from "./connection.js";
import { type BffProblem, problemOf, retryAfter, SignInRequired, StepUpRequired } from "./problems.js";
import type { OwnStore } from "./session_store.js";

export interface BffRequestInit extends RequestInit {
  /** Milliseconds to wait out 503 responses, for this request. */
  maxWait?: number;
  /** Called before every pause: with the problem of the BFF, or null for an upstream's own 503. */
  onWait?: (problem: BffProblem | null) => void;
}

export interface RequestOptions {
  /** Milliseconds to wait out 503 responses, altogether. Default: 30 seconds. */
  maxWait?: number | undefined;
  /**
   * Called when a request needs a sign-in, once for all that need it at that time. If it resolves to true the request is
   * sent once more. For example a dialog whose button calls `signIn({ mode: "popup" })`.
   */
  onSignInRequired?: (problem: SignInRequired | StepUpRequired) => boolean | Promise<boolean>;
}

export type BffFetch = (input: string | URL | Request, init?: BffRequestInit) => Promise<Response>;

const SAFE = /^(get|head|options)$/i;

/**
 * `fetch` for the BFF and what is behind it. Returns what an upstream answers, whatever the status; throws a BffProblem for
 * what the BFF itself answers instead.
 *
 * A safe request is repeated after a 503 with Retry-After. Any other is repeated only when the BFF says that nothing was
 * forwarded, and for the same user: never after an upstream's own 503, and never after a lost connection.
 */
export function createFetch(connection: Connection, store: OwnStore, options: RequestOptions): BffFetch {
  let signingIn: Promise<boolean> | undefined;

  async function signedInAgain(problem: BffProblem): Promise<boolean> {
    if (problem instanceof SignInRequired) {
      // Perhaps the user has signed in meanwhile, in another tab.
      if ((await store.refresh(true)).user) return true;
    } else if (!(problem instanceof StepUpRequired)) return false;
    signingIn ??= Promise.resolve(options.onSignInRequired?.(problem) ?? false).finally(() => (signingIn = undefined));
    return signingIn;
  }

  return async (input, init = {}) => {
    const { maxWait = options.maxWait ?? 30_000, onWait, ...rest } = init;
    const request = input instanceof Request ? input : null;
    const safe = SAFE.test(rest.method ?? request?.method ?? "get");
    const sendable = !(rest.body instanceof ReadableStream);
    const signal = rest.signal ?? request?.signal;
    const until = Date.now() + maxWait;
    const user = store.user();
    for (let renewed = false; ; ) {
      const response = await connection.send(request?.clone() ?? String(input), rest);
      const problem = await problemOf(response);
      const again = sendable && (safe || problem?.forwarded === false);
      const seconds = retryAfter(response);
      if (response.status === 503 && again && seconds !== null) {
        // Not all tabs at the same moment.
        const wait = Math.max(seconds * 1000, 250) * (1 + Math.random() / 4);
        if (Date.now() + wait <= until) {
          onWait?.(problem);
          void response.body?.cancel().catch(() => {});
          await sleep(wait, signal);
          continue;
        }
      }
      if (!problem) {
        if (store.get().expiring) void store.refresh(); // the request may have extended the idle timeout
        return response;
      }
      // What one person has entered is never sent as another, who has signed in instead.
      if (!renewed && (await signedInAgain(problem)) && again && (safe || !user || user.sub === store.get().user?.sub)) {
        renewed = true;
        continue;
      }
      throw problem;
    }
  };
}

const sleep = (milliseconds: number, signal: AbortSignal | null | undefined) =>
  new Promise<void>((resolve, reject) => {
    setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => reject(signal.reason as Error));
  });
