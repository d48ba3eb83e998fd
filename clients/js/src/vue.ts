import {
  defineComponent,
  inject,
  type InjectionKey,
  onScopeDispose,
  type Plugin,
  readonly,
  type ShallowRef,
  shallowRef,
  type SlotsType,
} from "vue";
import type { Bff } from "./bff.js";
import type { Anonymous, Authenticated, Session } from "./session.js";

const KEY: InjectionKey<Bff> = Symbol("okta-bff");

/** `app.use(bffPlugin(createBff()))` gives the client to all components. */
export const bffPlugin = (bff: Bff): Plugin => ({ install: (app) => void app.provide(KEY, bff) });

/** The client. Throws in an app without the plugin. */
export function useBff(): Bff {
  const bff = inject(KEY, null);
  if (!bff) throw new Error("useBff needs app.use(bffPlugin(...))");
  return bff;
}

/** The session of now, until the component is unmounted. */
export function useSession(): Readonly<ShallowRef<Session>> {
  const { session } = useBff();
  const state = shallowRef(session.get());
  onScopeDispose(session.subscribe((next) => (state.value = next)));
  state.value = session.get(); // it may have changed while nothing listened
  return readonly(state) as Readonly<ShallowRef<Session>>;
}

/** Its slot, if there is a session, during an outage too; the slot `pending` while that is not known. */
export const SignedIn = defineComponent({
  name: "SignedIn",
  slots: Object as SlotsType<{ default: { session: Authenticated }; pending: object }>,
  setup(_, { slots }) {
    const state = useSession();
    return () => {
      const session = state.value;
      if (session.status === "authenticated") return slots.default?.({ session });
      return session.status === "anonymous" ? null : slots.pending?.({});
    };
  },
});

/** Its slot, if the BFF has said that there is no session. */
export const SignedOut = defineComponent({
  name: "SignedOut",
  slots: Object as SlotsType<{ default: { session: Anonymous } }>,
  setup(_, { slots }) {
    const state = useSession();
    return () => (state.value.status === "anonymous" ? slots.default?.({ session: state.value }) : null);
  },
});
