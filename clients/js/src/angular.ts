import { HttpErrorResponse, type HttpInterceptorFn } from "@angular/common/http";
import {
  DestroyRef,
  type EnvironmentProviders,
  inject,
  InjectionToken,
  makeEnvironmentProviders,
  type Signal,
  signal,
} from "@angular/core";
import { catchError, from, switchMap } from "rxjs";
import type { Bff } from "./bff.js";
import { problemOf, SignInRequired } from "./problems.js";
import type { Session } from "./session.js";

/** The client: `inject(BFF)`. */
export const BFF = new InjectionToken<Bff>("okta-bff");

/** Gives the client to the application: `bootstrapApplication(App, { providers: [provideBff(createBff())] })`. */
export const provideBff = (bff: Bff): EnvironmentProviders => makeEnvironmentProviders([{ provide: BFF, useValue: bff }]);

/** The session of now, until the component is destroyed. Needs an injection context. */
export function injectSession(): Signal<Session> {
  const { session } = inject(BFF);
  const state = signal(session.get());
  inject(DestroyRef).onDestroy(session.subscribe((next) => state.set(next)));
  return state.asReadonly();
}

/** A guard for routes: starts a sign-in that returns to the wanted address. */
export const signedInGuard = async (_route: unknown, { url }: { url: string }): Promise<boolean> => {
  const bff = inject(BFF);
  const session = await bff.session.ready();
  return session.status === "anonymous" ? bff.signIn({ returnTo: url }) : true;
};

/**
 * For HttpClient: `provideHttpClient(withInterceptors([bffInterceptor]))`. Adds the header and turns the problems of the BFF
 * into the classes of this package. It repeats nothing: use `inject(BFF).fetch` where an outage is to be waited out.
 */
export const bffInterceptor: HttpInterceptorFn = (request, next) => {
  const bff = inject(BFF);
  try {
    bff.url(request.url);
  } catch {
    return next(request); // of another origin
  }
  const sent = request.clone({ setHeaders: bff.headers, withCredentials: true });
  return next(sent).pipe(
    catchError((error: unknown) =>
      from(problem(error)).pipe(
        switchMap((found) => {
          if (found instanceof SignInRequired) void bff.session.refresh(true);
          throw found ?? error;
        }),
      ),
    ),
  );
};

async function problem(error: unknown) {
  if (!(error instanceof HttpErrorResponse) || !error.status) return null;
  const { error: body, headers, status } = error;
  const copy = new Headers(headers.keys().map((name): [string, string] => [name, headers.get(name)!]));
  return problemOf(new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers: copy }));
}
