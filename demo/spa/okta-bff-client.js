// Generated from clients/js by `npm run demo`.


// src/connection.ts
function connect(baseUrl = "/", csrfHeader = "X-CSRF") {
  const base = new URL(baseUrl, globalThis.location?.href ?? "http://localhost");
  const url = (path) => {
    const found = new URL(path, base);
    if (found.origin !== base.origin) throw new TypeError(`${found} is not at the BFF`);
    return found;
  };
  return {
    base,
    url,
    headers: { [csrfHeader]: "1" },
    async send(input, init = {}) {
      const request = typeof input === "string" ? null : input;
      const target = url(request?.url ?? input);
      const headers = new Headers(init.headers ?? request?.headers);
      headers.set(csrfHeader, "1");
      return fetch(request ?? target, { ...init, headers, credentials: "include" });
    }
  };
}

// src/problems.ts
var TYPE = "urn:okta-bff:problem:";
var BffProblem = class extends Error {
  constructor(problem, retryAfter2, forwarded) {
    super(problem.title);
    this.name = "BffProblem";
    this.code = problem.code;
    this.status = problem.status;
    this.problem = problem;
    this.retryAfter = retryAfter2;
    this.forwarded = forwarded;
    this.signInUrl = problem.sign_in_url ?? null;
  }
};
var SignInRequired = class extends BffProblem {
  /** Why the last session ended, if known. */
  get reason() {
    return this.problem.reason ?? null;
  }
};
var StepUpRequired = class extends BffProblem {
};
var CsrfRequired = class extends BffProblem {
};
var ForbiddenByRule = class extends BffProblem {
  get rules() {
    return this.problem.rules ?? [];
  }
};
var Unavailable = class extends BffProblem {
};
var CLASSES = {
  sign_in_required: SignInRequired,
  step_up_required: StepUpRequired,
  csrf_required: CsrfRequired,
  forbidden_by_rule: ForbiddenByRule
};
function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (!value) return null;
  const seconds = /^\d+$/.test(value) ? +value : (Date.parse(value) - Date.now()) / 1e3;
  return isNaN(seconds) ? null : Math.max(0, seconds);
}
async function problemOf(response) {
  const { headers } = response;
  const forwarded = headers.get("X-BFF-Forwarded");
  if (!forwarded || response.redirected || !headers.get("Content-Type")?.startsWith("application/problem+json")) {
    return null;
  }
  const body = await response.clone().json().catch(() => null);
  if (!String(body?.type).startsWith(TYPE)) return null;
  return new (CLASSES[body.code] ?? (response.status === 503 ? Unavailable : BffProblem))(
    body,
    retryAfter(response),
    forwarded !== "no"
  );
}

// src/request.ts
var SAFE = /^(get|head|options)$/i;
function createFetch(connection, store, options) {
  let signingIn;
  async function signedInAgain(problem) {
    if (problem instanceof SignInRequired) {
      if ((await store.refresh(true)).user) return true;
    } else if (!(problem instanceof StepUpRequired)) return false;
    signingIn ??= Promise.resolve(options.onSignInRequired?.(problem) ?? false).finally(() => signingIn = void 0);
    return signingIn;
  }
  return async (input, init = {}) => {
    const { maxWait = options.maxWait ?? 3e4, onWait, ...rest } = init;
    const request = input instanceof Request ? input : null;
    const safe = SAFE.test(rest.method ?? request?.method ?? "get");
    const sendable = !(rest.body instanceof ReadableStream);
    const signal = rest.signal ?? request?.signal;
    const until = Date.now() + maxWait;
    const user = store.user();
    for (let renewed = false; ; ) {
      const response = await connection.send(request?.clone() ?? String(input), rest);
      const problem = await problemOf(response);
      const again = sendable && (safe || problem?.forwarded === false);
      const seconds = retryAfter(response);
      if (response.status === 503 && again && seconds !== null) {
        const wait = Math.max(seconds * 1e3, 250) * (1 + Math.random() / 4);
        if (Date.now() + wait <= until) {
          onWait?.(problem);
          void response.body?.cancel().catch(() => {
          });
          await sleep(wait, signal);
          continue;
        }
      }
      if (!problem) {
        if (store.get().expiring) void store.refresh();
        return response;
      }
      if (!renewed && await signedInAgain(problem) && again && (safe || !user || user.sub === store.get().user?.sub)) {
        renewed = true;
        continue;
      }
      throw problem;
    }
  };
}
var sleep = (milliseconds, signal) => new Promise((resolve, reject) => {
  setTimeout(resolve, milliseconds);
  signal?.addEventListener("abort", () => reject(signal.reason));
});

