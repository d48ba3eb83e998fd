// @vitest-environment happy-dom
// @vitest-environment-options { "url": "https://app.example.com/board" }
import "@angular/compiler";
import { HttpErrorResponse, HttpHeaders, HttpRequest, HttpResponse } from "@angular/common/http";
import { createEnvironmentInjector, type EnvironmentInjector, runInInjectionContext } from "@angular/core";
import { firstValueFrom, of, throwError } from "rxjs";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { BFF, bffInterceptor, injectSession, provideBff, signedInGuard } from "../src/angular.js";
import { type Bff, createBff, SignInRequired } from "../src/index.js";
import { Server } from "./server.js";

let server: Server;
let bff: Bff;
let injector: EnvironmentInjector;

beforeEach(() => {
  server = new Server();
  bff = createBff({ events: false });
  injector = createEnvironmentInjector([provideBff(bff)], null as unknown as EnvironmentInjector);
});

afterEach(() => {
  injector.destroy();
  bff.close();
});

const inContext = <T>(work: () => T): T => runInInjectionContext(injector, work);

it("has the session as a signal", async () => {
  expect(injector.get(BFF)).toBe(bff);
  const session = inContext(injectSession);
  expect(session().status).toBe("pending");
  await vi.waitFor(() => expect(session().user?.sub).toBe("alice"), { timeout: 30_000 });
});

it("guards a route", async () => {
  expect(await inContext(() => signedInGuard({}, { url: "/orders" }))).toBe(true);
});

it("gives the header to requests to the BFF only", async () => {
  const sent: HttpRequest<unknown>[] = [];
  const next = (request: HttpRequest<unknown>) => {
    sent.push(request);
    return of(new HttpResponse({ status: 200 }));
  };
  for (const url of ["/api/orders", "https://elsewhere.example/x"]) {
    await firstValueFrom(inContext(() => bffInterceptor(new HttpRequest("GET", url), next)));
  }
  expect(sent.map((each) => [each.headers.get("X-CSRF"), each.withCredentials])).toEqual([["1", true], [null, false]]);
});

it("throws the problems of the BFF, and leaves an upstream's own errors", async () => {
  const failing = (marker?: string) =>
    new HttpErrorResponse({
      status: 401,
      url: "https://app.example.com/api",
      error: { type: "urn:okta-bff:problem:sign_in_required", title: "t", status: 401, code: "sign_in_required" },
      headers: new HttpHeaders({ "Content-Type": "application/problem+json", ...(marker && { "X-BFF-Forwarded": marker }) }),
    });
  const thrown = (error: HttpErrorResponse) =>
    firstValueFrom(inContext(() => bffInterceptor(new HttpRequest("GET", "/api"), () => throwError(() => error)))).catch(
      (each: unknown) => each,
    );
  expect(await thrown(failing("no"))).toBeInstanceOf(SignInRequired);
  await vi.waitFor(() => expect(server.count("/auth/session")).toBe(1), { timeout: 30_000 });
  expect(await thrown(failing())).toBeInstanceOf(HttpErrorResponse);
});
