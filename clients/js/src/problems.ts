import type { EndReason, ErrorCode, Problem } from "./wire.js";

const TYPE = "urn:okta-bff:problem:";

/** A response of the BFF itself that is not a success. What an upstream answers is never one of these. */
export class BffProblem extends Error {
  override readonly name: string = "BffProblem";
  /** The stable code, as in the list of errors of the BFF. */
  readonly code: ErrorCode;
  readonly status: number;
  /** The body as it came. */
  readonly problem: Problem;
  /** Seconds to wait before the next attempt, or null. */
  readonly retryAfter: number | null;
  /** False only if the BFF says that it sent nothing to an upstream. */
  readonly forwarded: boolean;
  /** Where a sign-in would help: the address that lacks only the encoded return path. See `stepUp`. */
  readonly signInUrl: string | null;

  constructor(problem: Problem, retryAfter: number | null, forwarded: boolean) {
    super(problem.title);
    this.code = problem.code;
    this.status = problem.status;
    this.problem = problem;
    this.retryAfter = retryAfter;
    this.forwarded = forwarded;
    this.signInUrl = problem.sign_in_url ?? null;
  }
}

/** 401: there is no session. */
export class SignInRequired extends BffProblem {
  /** Why the last session ended, if known. */
  get reason(): EndReason | null {
    return this.problem.reason ?? null;
  }
}

/** 401: the session stays, and a stronger or more recent sign-in is needed. Pass it to `stepUp`. */
export class StepUpRequired extends BffProblem {}

/** 403: a defect of the calling code, or a page of another origin. */
export class CsrfRequired extends BffProblem {}

/** 403: none of the access rules of the route holds. With a `signInUrl` another sign-in could make one hold. */
export class ForbiddenByRule extends BffProblem {
  get rules(): readonly string[] {
    return this.problem.rules ?? [];
  }
}

/** 503 for longer than `maxWait`: the session stays. */
export class Unavailable extends BffProblem {}

const CLASSES: Record<string, typeof BffProblem> = {
  sign_in_required: SignInRequired,
  step_up_required: StepUpRequired,
  csrf_required: CsrfRequired,
  forbidden_by_rule: ForbiddenByRule,
};

/** Retry-After (RFC 9110 section 10.2.3) in seconds from now, or null. */
export function retryAfter(response: Response): number | null {
  const value = response.headers.get("Retry-After");
  if (!value) return null;
  const seconds = /^\d+$/.test(value) ? +value : (Date.parse(value) - Date.now()) / 1000;
  return isNaN(seconds) ? null : Math.max(0, seconds);
}

/**
 * The problem of a response that the BFF itself made, or null. The header decides, because no upstream can set it. After
 * a redirect the response may come from anywhere.
 */
export async function problemOf(response: Response): Promise<BffProblem | null> {
  const { headers } = response;
  const forwarded = headers.get("X-BFF-Forwarded");
  if (!forwarded || response.redirected || !headers.get("Content-Type")?.startsWith("application/problem+json")) {
    return null;
  }
  const body: Problem | null = await response
    .clone()
    .json()
    .catch(() => null);
  if (!String(body?.type).startsWith(TYPE)) return null;
  return new (CLASSES[body!.code] ?? (response.status === 503 ? Unavailable : BffProblem))(
    body!,
    retryAfter(response),
    forwarded !== "no",
  );
}
