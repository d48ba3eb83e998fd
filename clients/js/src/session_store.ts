import type { Connection } from "./connection.js";
import { listen } from "./live_events.js";
import { retryAfter } from "./problems.js";
import {
  anonymous,
  type Authenticated,
  endOf,
  expiring,
  PENDING,
  read,
  type Session,
  UNAVAILABLE,
  unanswered,
} from "./session.js";
import { createTabs, type Message } from "./tabs.js";
import type { EndReason, User } from "./wire.js";

export interface StoreOptions {
  /** Milliseconds before the end at which `expiring` is set. Default: two minutes, or a quarter of a short idle timeout. */
  idleWarning?: number;
  /** Whether to hear of an end at once, by an event stream that one tab holds for all. Default: true. */
  events?: boolean;
  /** Milliseconds between two questions while there is no event stream. Default: a minute. */
  pollInterval?: number;
}

/** The session as all tabs of this browser see it. */
export interface SessionStore {
  /** The latest state: the same object until something changes. */
  get(): Session;
  /** Calls `listener` after every change. Returns what ends that. */
  subscribe(listener: (session: Session) => void): () => void;
  /** The first state that is not `pending`. */
  ready(): Promise<Session>;
  /**
   * Asks the BFF, or waits for the answer that another tab gets meanwhile. With `fresh` the question is asked after this
   * call. Never rejects, because an outage is a state.
   */
  refresh(fresh?: boolean): Promise<Session>;
}

/** What the package itself does with the store. */
export interface OwnStore extends SessionStore {
  /** The latest user, also after the session has ended: whose input the page may still have. */
  user(): User | null;
  /** Takes the body of an answer to a request of the time `at`. */
  take(body: unknown, at: number): Session | null;
  end(reason: EndReason | null): void;
  close(): void;
}

const TICK = 15_000;
const STREAM_AGAIN = 60_000;

