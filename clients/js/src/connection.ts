/** The address of the BFF, and the header that proves to it that a request comes from this application. */
export interface Connection {
  readonly base: URL;
  /** The URL of a path at the BFF. Throws TypeError for another origin, which must get neither header nor cookie. */
  url(path: string | URL): URL;
  /** One request to a path of the BFF, with the cookie and the header. */
  send(input: string | Request, init?: RequestInit): Promise<Response>;
}

export function connect(baseUrl = "/", csrfHeader = "X-CSRF"): Connection {
  const base = new URL(baseUrl, globalThis.location?.href);
  const url = (path: string | URL) => {
    const found = new URL(path, base);
    if (found.origin !== base.origin) throw new TypeError(`${found.origin} is not the origin of the BFF`);
    return found;
  };
  return {
    base,
    url,
    async send(input, init = {}) {
      const request = typeof input === "string" ? null : input;
      const headers = new Headers(init.headers ?? request?.headers);
      headers.set(csrfHeader, "1");
      url(request?.url ?? (input as string));
      return fetch(request ?? url(input as string), { ...init, headers, credentials: "include" });
    },
  };
}