// src/live_events.ts
function listen(url, on) {
  const source = new EventSource(url, { withCredentials: true });
  for (const [name, handler] of Object.entries(on)) {
    source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
  }
  return source;
}

// src/session.ts
var UNKNOWN = { user: null, deadlines: null, expiring: null, reason: null, stale: false };
var PENDING = { status: "pending", ...UNKNOWN };
var anonymous = (reason) => ({ status: "anonymous", ...UNKNOWN, reason });
var UNAVAILABLE = { status: "unavailable", ...UNKNOWN };
var unanswered = (known) => known.status === "pending" ? UNAVAILABLE : { ...known, stale: known.status !== "unavailable" };
function read(body, known, now) {
  const answer = body;
  if (answer?.authenticated === true) {
    const { now: theirs, ...times } = answer.session;
    const local = (seconds) => Math.round(now / 1e3 + seconds - theirs) * 1e3;
    return {
      ...UNKNOWN,
      status: "authenticated",
      user: answer.user,
      deadlines: {
        signedInAt: local(times.signed_in_at),
        idleEndsAt: local(times.idle_ends_at),
        endsAt: local(times.ends_at)
      }
    };
  }
  return answer?.authenticated === false ? anonymous(answer.reason ?? known.reason) : null;
}
var endOf = ({ deadlines }) => Math.min(deadlines.idleEndsAt, deadlines.endsAt);
function expiring(session, now, lead) {
  const at = endOf(session);
  return at - now <= lead ? { at, reason: at < session.deadlines.endsAt ? "idle_timeout" : "absolute_timeout" } : null;
}

// src/tabs.ts
var LOCKED_AT_MOST = 15e3;
var DELIVERED_WITHIN = 200;
function createTabs(name, listener) {
  const locks = globalThis.navigator?.locks;
  let channel;
  let lastAt = 0;
  let heardAt = 0;
  let wake = () => {
  };
  return {
    canElect: !!locks,
    open() {
      if (channel) return;
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => {
        lastAt = data.at;
        heardAt = Date.now();
        wake();
        listener(data);
      };
    },
    close() {
      channel?.close();
      channel = void 0;
    },
    send(message) {
      channel?.postMessage(message);
    },
    async once(ask, fresh) {
      const since = Date.now();
      const answered = () => (fresh ? lastAt : heardAt) >= since;
      if (!locks) return ask();
      const free = await locks.request(name, { ifAvailable: true }, async (lock) => {
        if (lock) await ask();
        return lock;
      });
      if (free) return;
      const afterwards = async () => {
        if (!answered()) {
          await new Promise((done) => {
            wake = done;
            setTimeout(done, DELIVERED_WITHIN);
          });
        }
        if (!answered()) await ask();
      };
      await locks.request(name, { signal: AbortSignal.timeout(LOCKED_AT_MOST) }, afterwards).catch(afterwards);
    },
    elect(lead, signal) {
      locks?.request(`${name}:leader`, { signal }, () => {
        setTimeout(() => signal.aborted || lead(), DELIVERED_WITHIN);
        return new Promise((done) => signal.addEventListener("abort", () => done()));
      }).catch(() => {
      });
    }
  };
}

