import type { EndReason, Schemas } from "./wire.js";

/** What the events of `/auth/session/events` say. Times are seconds by the clock of the server. */
export interface LiveEvents {
  opened(): void;
  ended(reason: EndReason | null): void;
  /** The end of the session, unless something happens. */
  endsAt(at: number, now: number, expiring: boolean): void;
  signedIn(): void;
  /** The connection is lost; `final` if the browser does not open it again. */
  lost(final: boolean): void;
}

/** Opens the stream of session events. Returns what closes it. */
export function listen(url: URL, on: LiveEvents): () => void {
  const source = new EventSource(url, { withCredentials: true });
  const close = () => source.close();
  source.onopen = on.opened;
  source.onerror = () => on.lost(source.readyState === 2);
  const handle = <E>(name: string, handler: (data: E) => void) =>
    source.addEventListener(name, (event: MessageEvent<string>) => handler(JSON.parse(event.data)));
  handle("ended", ({ reason }: Schemas["SessionEndedEvent"]) => {
    close(); // before the end of the stream, at which the browser would open it again
    on.ended(reason);
  });
  handle("expiring", ({ at, now }: Schemas["SessionExpiringEvent"]) => on.endsAt(at, now, true));
  handle("renewed", ({ at, now }: Schemas["SessionRenewedEvent"]) => on.endsAt(at, now, false));
  handle("signed_in", on.signedIn);
  return close;
}