export function createStore(connection: Connection, options: StoreOptions): OwnStore {
  const { idleWarning = 120_000, events = true, pollInterval = 60_000 } = options;
  const tabs = createTabs(`okta-bff:${connection.base.href}`, learn);
  const listeners = new Set<(session: Session) => void>();
  let state = PENDING;
  let user: User | null = null;
  let askedAt = 0;
  let failures = 0;
  let pause: number | null = null; // seconds, of Retry-After
  let idleTimeout = 0; // at least this long, from what was seen
  let running: Promise<Session> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let started: AbortController | undefined;
  let candidate: AbortController | undefined;
  let polls = !tabs.canElect;

  const lead = () => Math.min(idleWarning, idleTimeout / 4);
  /** The time of the warning, or of the end once the warning is given. */
  const due = (session: Authenticated) => endOf(session) - (session.expiring ? 0 : lead());

  function set(next: Session): void {
    if (next.status === "authenticated") {
      const now = Date.now();
      idleTimeout = Math.max(idleTimeout, next.deadlines.idleEndsAt - now);
      next = { ...next, expiring: next.expiring ?? expiring(next, now, lead()) };
      // At least two seconds: the server decides about the end, and its clock may be behind.
      if (!next.stale) look(Math.min(TICK, Math.max(2_000, due(next) - now)));
    }
    if (JSON.stringify(next) !== JSON.stringify(state)) {
      state = next;
      for (const listener of [...listeners]) listener(next);
    }
    user = state.user ?? user;
    if (state.user) follow();
    else if (state.status === "anonymous") {
      unfollow();
      if (!state.stale) clearTimeout(timer);
    }
  }

  function learn({ session, at }: Message): void {
    // The answer to an older question says nothing new, unless the clock was put back.
    if (at < askedAt && askedAt <= Date.now() && state.status !== "pending") return;
    askedAt = at;
    if (session.status !== "unavailable") return set(session);
    set(unanswered(state));
    look(1000 * Math.min(30, pause ?? 2 ** failures++) * (1 + Math.random() / 4));
  }

  function share(session: Session, at = Date.now()): void {
    tabs.send({ session, at });
    learn({ session, at });
  }

  function take(body: unknown, at: number): Session | null {
    const found = read(body, state, Date.now());
    if (found) share(found, at);
    return found;
  }

  async function ask(): Promise<void> {
    const at = (askedAt = Date.now());
    pause = null;
    try {
      const response = await connection.send("/auth/session", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
      pause = retryAfter(response);
      if (response.ok && take(await response.json(), at)) {
        failures = 0;
        return;
      }
    } catch {
      // No answer, or not one of the BFF: it says nothing about the session.
    }
    share(UNAVAILABLE, at);
  }

  function refresh(fresh = false): Promise<Session> {
    if (running && !fresh) return running;
    tabs.open();
    const mine = tabs.once(ask, fresh).then(() => {
      if (running === mine) running = undefined;
      return state;
    });
    return (running = mine);
  }

  /** Looks at the clock after so many milliseconds. */
  function look(after: number): void {
    clearTimeout(timer);
    if (!started) return;
    const planned = Date.now() + after;
    timer = setTimeout(() => {
      const now = Date.now();
      const slept = now > planned + 2 * TICK && !document.hidden;
      const asks = polls && now > askedAt + pollInterval;
      // Other tabs extend the idle timeout too, so the BFF is asked before a warning.
      const near = state.user && now >= due(state);
      if (!state.user || state.stale || slept || asks || near) void refresh();
      else set(state);
    }, after);
  }

  function follow(): void {
    if (candidate || !started) return;
    const { signal } = (candidate = new AbortController());
    const stream = () => {
      if (signal.aborted || !events) return;
      const moved = ({ at, now }: { at: number; now: number }) => {
        if (!state.user) return;
        const idleEndsAt = Date.now() + (at - now) * 1000;
        share({ ...state, expiring: null, deadlines: { ...state.deadlines, idleEndsAt } });
      };
      const source = listen(connection.url("/auth/session/events"), {
        ended({ reason }) {
          share(anonymous(reason));
          if (reason === "replaced") void refresh(true); // by the sign-in of another user
        },
        expiring(event) {
          idleTimeout = Math.max(idleTimeout, 4000 * (event.at - event.now)); // the server warns in its last quarter
          moved(event);
        },
        renewed: moved,
        signed_in: () => void refresh(true),
      });
      source.onopen = () => {
        polls = false;
        if (Date.now() > askedAt + 1000) void refresh(true); // nothing is replayed
      };
      source.onerror = () => {
        polls = true;
        if (source.readyState < 2) return; // the browser opens it again
        void refresh(true);
        setTimeout(stream, STREAM_AGAIN);
      };
      signal.addEventListener("abort", () => source.close());
    };
    tabs.elect(() => {
      polls = true;
      stream();
    }, signal);
  }

  function unfollow(): void {
    candidate?.abort();
    candidate = undefined;
    polls = !tabs.canElect;
  }

  /** A page in the back/forward cache must hold neither a channel nor a lock. */
  function suspend(): void {
    clearTimeout(timer);
    unfollow();
    tabs.close();
  }

  function start(): void {
    if (started || !globalThis.document) return;
    const { signal } = (started = new AbortController());
    const on = (event: string, listener: (event: PageTransitionEvent) => void) =>
      addEventListener(event, listener as EventListener, { signal });
    const seen = () => {
      if (!document.hidden && Date.now() > askedAt + 1000) void refresh();
    };
    on("focus", seen);
    on("online", seen);
    on("visibilitychange", seen);
    on("pagehide", suspend);
    on("pageshow", ({ persisted }) => {
      if (!persisted) return;
      // The page shows the state of the time when it was left. The session may have ended meanwhile.
      set(PENDING);
      void refresh(true);
    });
    void refresh();
  }

  return {
    get: () => state,
    user: () => user,
    subscribe(listener) {
      listeners.add(listener);
      start();
      return () => listeners.delete(listener);
    },
    async ready() {
      start();
      return state.status === "pending" ? refresh() : state;
    },
    refresh,
    take,
    end: (reason) => share(anonymous(reason)),
    close() {
      started?.abort();
      started = undefined;
      suspend();
      listeners.clear();
    },
  };
}
