/** For TanStack Query, whatever the framework. */
import type { Bff } from "./bff.js";
import { BffProblem, Unavailable } from "./problems.js";
import type { BffRequestInit } from "./request.js";

/** What an upstream answered instead of a success. */
export class ResponseError extends Error {
  override readonly name = "ResponseError";

  constructor(readonly response: Response) {
    super(`The response was ${response.status}`);
  }
}

/** The JSON of a path, for a `queryFn`. Throws BffProblem, and ResponseError for an upstream's own refusal. */
export async function fetchJson<T>(bff: Bff, path: string, init?: BffRequestInit): Promise<T> {
  const response = await bff.fetch(path, init);
  if (!response.ok) throw new ResponseError(response);
  return response.json() as Promise<T>;
}

const ATTEMPTS = 3;

/** `retry` of queries: an outage is waited out, however long; what another attempt cannot change is not repeated. */
export function retryQuery(failures: number, error: unknown): boolean {
  if (error instanceof Unavailable) return true;
  const status = error instanceof BffProblem ? error.status : error instanceof ResponseError ? error.response.status : 500;
  return (status >= 500 || status === 429 || status === 408) && failures < ATTEMPTS;
}

/** `retry` of mutations: only what the BFF says that it did not forward. */
export function retryMutation(failures: number, error: unknown): boolean {
  return error instanceof Unavailable && !error.forwarded && failures < ATTEMPTS;
}

/** `retryDelay` of both, in milliseconds: Retry-After, or a pause that grows. */
export function retryDelay(failures: number, error: unknown): number {
  const seconds = (error as Partial<BffProblem>).retryAfter;
  return Math.max((seconds ?? 0) * 1000, Math.min(1000 * 2 ** failures, 30_000)) * (1 + Math.random() / 4);
}
