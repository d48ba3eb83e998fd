"""The contenders: proxies that run alone on a core, in front of the same upstream, with a valid session."""

import asyncio
import json
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.processes import PROXY_CORE, ROOT, Child, Children
from bench.world import CLIENT_ID, CLIENT_SECRET, World
from tests.harness.http_browser import Browser

OAUTH2_PROXY = ROOT / "var" / "bench" / "oauth2-proxy"  # `make bench` builds it


@dataclass
class Contender:
    name: str
    start: Callable[[World], Child | Children]
    cookie: Callable[[World], str | None]
    path: str = "/api/kib"


def signed_in(cookie_name: str, begin: str) -> Callable[[World], str]:
    """Returns a function that signs in through the proxy and returns the session cookie as a header value.

    A large one may be split, into names that end with a number.
    """
    names = re.compile(rf"{re.escape(cookie_name)}(_\d+)?")

    def cookie(world: World) -> str:
        async def journey() -> str:
            browser = Browser(world.url)
            try:
                await browser.fill_in(await browser.navigate(begin))
                pairs = [f"{item.name}={item.value}" for item in browser.http.cookies.jar if names.fullmatch(item.name)]
                if not pairs:
                    raise RuntimeError(f"no cookie {cookie_name}: {browser.seen[-1]}")
                return "; ".join(pairs)
            finally:
                await browser.close()

        return asyncio.run(journey())

    return cookie


def plain_nginx(world: World) -> Child:
    upstream = f"upstream up {{ server 127.0.0.1:{world.upstream}; keepalive 128; keepalive_requests 10000000; }}"
    server = (
        f"server {{ listen 127.0.0.1:{world.public} backlog=4096; location / {{ proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; client_max_body_size 0; proxy_request_buffering off;'
        " proxy_pass http://up; } }"
    )
    return world.nginx("plain-nginx", f"{upstream} {server}", PROXY_CORE)


def apache(cache: str) -> Callable[[World], Child]:
    def start(world: World) -> Child:
        modules = "/usr/lib/apache2/modules"
        module_names = (
            "mpm_event",
            "authn_core",
            "authz_core",
            "authz_user",
            "proxy",
            "proxy_http",
            "auth_openidc",
            "headers",
        )
        cache_directives = (
            f"OIDCCacheType redis\nOIDCRedisCacheServer 127.0.0.1:{world.redis}"
            if cache == "redis"
            else "OIDCCacheType shm"
        )
        config = world.directory / f"apache-{cache}.conf"
        config.write_text(
            "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in module_names)
            + f"""
ServerRoot {world.directory}
ServerName localhost
Listen 127.0.0.1:{world.public}
PidFile {world.directory}/apache-{cache}.pid
ErrorLog {world.directory}/apache-{cache}.err
DefaultRuntimeDir {world.directory}
Mutex file:{world.directory} default
StartServers 1
ThreadLimit 128
User www-data
Group www-data
ServerLimit 1
ThreadsPerChild 128
MaxRequestWorkers 128
KeepAlive On
MaxKeepAliveRequests 0
OIDCProviderMetadataURL {world.issuer}/.well-known/openid-configuration
OIDCClientID {CLIENT_ID}
OIDCClientSecret {CLIENT_SECRET}
OIDCRedirectURI {world.url}/authorization-code/callback
OIDCCryptoPassphrase bench-passphrase
OIDCScope "openid profile email offline_access"
OIDCPKCEMethod S256
OIDCSessionInactivityTimeout 3600
{cache_directives}
<Location />
  AuthType openid-connect
  Require valid-user
  RequestHeader set Authorization "Bearer %{{OIDC_access_token}}e" env=OIDC_access_token
</Location>
LimitRequestBody 0
ProxyPass /api http://127.0.0.1:{world.upstream}/api keepalive=On
""".replace("{{", "{").replace("}}", "}")
        )
        return world.child(f"apache-{cache}", ["/usr/sbin/apache2", "-f", str(config), "-DFOREGROUND"], PROXY_CORE)

    return start


def oauth2_proxy(sessions: str) -> Callable[[World], Child]:
    """One core: GOMAXPROCS=1. It forwards the access token in a header, as okta-bff does."""

    def start(world: World) -> Child:
        arguments = {
            "http-address": f"127.0.0.1:{world.public}",
            "provider": "oidc",
            "oidc-issuer-url": world.issuer,
            "client-id": CLIENT_ID,
            "client-secret": CLIENT_SECRET,
            "code-challenge-method": "S256",
            "scope": "openid profile email offline_access",
            "proxy-prefix": "/authorization-code",  # the callback that the simulated Okta knows
            "redirect-url": f"{world.url}/authorization-code/callback",
            "cookie-secret": secrets.token_hex(16),
            "cookie-secure": "false",
            "email-domain": "*",
            "insecure-oidc-allow-unverified-email": "true",
            "skip-provider-button": "true",
            "pass-access-token": "true",
            "encode-state": "true",  # Okta allows few characters
            "upstream": f"http://127.0.0.1:{world.upstream}",
            "request-logging": "false",
            "auth-logging": "false",
            "session-store-type": sessions,
            **({"redis-connection-url": f"redis://127.0.0.1:{world.redis}"} if sessions == "redis" else {}),
        }
        command = [str(OAUTH2_PROXY), *(f"--{name}={value}" for name, value in arguments.items())]
        return world.child(f"oauth2-proxy-{sessions}", command, PROXY_CORE, {"GOMAXPROCS": "1"})

    return start


