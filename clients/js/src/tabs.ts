import type { Session } from "./session.js";

/** What one tab sends to the others: the session, as the answer to a question of the time `at`. */
export interface Message {
  readonly session: Session;
  readonly at: number;
}

/** All tabs of this browser. Each works alone where the browser has no Web Locks, as in an insecure context. */
export interface Tabs {
  /** False where no tab can lead: then each tab is on its own. */
  readonly canElect: boolean;
  open(): void;
  close(): void;
  send(message: Message): void;
  /** Calls `ask` unless another tab asks meanwhile. With `fresh` only a question that is asked after this call counts. */
  once(ask: () => Promise<void>, fresh: boolean): Promise<void>;
  /** Calls `lead` in one tab at a time, which leads until `signal` aborts or the tab is closed. */
  elect(lead: () => void, signal: AbortSignal): void;
}

const LOCKED_AT_MOST = 15_000; // milliseconds: a tab that hangs with the lock must not stop the others
const DELIVERED_WITHIN = 200; // milliseconds

export function createTabs(name: string, listener: (message: Message) => void): Tabs {
  const locks = globalThis.navigator?.locks as LockManager | undefined;
  let channel: BroadcastChannel | undefined;
  let lastAt = 0;
  let heardAt = 0;
  let wake = () => {};

  return {
    canElect: !!locks,
    open() {
      if (channel) return;
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }: MessageEvent<Message>) => {
        lastAt = data.at;
        heardAt = Date.now();
        wake();
        listener(data);
      };
    },
    close() {
      channel?.close();
      channel = undefined;
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
        // The lock may arrive here before the message of the tab that had it.
        if (!answered()) {
          await new Promise<void>((done) => {
            wake = done;
            setTimeout(done, DELIVERED_WITHIN);
          });
        }
        if (!answered()) await ask();
      };
      await locks.request(name, { signal: AbortSignal.timeout(LOCKED_AT_MOST) }, afterwards).catch(afterwards);
    },
    elect(lead, signal) {
      locks
        ?.request(`${name}:leader`, { signal }, () => {
          // Perhaps the session has ended, and the message of the tab that led until now is still under way.
          setTimeout(() => signal.aborted || lead(), DELIVERED_WITHIN);
          return new Promise<void>((done) => signal.addEventListener("abort", () => done()));
        })
        .catch(() => {}); // aborted while it waited
    },
  };
}
