"""Serves the single-page app from a directory (`BFF_SPA_DIR`): its files, and `index.html` for client-side routes."""

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from bff.errors import MethodNotAllowed, RouteNotFound

# The SPA may load its own files and call this origin, and may not be framed. `unsafe-inline` is for styles only, which
# common build tools write into the page.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; font-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class SinglePageApp:
    def __init__(self, directory: Path) -> None:
        """Raises FileNotFoundError when the directory has no index.html."""
        self._root = directory.resolve(strict=True)
        self._index = self._root / "index.html"
        if not self._index.is_file():
            raise FileNotFoundError(self._index)

    async def serve(self, request: Request) -> Response:
        """A file of the app, or index.html for a navigation to a path without one (client-side routing).

        Raises RouteNotFound for a missing file that a page asked for, MethodNotAllowed for anything but GET and HEAD.
        """
        if f"{request.url.path}/".startswith("/auth/"):
            raise RouteNotFound  # reserved: a page here would hide misspelt endpoint names from scripts
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(allow=("GET", "HEAD"))
        file = self._file(request.url.path)
        if file is None:
            if not _is_navigation(request):
                raise RouteNotFound
            file = self._index
        page = file == self._index
        if page and not file.is_file():
            raise RouteNotFound  # removed since the start, as while a new build is copied
        # index.html names the build's files and must be revalidated every time; other files are revalidated by ETag.
        headers = {
            "cache-control": "no-cache" if page else "public, max-age=0, must-revalidate",
            "content-security-policy": CONTENT_SECURITY_POLICY,
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        }
        return FileResponse(file, headers=headers)

    def _file(self, path: str) -> Path | None:
        """The file at that path, inside the directory after resolving symbolic links; no dot files."""
        parts = [part for part in path.split("/") if part]
        if not parts:
            return self._index
        if any(part.startswith(".") or "\\" in part or "\0" in part for part in parts):
            return None
        candidate = self._root.joinpath(*parts)
        try:
            resolved = candidate.resolve(strict=True)
        except OSError:
            return None
        return resolved if resolved.is_relative_to(self._root) and os.path.isfile(resolved) else None


def _is_navigation(request: Request) -> bool:
    mode = request.headers.get("sec-fetch-mode")
    if mode is not None:
        return mode == "navigate"
    return "text/html" in request.headers.get("accept", "")
