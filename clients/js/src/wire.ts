/** What `/auth/*` sends and accepts, as the OpenAPI document of the BFF describes it. Times are whole seconds since 1970. */
import type { components } from "./openapi.js";

export type Schemas = components["schemas"];

/** Why a session ended. A newer server may send a reason that this list lacks. */
export type EndReason = Schemas["EndReason"];

/** The stable code of an error of the BFF. */
export type ErrorCode = Schemas["ErrorCode"];

/** One of the user's sessions, in this or another browser. `id` gives no access. */
export type OwnSession = Schemas["OwnSession"];

/** The claims of the ID token that the operator shows to the application. */
export interface User {
  readonly sub: string;
  readonly name?: string;
  readonly email?: string;
  readonly preferred_username?: string;
  readonly [claim: string]: unknown;
}

/** The members of a problem (RFC 9457) that the BFF sends; which of them depends on the code. */
export type Problem = Schemas["Problem"] &
  Partial<Pick<Schemas["SignInRequiredProblem"], "reason">> &
  Partial<Pick<Schemas["StepUpRequiredProblem"], "acr_values" | "max_age" | "sign_in_url">> &
  Partial<Pick<Schemas["ForbiddenByRuleProblem"], "rules">>;
