/** What the compiler accepts and refuses in the code of an application: a failure is an error of `npm run typecheck`. */
import { expectTypeOf } from "expect-type";
import { it } from "vitest";
import { type Bff, BffProblem, createBff, type EndReason, type Session, SignInRequired, type User } from "../src/index.js";

it("narrows the session by its status", () => {
  const check = (session: Session) => {
    expectTypeOf(session.user).toEqualTypeOf<User | null>();
    switch (session.status) {
      case "authenticated":
        expectTypeOf(session.user).toEqualTypeOf<User>();
        expectTypeOf(session.deadlines.endsAt).toEqualTypeOf<number>();
        expectTypeOf(session.reason).toEqualTypeOf<null>();
        break;
      case "anonymous":
        expectTypeOf(session.user).toEqualTypeOf<null>();
        expectTypeOf(session.reason).toEqualTypeOf<EndReason | null>();
        break;
      case "pending":
      case "unavailable":
        expectTypeOf(session.deadlines).toEqualTypeOf<null>();
        break;
      default:
        expectTypeOf(session).toEqualTypeOf<never>();
    }
    if (session.user) expectTypeOf(session.status).toEqualTypeOf<"authenticated">();
    // @ts-expect-error a state never changes
    session.status = "anonymous";
  };
  expectTypeOf(check).parameter(0).toEqualTypeOf<Session>();
});

it("has the types of fetch", () => {
  expectTypeOf<Bff["fetch"]>().toBeCallableWith("/api", { method: "POST", body: "x", maxWait: 0 });
  expectTypeOf<Bff["fetch"]>().returns.toEqualTypeOf<Promise<Response>>();
  expectTypeOf<Bff["fetch"]>().toExtend<typeof fetch>();
  expectTypeOf(SignInRequired).instance.toExtend<BffProblem>();
  expectTypeOf<SignInRequired["reason"]>().toEqualTypeOf<EndReason | null>();
});

it("refuses what the BFF would refuse", () => {
  const check = (bff: Bff) => {
    // @ts-expect-error a popup or a redirect
    void bff.signIn({ mode: "frame" });
    // @ts-expect-error one session or all others
    void bff.sessions.end({ others: false });
    // @ts-expect-error a problem
    void bff.stepUp("urn:mfa");
    // @ts-expect-error milliseconds
    createBff({ maxWait: "30s" });
  };
  expectTypeOf(check).toBeFunction();
});
