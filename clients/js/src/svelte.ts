import type { Bff } from "./bff.js";
import type { Session } from "./session.js";

/** The store contract of Svelte: `$session` in a component; with runes `fromStore(session).current`. */
export interface SessionReadable {
  subscribe(run: (session: Session) => void): () => void;
}

/** The session as a Svelte store. */
export const sessionStore = ({ session }: Bff): SessionReadable => ({
  subscribe(run) {
    run(session.get());
    return session.subscribe(run);
  },
});
