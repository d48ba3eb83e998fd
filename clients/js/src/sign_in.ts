import type { Connection } from "./connection.js";
import type { OwnStore } from "./session_store.js";
import type { Schemas } from "./wire.js";

export interface SignInOptions {
  /** The path, query and fragment to return to. Default: those of this page. Without effect in a popup. */
  returnTo?: string;
  /** `popup` keeps this page with all that the user typed. It needs a click, and a page on the BFF's origin. */
  mode?: "redirect" | "popup";
  /** The operator allows the values: BFF_ALLOWED_PROMPTS. */
  prompt?: string;
  /** The operator allows the values: BFF_ACR_VALUES. */
  acr?: string | readonly string[];
  /** Seconds since the last active sign-in at the provider. */
  maxAge?: number;
  loginHint?: string;
  /** The identity provider at Okta; the operator allows the values. */
  idp?: string;
}

/** The browser opened no popup, because there was no click, or because the user forbids popups. */
export class PopupBlocked extends Error {}

/** Opens the address, in this tab or in a popup. Resolves to whether the user is signed in afterwards. */
export type OpenSignIn = (url: string, mode?: "redirect" | "popup") => Promise<boolean>;

export const here = (): string => location.href.slice(location.origin.length);

/** The path of a sign-in. */
export function signInPath({ returnTo, prompt, acr, maxAge, loginHint, idp }: SignInOptions): string {
  const parameters = {
    prompt,
    acr_values: [acr ?? []].flat().join(" "),
    max_age: maxAge,
    login_hint: loginHint,
    idp,
    return_to: returnTo ?? here(),
  };
  const given = Object.entries(parameters).filter(([, value]) => value || value === 0);
  return `/auth/login?${new URLSearchParams(given as [string, string][])}`;
}

export function createSignIn(connection: Connection, store: OwnStore): OpenSignIn {
  return (path, mode) => {
    const url = connection.url(path);
    if (mode !== "popup") {
      location.assign(url);
      return new Promise(() => {}); // the page ends here
    }
    const id = crypto.randomUUID();
    url.searchParams.set("mode", "popup");
    url.searchParams.set("popup_id", id);
    const popup = open("", "_blank", "popup,width=500,height=700");
    if (!popup) return Promise.reject(new PopupBlocked("Blocked"));
    popup.opener = null; // the provider's pages could navigate this page
    popup.location.href = url.href;
    const before = store.get().deadlines?.signedInAt ?? 0;
    // Not by window.opener: the provider's pages may cut it (Cross-Origin-Opener-Policy).
    const channel = new BroadcastChannel("bff-sign-in");
    return new Promise((resolve) => {
      const finish = (signedIn: boolean) => {
        channel.close();
        removeEventListener("focus", returned);
        resolve(signedIn);
      };
      channel.onmessage = async ({ data }: MessageEvent<Schemas["SignInMessage"]>) => {
        if (data.id === id && data.outcome === "finished") finish(!!(await store.refresh(true)).user);
      };
      // Closed by the user, or cut: only a hint, so the BFF is asked.
      const returned = async () => {
        if (!popup.closed) return;
        const { deadlines } = await store.refresh(true);
        finish(!!deadlines && deadlines.signedInAt > before + 1500); // not a rounded second
      };
      addEventListener("focus", returned);
    });
  };
}
