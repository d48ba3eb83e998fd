// A small client for the BFF, independent of this demo: copy it into your own single-page app.
//
// It holds no token and no secret. It adds the header that proves a request comes from this page, turns the BFF's
// problem JSON into error classes, and respects Retry-After.

export class Problem extends Error {
  /**
   * A response that is not a success. `code` is stable; `retryAfter` is in seconds, or null. `signInUrl`: where a sign-in
   * would help, the URL to navigate to with the encoded return path appended; else null.
   */
  constructor({ status, code, title, reason = null, retryAfter = null, signInUrl = null, correlationId = null }) {
    super(title);
    Object.assign(this, { name: "Problem", status, code, reason, retryAfter, signInUrl, correlationId });
  }
}

/** There is no session; `reason` is why the last one ended, if known. Offer to sign in. */
export class SignInRequired extends Problem {}

/**
 * The provider is unavailable and the access token has expired. The session is valid: wait `retryAfter`, do not sign in.
 * With a `signInUrl` the provider refuses to renew this session: retry as well, and offer a sign-in.
 */
export class ProviderUnavailable extends Problem {}

export class BffClient {
  /**
   * `onSignInRequired(problem)` is called for every 401. `onSignedOut(reason)` is called whenever `session()` finds no
   * session: the BFF returns the reason once, so one place has to receive it, whichever caller requested the session.
   */
  constructor({ onSignInRequired = () => {}, onSignedOut = () => {} } = {}) {
    Object.assign(this, { onSignInRequired, onSignedOut });
  }

  /** {authenticated: true, user, session} or {authenticated: false, reason}. */
  async session() {
    const answer = await (await this.fetch("/auth/session")).json();
    if (!answer.authenticated) this.onSignedOut(answer.reason ?? null);
    return answer;
  }

  /**
   * Like fetch, for this origin only. Throws a Problem for a response that is not a success.
   * `patience`: for this many seconds a GET that got 503 is retried, each time after Retry-After.
   */
  async fetch(path, { patience = 0, onWait = () => {}, ...init } = {}) {
    const headers = new Headers(init.headers);
    headers.set("X-CSRF", "1");
    const until = performance.now() + patience * 1000;
    for (;;) {
      const answer = await fetch(path, { ...init, headers, credentials: "same-origin", cache: "no-store" });
      if (answer.ok) return answer;
      const problem = await readProblem(answer);
      if (problem instanceof SignInRequired) this.onSignInRequired(problem);
      const wait = (problem.retryAfter ?? 1) * 1000;
      const again = answer.status === 503 && (init.method ?? "GET") === "GET";
      if (!again || performance.now() + wait > until) throw problem;
      onWait(problem);
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  /** The URL for a link or a navigation to sign in. It returns to `returnTo`, a path of this origin. */
  signInUrl(returnTo = "/") {
    return `/auth/login?return_to=${encodeURIComponent(returnTo)}`;
  }

  /** Ends the session. Resolves to the URL to navigate to for the sign-out at the provider, or null. */
  async signOut() {
    const answer = await this.fetch("/auth/logout", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: "{}",
    });
    return (await answer.json()).end_session_url;
  }
}

async function readProblem(answer) {
  let body = {};
  if ((answer.headers.get("Content-Type") ?? "").includes("json")) body = await answer.json().catch(() => ({}));
  const seconds = Number(answer.headers.get("Retry-After") ?? Number.NaN);
  const details = {
    status: answer.status,
    code: body.code ?? "unknown",
    title: body.title ?? `The response was ${answer.status}`,
    reason: body.reason ?? null,
    retryAfter: Number.isFinite(seconds) ? seconds : null,
    signInUrl: body.sign_in_url ?? null,
    correlationId: body.correlation_id ?? null,
  };
  if (answer.status === 401 && details.code === "sign_in_required") return new SignInRequired(details);
  if (answer.status === 503 && details.code === "provider_unavailable") return new ProviderUnavailable(details);
  return new Problem(details);
}