def naive(world: World) -> Child:
    arguments = [sys.executable, "-m", "uvicorn", "bench.naive:app", "--port", str(world.public), "--no-access-log"]
    environ = {"UPSTREAM": f"http://127.0.0.1:{world.upstream}"}
    return world.child("naive", arguments, PROXY_CORE, environ)


def store_url(world: World, store: str) -> str:
    return f"redis://127.0.0.1:{world.redis}" if store == "redis" else f"sqlite:///{world.directory}/bench.db"


SERVE = (sys.executable, "-m", "bff", "serve")


def ours(
    store: str, core: int | str = PROXY_CORE, command: Sequence[str] = SERVE, **more: str
) -> Callable[[World], Child]:
    """`command` starts the server; `more` are settings, in which `{world...}` is replaced."""

    def start(world: World) -> Child:
        environ = {
            "BFF_ISSUER": world.issuer,
            "BFF_CLIENT_ID": CLIENT_ID,
            "BFF_CLIENT_SECRET": CLIENT_SECRET,
            "BFF_PUBLIC_URL": world.url,
            "BFF_SESSION_KEYS": world.session_key,
            "BFF_STORE": store_url(world, store),
            "BFF_ROUTES": json.dumps([{"prefix": "/api", "upstream": f"http://127.0.0.1:{world.upstream}"}]),
            "BFF_LISTEN": f"127.0.0.1:{world.public}",
            "BFF_MANAGEMENT_LISTEN": "off",
            **{name: value.format(world=world) for name, value in more.items()},
        }
        return world.child(f"ours-{store}", list(command), core, environ)

    return start


def forward_auth(world: World) -> Children:
    """nginx asks the BFF about each request and forwards it to the upstream itself. Both share the proxy core."""
    bff = ours(
        "sqlite",
        BFF_LISTEN="127.0.0.1:{world.inner}",
        BFF_FORWARD_AUTH_LISTEN="127.0.0.1:{world.forward_auth}",
        BFF_TRUSTED_PROXIES="127.0.0.1",
    )(world)
    keep_alive = 'proxy_http_version 1.1; proxy_set_header Connection "";'
    upstreams = "".join(
        f"upstream {name} {{ server 127.0.0.1:{port}; keepalive 128; keepalive_requests 10000000; }} "
        for name, port in (("up", world.upstream), ("verify", world.forward_auth), ("bff", world.inner))
    )
    verify = (
        'location = /verify { internal; proxy_pass_request_body off; proxy_set_header Content-Length "";'
        " proxy_set_header Host $http_host; proxy_set_header X-Original-Method $request_method;"
        f" proxy_set_header X-Original-URI $request_uri; {keep_alive} proxy_pass http://verify/auth/verify; }}"
    )
    api = (
        "location /api/ { auth_request /verify; auth_request_set $token $upstream_http_authorization;"
        ' proxy_set_header Authorization $token; proxy_set_header Cookie "";'
        f" proxy_request_buffering off; {keep_alive} proxy_pass http://up; }}"
    )
    others = f"location / {{ proxy_set_header Host $http_host; {keep_alive} proxy_pass http://bff; }}"
    # The limit applies to the authorization subrequest too, which inherits the Content-Length of its request.
    listen = f"listen 127.0.0.1:{world.public} backlog=4096; client_max_body_size 0;"
    nginx = world.nginx("forward-auth", f"{upstreams} server {{ {listen} {verify} {api} {others} }}", PROXY_CORE)
    return Children((nginx, bff))


OURS_COOKIE = "bff-session"  # without the __Host- prefix, because the benchmark uses http on loopback
OURS = signed_in(OURS_COOKIE, "/auth/login")
OAUTH2 = signed_in("_oauth2_proxy", "/api/kib")
APACHE = signed_in("mod_auth_openidc_session", "/api/kib")

CONTENDERS = (
    Contender("nginx, plain (baseline)", plain_nginx, lambda _: None),
    Contender("mod_auth_openidc, shared memory", apache("shm"), APACHE),
    Contender("mod_auth_openidc, Redis", apache("redis"), APACHE),
    Contender("oauth2-proxy, cookie", oauth2_proxy("cookie"), OAUTH2),
    Contender("oauth2-proxy, Redis", oauth2_proxy("redis"), OAUTH2),
    Contender("naive FastAPI + httpx", naive, lambda _: "session=naive"),
    Contender("okta-bff, SQLite", ours("sqlite"), OURS),
    Contender("okta-bff, Redis", ours("redis"), OURS),
    Contender("okta-bff as forward-auth under nginx", forward_auth, OURS),
)
