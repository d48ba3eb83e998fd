/** The address of the BFF, and the header that proves to it that a request comes from this application. */
export interface Connection {
  readonly base: URL;
  /** The URL of a path at the BFF. Throws TypeError for another origin, which must get neither header nor cookie. */
  url(path: string | URL): URL;
  readonly headers: Readonly<Record<string, string>>;
  /** One request to a path of the BFF, with the cookie and the header. */
  send(input: string | Request, init?: RequestInit): Promise<Response>;
}

export function connect(baseUrl = "/", csrfHeader = "X-CSRF"): Connection {
  const base = new URL(baseUrl, globalThis.location?.href ?? "http://localhost");
  const url = (path: string | URL) => {
    const found = new URL(path, base);
    if (found.origin !== base.origin) throw new TypeError(`${found} is not at the BFF`);
    return found;
  };
  return {
    base,
    url,
    headers: { [csrfHeader]: "1" },
    async send(input, init = {}) {
      const request = typeof input === "string" ? null : input;
      const target = url(request?.url ?? (input as string));
      const headers = new Headers(init.headers ?? request?.headers);
      headers.set(csrfHeader, "1");
      return fetch(request ?? target, { ...init, headers, credentials: "include" });
    },
  };
}
