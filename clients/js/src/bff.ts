import { connect } from "./connection.js";
import { type BffProblem, SignInRequired } from "./problems.js";
import { type BffFetch, createFetch, type RequestOptions } from "./request.js";
import type { Session } from "./session.js";
import { createStore, type SessionStore, type StoreOptions } from "./session_store.js";
import { createSignIn, here, type SignInOptions, signInPath } from "./sign_in.js";
import type { OwnSession } from "./wire.js";

export interface BffOptions extends StoreOptions, RequestOptions {
  /** The origin of the BFF. Default: that of this page. */
  baseUrl?: string;
  /** The name of the header that shows that a request comes from this application. Default: X-CSRF. */
  csrfHeader?: string;
}

export interface SignOutOptions {
  /** Ends the user's sessions in all browsers, not only in this one. */
  everywhere?: boolean;
  /** Leaves the session at the provider, so that the next sign-in may need no password. */
  local?: boolean;
  /** Whether to navigate to the provider's sign-out. Default: true. */
  navigate?: boolean;
}

export interface Bff {
  readonly session: SessionStore;
  readonly fetch: BffFetch;
  /** In a popup: resolves to whether the user is signed in. As a redirect the page ends, and it never resolves. */
  signIn(options?: SignInOptions): Promise<boolean>;
  /**
   * Ends the session, then navigates to the provider's sign-out. Resolves to that address, or to null if there is none.
   * Throws Unavailable, and then the session goes on.
   */
  signOut(options?: SignOutOptions): Promise<string | null>;
  /** The sign-in that a problem asks for. Throws the problem if no sign-in would help. */
  stepUp(problem: BffProblem, options?: Pick<SignInOptions, "mode" | "returnTo">): Promise<boolean>;
  /** Extends the idle timeout: "I am still here". */
  extend(): Promise<Session>;
  readonly sessions: {
    /** The user's sessions, in this and in other browsers. */
    list(): Promise<OwnSession[]>;
    /** Ends one session, or all others. Resolves to the number of sessions that ended. */
    end(which: string | { others: true }): Promise<number>;
  };
  /** The URL of a path at the BFF. Throws TypeError for another origin. */
  url(path: string | URL): URL;
  /** What a request needs that `fetch` does not send, such as an upload by XMLHttpRequest. */
  readonly headers: Readonly<Record<string, string>>;
  /** Closes everything that is open; for tests and hot reloads. */
  close(): void;
}

/** A client of the BFF. Make one for each page. Nothing happens before it is used. */
export function createBff(options: BffOptions = {}): Bff {
  const connection = connect(options.baseUrl, options.csrfHeader);
  const store = createStore(connection, options);
  const fetch = createFetch(connection, store, options);
  const openSignIn = createSignIn(connection, store);

  // The BFF's own routes need no sign-in dialog: without a session they have nothing to do.
  const ownFetch = createFetch(connection, store, { maxWait: options.maxWait });
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const response = await ownFetch(path, {
      method,
      cache: "no-store",
      headers: { "Content-Type": "application/json" },
      body: body ? JSON.stringify(body) : null,
    });
    if (!response.ok) throw new TypeError(`${response.status} of ${path}`);
    return response.json() as Promise<T>;
  };
  const end = async (which: string | { others: true }) => {
    const { ended } = await call<{ ended: number }>("POST", "/auth/sessions/end", typeof which === "string" ? { id: which } : which);
    void store.refresh(true); // it may have been this one
    return ended;
  };

  return {
    session: store,
    fetch,
    signIn: (asked = {}) => openSignIn(signInPath(asked), asked.mode),
    async signOut({ everywhere, local = false, navigate = true } = {}) {
      if (everywhere) {
        await end({ others: true }).catch((problem) => {
          if (!(problem instanceof SignInRequired)) throw problem; // it has ended: only the provider's is left
        });
      }
      const { end_session_url: url } = await call<{ end_session_url: string | null }>("POST", "/auth/logout", { local });
      store.end("signed_out");
      if (url && navigate) location.assign(url);
      return url;
    },
    async stepUp(problem, { mode, returnTo } = {}) {
      if (!problem.signInUrl) throw problem;
      return openSignIn(problem.signInUrl + encodeURIComponent(returnTo ?? here()), mode);
    },
    async extend() {
      const at = Date.now();
      return store.take(await call("POST", "/auth/session/extend"), at) ?? store.get();
    },
    sessions: {
      list: async () => (await call<{ sessions: OwnSession[] }>("GET", "/auth/sessions")).sessions,
      end,
    },
    url: connection.url,
    headers: connection.headers,
    close: store.close,
  };
}
