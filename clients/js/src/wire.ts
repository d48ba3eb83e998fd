/** What `/auth/*` sends and accepts. Times are whole seconds since 1970, by the clock of the session store. */

/** Why a session ended. A newer server may send a reason that this list lacks. */
export type EndReason =
  | "idle_timeout"
  | "absolute_timeout"
  | "signed_out"
  | "signed_out_elsewhere"
  | "replaced"
  | "back_channel"
  | "front_channel"
  | "universal_logout"
  | "security_event"
  | "operator"
  | "refresh_token_invalid"
  | "no_refresh_token"
  | "provider_denied"
  | "rotation_lost"
  | "subject_changed"
  | "id_token_mismatch"
  | "key_removed"
  | "device_binding_lost";

/** The claims of the ID token that the operator shows to the application. */
export interface User {
  readonly sub: string;
  readonly name?: string;
  readonly email?: string;
  readonly preferred_username?: string;
  readonly [claim: string]: unknown;
}

/** One of the user's sessions, in this or another browser. `id` gives no access. */
export interface OwnSession {
  readonly id: string;
  readonly current: boolean;
  readonly signed_in_at: number;
  readonly last_seen_at: number;
  readonly ends_at: number;
  readonly device_bound: boolean;
  readonly client: string | null;
  readonly address: string | null;
}

/** The members of a problem (RFC 9457) that the BFF sends. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly correlation_id: string;
  readonly detail?: string;
  readonly reason?: EndReason;
  readonly acr_values?: readonly string[];
  readonly max_age?: number | null;
  readonly sign_in_url?: string | null;
  readonly rules?: readonly string[];
  readonly retry_after?: number;
  readonly remedy?: "register" | "retry" | "sign_in";
}
