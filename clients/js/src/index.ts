export { type Bff, type BffOptions, createBff, type SignOutOptions } from "./bff.js";
export { BffProblem, CsrfRequired, ForbiddenByRule, SignInRequired, StepUpRequired, Unavailable } from "./problems.js";
export type { BffFetch, BffRequestInit, RequestOptions } from "./request.js";
export type {
  Anonymous,
  Authenticated,
  Deadlines,
  Expiring,
  Pending,
  Session,
  UnavailableSession,
} from "./session.js";
export type { SessionStore, StoreOptions } from "./session_store.js";
export { PopupBlocked, type SignInOptions } from "./sign_in.js";
export type { EndReason, ErrorCode, OwnSession, Problem, User } from "./wire.js";
