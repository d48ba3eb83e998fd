"""The demo's other client: it keeps the cookies that a browser sends, and never shows their values."""

import http.client
import json

from demo.other_client import OtherClient, other_client


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_copy_shows_the_names_of_the_cookies_only() -> None:
    client = OtherClient("http://localhost:8080", 1, "enforce", 600)
    with other_client(client) as port:
        assert "no session cookie" in get(port, "/copy", cookie="theme=dark")[1]
        assert json.loads(get(port, "/state")[1])["copied_at"] is None
        status, page = get(port, "/copy", cookie="bff-session=secret; bff-bound=secret; theme=dark")
        assert (status, "secret" in page) == (200, False)
        state = json.loads(get(port, "/state")[1])
        assert state.pop("copied_at") > 0
        assert state == {
            "port": port,
            "device_bound": "enforce",
            "lifetime": 600,
            "cookies": ["bff-session", "bff-bound", "theme"],
        }
        assert get(port, "/")[0] == 404
