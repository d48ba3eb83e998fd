import type { EndReason, Schemas, User } from "./wire.js";

/** Milliseconds since 1970 by the clock of this device, however wrong that is. */
export interface Deadlines {
  readonly signedInAt: number;
  /** The idle timeout, if nothing happens. */
  readonly idleEndsAt: number;
  /** The absolute timeout. */
  readonly endsAt: number;
}

/** The session ends soon. `extend()` helps against `idle_timeout` only. */
export interface Expiring {
  readonly at: number;
  readonly reason: "idle_timeout" | "absolute_timeout";
}

interface Unknown {
  readonly user: null;
  readonly deadlines: null;
  readonly expiring: null;
  readonly reason: null;
  readonly stale: boolean;
}

/** Nothing is known yet. */
export interface Pending extends Unknown {
  readonly status: "pending";
}

/** Nothing is known, because the BFF does not answer. It is asked again until it does. */
export interface UnavailableSession extends Unknown {
  readonly status: "unavailable";
}

export interface Authenticated {
  readonly status: "authenticated";
  readonly user: User;
  readonly deadlines: Deadlines;
  readonly expiring: Expiring | null;
  readonly reason: null;
  /** The BFF did not answer the latest question. That never means signed out. */
  readonly stale: boolean;
}

export interface Anonymous {
  readonly status: "anonymous";
  readonly user: null;
  readonly deadlines: null;
  readonly expiring: null;
  /** Why the last session ended, if there was one. */
  readonly reason: EndReason | null;
  readonly stale: boolean;
}

/** A value that never changes: the next state is another object. */
export type Session = Pending | UnavailableSession | Authenticated | Anonymous;

const UNKNOWN = { user: null, deadlines: null, expiring: null, reason: null, stale: false } as const;

export const PENDING: Session = { status: "pending", ...UNKNOWN };

export const anonymous = (reason: EndReason | null): Anonymous => ({ status: "anonymous", ...UNKNOWN, reason });

export const UNAVAILABLE: Session = { status: "unavailable", ...UNKNOWN };

/** What is left of the knowledge when the BFF does not answer. */
export const unanswered = (known: Session): Session =>
  known.status === "pending" ? UNAVAILABLE : { ...known, stale: known.status !== "unavailable" };

/** The body of `/auth/session`, or null if it is something else, such as the page of a captive portal. */
export function read(body: unknown, known: Session, now: number): Session | null {
  const answer = body as Schemas["SignedInSession"] | Schemas["AnonymousSession"] | null;
  if (answer?.authenticated === true) {
    const { now: theirs, ...times } = answer.session;
    // Rounded, so that the same deadline is the same number in most answers.
    const local = (seconds: number) => Math.round(now / 1000 + seconds - theirs) * 1000;
    return {
      ...UNKNOWN,
      status: "authenticated",
      user: answer.user,
      deadlines: {
        signedInAt: local(times.signed_in_at),
        idleEndsAt: local(times.idle_ends_at),
        endsAt: local(times.ends_at),
      },
    };
  }
  // The BFF returns a reason for a minute only. It stays until the next sign-in.
  return answer?.authenticated === false ? anonymous(answer.reason ?? known.reason) : null;
}

/** When the session ends, unless something happens. */
export const endOf = ({ deadlines }: Authenticated): number => Math.min(deadlines.idleEndsAt, deadlines.endsAt);

/** The warning, if the end is at most `lead` milliseconds away. */
export function expiring(session: Authenticated, now: number, lead: number): Expiring | null {
  const at = endOf(session);
  return at - now <= lead ? { at, reason: at < session.deadlines.endsAt ? "idle_timeout" : "absolute_timeout" } : null;
}
