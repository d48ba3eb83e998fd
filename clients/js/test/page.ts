/** What a page has and Node lacks: one window with its events, Web Locks, EventSource. Each client is one tab. */
import { vi } from "vitest";

class Locks {
  private readonly held = new Set<string>();
  private readonly waiting: { name: string; take: () => void }[] = [];

  async request<T>(
    name: string,
    options: { ifAvailable?: boolean; signal?: AbortSignal },
    work: (lock: object | null) => Promise<T>,
  ): Promise<T> {
    if (this.held.has(name)) {
      if (options.ifAvailable) return work(null);
      await new Promise<void>((take, refuse) => {
        const entry = { name, take };
        this.waiting.push(entry);
        options.signal?.addEventListener("abort", () => {
          const place = this.waiting.indexOf(entry);
          if (place >= 0) {
            this.waiting.splice(place, 1);
            refuse(new DOMException("aborted", "AbortError"));
          }
        });
      });
    }
    this.held.add(name);
    try {
      return await work({ name });
    } finally {
      this.held.delete(name);
      const next = this.waiting.findIndex((entry) => entry.name === name);
      if (next >= 0) this.waiting.splice(next, 1)[0]!.take();
    }
  }
}

export class Stream extends EventTarget {
  static opened: Stream[] = [];
  static readonly CLOSED = 2;
  readyState = 0;
  onopen?: () => void;
  onerror?: () => void;

  constructor(readonly url: URL) {
    super();
    Stream.opened.push(this);
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  /** What the server sends. */
  emit(name: string, data: unknown): void {
    this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data) }));
  }

  fail(final: boolean): void {
    this.readyState = final ? 2 : 0;
    this.onerror?.();
  }

  close(): void {
    this.readyState = 2;
  }
}

export interface Page {
  readonly navigations: string[];
  readonly popups: { url: string; closed: boolean; opener: unknown }[];
  readonly document: EventTarget & { hidden: boolean };
  /** An event of the window, such as `focus`. */
  dispatch(name: string, properties?: object): void;
}

export const ORIGIN = "https://app.example.com";

/** Makes this process a page. Vitest removes it after the test. */
export function page({ locks = true, popups = true } = {}): Page {
  const events = new EventTarget();
  const navigations: string[] = [];
  const opened: Page["popups"] = [];
  const document = Object.assign(new EventTarget(), { hidden: false, visibilityState: "visible" });
  document.addEventListener("visibilitychange", () => events.dispatchEvent(new Event("visibilitychange"))); // bubbles
  Stream.opened = [];
  vi.stubGlobal("document", document);
  vi.stubGlobal("navigator", locks ? { locks: new Locks() } : {});
  vi.stubGlobal("EventSource", Stream);
  vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
  vi.stubGlobal("removeEventListener", events.removeEventListener.bind(events));
  vi.stubGlobal("location", {
    href: `${ORIGIN}/board?tab=2#top`,
    origin: ORIGIN,
    assign: (url: URL | string) => navigations.push(String(url)),
  });
  vi.stubGlobal("open", () => {
    if (!popups) return null;
    const popup = {
      url: "",
      closed: false,
      opener: {} as unknown,
      location: {
        set href(url: string) {
          popup.url = url;
        },
      },
    };
    opened.push(popup);
    return popup;
  });
  return {
    navigations,
    popups: opened,
    document,
    dispatch: (name, properties = {}) => events.dispatchEvent(Object.assign(new Event(name), properties)),
  };
}