// src/session_store.ts
var TICK = 15e3;
var STREAM_AGAIN = 6e4;
function createStore(connection, options) {
  const { idleWarning = 12e4, events = true, pollInterval = 6e4 } = options;
  const tabs = createTabs(`okta-bff:${connection.base.href}`, learn);
  const listeners = /* @__PURE__ */ new Set();
  let state = PENDING;
  let user = null;
  let askedAt = 0;
  let failures = 0;
  let pause = null;
  let idleTimeout = 0;
  let running;
  let timer;
  let started;
  let candidate;
  let polls = !tabs.canElect;
  const lead = () => Math.min(idleWarning, idleTimeout / 4);
  const due = (session) => endOf(session) - (session.expiring ? 0 : lead());
  function set(next) {
    if (next.status === "authenticated") {
      const now = Date.now();
      idleTimeout = Math.max(idleTimeout, next.deadlines.idleEndsAt - now);
      next = { ...next, expiring: next.expiring ?? expiring(next, now, lead()) };
      if (!next.stale) look(Math.min(TICK, Math.max(2e3, due(next) - now)));
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
  function learn({ session, at }) {
    if (at < askedAt && askedAt <= Date.now() && state.status !== "pending") return;
    askedAt = at;
    if (session.status !== "unavailable") return set(session);
    set(unanswered(state));
    look(1e3 * Math.min(30, pause ?? 2 ** failures++) * (1 + Math.random() / 4));
  }
  function share(session, at = Date.now()) {
    tabs.send({ session, at });
    learn({ session, at });
  }
  function take(body, at) {
    const found = read(body, state, Date.now());
    if (found) share(found, at);
    return found;
  }
  async function ask() {
    const at = askedAt = Date.now();
    pause = null;
    try {
      const response = await connection.send("/auth/session", { cache: "no-store", signal: AbortSignal.timeout(1e4) });
      pause = retryAfter(response);
      if (response.ok && take(await response.json(), at)) {
        failures = 0;
        return;
      }
    } catch {
    }
    share(UNAVAILABLE, at);
  }
  function refresh(fresh = false) {
    if (running && !fresh) return running;
    tabs.open();
    const mine = tabs.once(ask, fresh).then(() => {
      if (running === mine) running = void 0;
      return state;
    });
    return running = mine;
  }
  function look(after) {
    clearTimeout(timer);
    if (!started) return;
    const planned = Date.now() + after;
    timer = setTimeout(() => {
      const now = Date.now();
      const slept = now > planned + 2 * TICK && !document.hidden;
      const asks = polls && now > askedAt + pollInterval;
      const near = state.user && now >= due(state);
      if (!state.user || state.stale || slept || asks || near) void refresh();
      else set(state);
    }, after);
  }
  function follow() {
    if (candidate || !started) return;
    const { signal } = candidate = new AbortController();
    const stream = () => {
      if (signal.aborted || !events) return;
      const moved = ({ at, now }) => {
        if (!state.user) return;
        const idleEndsAt = Date.now() + (at - now) * 1e3;
        share({ ...state, expiring: null, deadlines: { ...state.deadlines, idleEndsAt } });
      };
      const source = listen(connection.url("/auth/session/events"), {
        ended({ reason }) {
          share(anonymous(reason));
          if (reason === "replaced") void refresh(true);
        },
        expiring(event) {
          idleTimeout = Math.max(idleTimeout, 4e3 * (event.at - event.now));
          moved(event);
        },
        renewed: moved,
        signed_in: () => void refresh(true)
      });
      source.onopen = () => {
        polls = false;
        if (Date.now() > askedAt + 1e3) void refresh(true);
      };
      source.onerror = () => {
        polls = true;
        if (source.readyState < 2) return;
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
  function unfollow() {
    candidate?.abort();
    candidate = void 0;
    polls = !tabs.canElect;
  }
  function suspend() {
    clearTimeout(timer);
    unfollow();
    tabs.close();
  }
  function start() {
    if (started || !globalThis.document) return;
    const { signal } = started = new AbortController();
    const on = (event, listener) => addEventListener(event, listener, { signal });
    const seen = () => {
      if (!document.hidden && Date.now() > askedAt + 1e3) void refresh();
    };
    on("focus", seen);
    on("online", seen);
    on("visibilitychange", seen);
    on("pagehide", suspend);
    on("pageshow", ({ persisted }) => {
      if (!persisted) return;
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
      started = void 0;
      suspend();
      listeners.clear();
    }
  };
}

// src/sign_in.ts
var PopupBlocked = class extends Error {
};
var here = () => location.href.slice(location.origin.length);
function signInPath({ returnTo, prompt, acr, maxAge, loginHint, idp }) {
  const parameters = {
    prompt,
    acr_values: [acr ?? []].flat().join(" "),
    max_age: maxAge,
    login_hint: loginHint,
    idp,
    return_to: returnTo ?? here()
  };
  const given = Object.entries(parameters).filter(([, value]) => value || value === 0);
  return `/auth/login?${new URLSearchParams(given)}`;
}
function createSignIn(connection, store) {
  return (path, mode) => {
    const url = connection.url(path);
    if (mode !== "popup") {
      location.assign(url);
      return new Promise(() => {
      });
    }
    const id = crypto.randomUUID();
    url.searchParams.set("mode", "popup");
    url.searchParams.set("popup_id", id);
    const popup = open("", "_blank", "popup,width=500,height=700");
    if (!popup) return Promise.reject(new PopupBlocked("Blocked"));
    popup.opener = null;
    popup.location.href = url.href;
    const before = store.get().deadlines?.signedInAt ?? 0;
    const channel = new BroadcastChannel("bff-sign-in");
    return new Promise((resolve) => {
      const finish = (signedIn) => {
        channel.close();
        removeEventListener("focus", returned);
        resolve(signedIn);
      };
      channel.onmessage = async ({ data }) => {
        if (data.id === id && data.outcome === "finished") finish(!!(await store.refresh(true)).user);
      };
      const returned = async () => {
        if (!popup.closed) return;
        const { deadlines } = await store.refresh(true);
        finish(!!deadlines && deadlines.signedInAt > before + 1500);
      };
      addEventListener("focus", returned);
    });
  };
}

// src/bff.ts
function createBff(options = {}) {
  const connection = connect(options.baseUrl, options.csrfHeader);
  const store = createStore(connection, options);
  const fetch2 = createFetch(connection, store, options);
  const openSignIn = createSignIn(connection, store);
  const ownFetch = createFetch(connection, store, { maxWait: options.maxWait });
  const call = async (method, path, body) => {
    const response = await ownFetch(path, {
      method,
      cache: "no-store",
      headers: { "Content-Type": "application/json" },
      body: body ? JSON.stringify(body) : null
    });
    if (!response.ok) throw new TypeError(`${response.status} of ${path}`);
    return response.json();
  };
  const end = async (which) => {
    const { ended } = await call("POST", "/auth/sessions/end", typeof which === "string" ? { id: which } : which);
    void store.refresh(true);
    return ended;
  };
  return {
    session: store,
    fetch: fetch2,
    signIn: (asked = {}) => openSignIn(signInPath(asked), asked.mode),
    async signOut({ everywhere, local = false, navigate = true } = {}) {
      if (everywhere) {
        await end({ others: true }).catch((problem) => {
          if (!(problem instanceof SignInRequired)) throw problem;
        });
      }
      const { end_session_url: url } = await call("POST", "/auth/logout", { local });
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
      list: async () => (await call("GET", "/auth/sessions")).sessions,
      end
    },
    url: connection.url,
    headers: connection.headers,
    close: store.close
  };
}

// src/streams.ts
var SESSION_ENDED = 4401;
var TOKEN_EXPIRED = 4408;
var LOST = [1001, 1005, 1006, 1011, 1012, 1013, 1014];
var SETTLED = 5e3;
var LONGEST_PAUSE = 3e4;
function pauses() {
  let failures = 0;
  let openedAt = 0;
  let timer;
  return {
    opened: () => openedAt = Date.now(),
    /** Calls `open` after a pause, which is none if `atOnce` and the connection lasted. */
    again(open2, atOnce = false) {
      const lasted = openedAt && Date.now() - openedAt > SETTLED;
      failures = lasted ? 0 : failures + 1;
      openedAt = 0;
      const pause = atOnce && lasted ? 0 : Math.min(1e3 * 2 ** failures, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
      timer = setTimeout(open2, pause);
    },
    stop: () => clearTimeout(timer)
  };
}
function openWebSocket(bff, path, options = {}) {
  const url = bff.url(path);
  url.protocol = url.protocol.replace("http", "ws");
  const attempts = pauses();
  let socket;
  let closed = false;
  function open2() {
    socket = new WebSocket(url, options.protocols);
    socket.onopen = () => {
      attempts.opened();
      options.onOpen?.(socket);
    };
    socket.onmessage = (event) => options.onMessage?.(event);
    socket.onclose = async (event) => {
      if (closed) return;
      options.onLost?.();
      if (event.code === TOKEN_EXPIRED) return attempts.again(open2, true);
      const lost = LOST.includes(event.code);
      const session = lost || event.code === SESSION_ENDED ? await bff.session.refresh(true) : null;
      if (closed) return;
      if (lost && session?.status !== "anonymous") return attempts.again(open2);
      closed = true;
      options.onEnd?.(event);
    };
  }
  open2();
  return {
    send(data) {
      const ready = socket.readyState === WebSocket.OPEN;
      if (ready) socket.send(data);
      return ready;
    },
    close() {
      closed = true;
      attempts.stop();
      socket.close();
    }
  };
}
function openEventSource(bff, path, options) {
  const attempts = pauses();
  let source;
  let closed = false;
  function open2() {
    source = new EventSource(bff.url(path), { withCredentials: true });
    source.onopen = () => {
      attempts.opened();
      options.onOpen?.();
    };
    source.onerror = async () => {
      options.onLost?.();
      if (source.readyState !== EventSource.CLOSED) return;
      const session = await bff.session.refresh(true);
      if (closed) return;
      if (session.status !== "anonymous") return attempts.again(open2);
      closed = true;
      options.onEnd?.();
    };
    for (const [name, handler] of Object.entries(options.on)) source.addEventListener(name, handler);
  }
  open2();
  return {
    close() {
      closed = true;
      attempts.stop();
      source.close();
    }
  };
}
export {
  BffProblem,
  CsrfRequired,
  ForbiddenByRule,
  PopupBlocked,
  SignInRequired,
  StepUpRequired,
  Unavailable,
  createBff,
  openEventSource,
  openWebSocket
};
