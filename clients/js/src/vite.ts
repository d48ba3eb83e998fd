import { setTimeout as pause } from "node:timers/promises";
import type { Logger, Plugin, ProxyOptions } from "vite";

export interface BffPluginOptions {
  /** Where the BFF listens. Default: the environment variable BFF_URL, else http://127.0.0.1:8080. */
  target?: string;
  /** The prefixes of the routes of the BFF (BFF_ROUTES). Default: `["/api"]`. */
  routes?: readonly string[];
  /** The path at which the provider returns (BFF_CALLBACK_PATH). */
  callbackPath?: string;
}

/**
 * Lets the BFF answer at the address of the development server, WebSockets included, so that the page and the BFF have one
 * origin as in production. The address of the development server has to be BFF_PUBLIC_URL, because the provider returns
 * there, and because the BFF refuses requests of other origins.
 */
export function bff(options: BffPluginOptions = {}): Plugin {
  const { routes = ["/api"], callbackPath = "/authorization-code/callback" } = options;
  const target = options.target ?? process.env["BFF_URL"] ?? "http://127.0.0.1:8080";
  // The request arrives as the browser sent it, with the Host of the development server.
  const proxied: ProxyOptions = {
    target,
    changeOrigin: false,
    ws: true,
    configure: (proxy) => proxy.on("error", () => void check()),
  };
  let check = async () => {};
  // Whole path segments: /authors and /apiary belong to the application.
  const patterns = ["/auth", callbackPath, ...routes].map((prefix) => `^${escape(prefix.replace(/\/$/, ""))}(?:[/?]|$)`);

  return {
    name: "okta-bff",
    apply: "serve",
    config: () => ({
      server: {
        strictPort: true, // on another port no sign-in would come back
        proxy: Object.fromEntries(patterns.map((pattern) => [pattern, proxied])),
      },
      preview: { strictPort: true, proxy: Object.fromEntries(patterns.map((pattern) => [pattern, proxied])) },
    }),
    configureServer(server) {
      const closing = new AbortController();
      check = createCheck(target, server.config.logger, closing.signal);
      server.httpServer?.once("listening", () => void check());
      server.httpServer?.once("close", () => closing.abort());
    },
  };
}

const PAUSE = 1000; // milliseconds between two questions

/** Asks whether the BFF answers. If not it says so, and asks again until it can say that the BFF is back. */
function createCheck(target: string, logger: Logger, closed: AbortSignal): () => Promise<void> {
  const ask = () =>
    fetch(new URL("/auth/session", target), { signal: closed }).then(
      (answer) => (answer.ok ? null : `The BFF at ${target} answers ${answer.status} to /auth/session`),
      () => `No BFF answers at ${target}. Start it, or set BFF_URL or the plugin's target`,
    );
  let running = false;
  return async () => {
    if (running) return;
    running = true;
    let said: string | undefined;
    for (let problem = await ask(); problem && !closed.aborted; problem = await ask()) {
      if (problem !== said) logger.warn((said = problem));
      await pause(PAUSE, null, { ref: false, signal: closed }).catch(() => {});
    }
    if (said && !closed.aborted) logger.info(`The BFF at ${target} answers`);
    running = false;
  };
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
