import {
  createContext,
  createElement,
  type FunctionComponent,
  type PropsWithChildren,
  type ReactNode,
  useContext,
  useEffect,
  useState,
  useSyncExternalStore,
} from "react";
import type { Bff } from "./bff.js";
import type { Anonymous, Authenticated, Expiring, Session } from "./session.js";

export { retryDelay, retryMutation, retryQuery } from "./query.js";

const Context = createContext<Bff | null>(null);

/** Gives the client to all components below. */
export const BffProvider: FunctionComponent<PropsWithChildren<{ bff: Bff }>> = ({ bff, children }) =>
  createElement(Context.Provider, { value: bff }, children);

/** The client. Throws outside of a BffProvider. */
export function useBff(): Bff {
  const bff = useContext(Context);
  if (!bff) throw new Error("useBff needs a <BffProvider> around it");
  return bff;
}

/** The session of now; the component renders again when it changes. */
export function useSession(): Session {
  const { session } = useBff();
  return useSyncExternalStore(session.subscribe, session.get, session.get);
}

type Content<S> = ReactNode | ((session: S) => ReactNode);

const render = <S>(content: Content<S>, session: S): ReactNode =>
  typeof content === "function" ? (content as (session: S) => ReactNode)(session) : content;

export interface SignedInProps {
  /** Shown while there is a session, during an outage too. */
  children?: Content<Authenticated>;
  /** Shown while it is not known whether there is a session. */
  pending?: ReactNode;
}

/** Its content, if there is a session. */
export function SignedIn({ children, pending }: SignedInProps): ReactNode {
  const session = useSession();
  if (session.status === "authenticated") return render(children, session);
  return session.status === "anonymous" ? null : pending;
}

/** Its content, if the BFF has said that there is no session. */
export function SignedOut({ children }: { children?: Content<Anonymous> }): ReactNode {
  const session = useSession();
  return session.status === "anonymous" ? render(children, session) : null;
}

export interface IdleWarning extends Expiring {
  /** Until the end of the session. */
  readonly secondsLeft: number;
  /** "I am still here." */
  readonly extend: () => Promise<Session>;
}

/** While the session ends soon: the countdown, once a second. Otherwise null. */
export function useIdleWarning(): IdleWarning | null {
  const bff = useBff();
  const { expiring } = useSession();
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!expiring) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [expiring]);
  return expiring && { ...expiring, secondsLeft: Math.max(0, Math.ceil((expiring.at - now) / 1000)), extend: bff.extend };
}
