import type { Schemas } from "./wire.js";

/** The events of `/auth/session/events`. Times are seconds by the clock of the server. */
export interface LiveEvents {
  /** The session has ended, and so does the stream. The browser would open it again unless it is closed. */
  ended: Schemas["SessionEndedEvent"];
  /** The session ends at `at`, unless something happens. */
  expiring: Schemas["SessionExpiringEvent"];
  /** It ends later than the stream last said. */
  renewed: Schemas["SessionRenewedEvent"];
  /** The user has signed in again. */
  signed_in: Schemas["SignedInEvent"];
}

/** Opens the stream. */
export function listen(url: URL, on: { [Name in keyof LiveEvents]: (event: LiveEvents[Name]) => void }): EventSource {
  const source = new EventSource(url, { withCredentials: true });
  for (const [name, handler] of Object.entries(on)) {
    source.addEventListener(name, (event: MessageEvent<string>) => handler(JSON.parse(event.data)));
  }
  return source;
}
