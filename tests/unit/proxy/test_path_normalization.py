import pytest

from bff.errors import InvalidRequest
from bff.proxy.path_normalization import case_folded, fully_decoded, is_plain, normalized


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/api/x-1_2.3~4:export@5", True),
        ("/api/v1.2/x", True),
        ("/api//x", False),
        ("/api/x.", False),
        ("/api/x./y", False),
        ("/api/x;v=1", False),
        ("/api/%41", False),
        ("/api/x+y", False),
    ],
)
def test_a_plain_path_has_one_reading(path: str, plain: bool) -> None:
    assert is_plain(path.encode()) is plain
    if plain:
        assert normalized(path.encode()) == path.encode()


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/api/%61", "/api/a"),
        ("/api/%252561", "/api/a"),
        ("/api/%u0061", "/api/a"),
        ("/api//x/", "/api/x"),
        ("/api/;a=b/x", "/api/x"),
        ("/api/%20x+", "/api/x"),
        ("/api/x...", "/api/x"),
        ("/api/x::$DATA", "/api/x"),
        ("/api/x:export", "/api/x:export"),
        ("/api/x%3Fy", "/api/x"),
        ("/api/%ef%bd%81", "/api/a"),
        ("/api/100%25", "/api/100%"),
    ],
)
def test_normal_form_undoes_what_any_server_would_undo(path: str, normal: str) -> None:
    assert normalized(path.encode()) == normal.encode()


@pytest.mark.parametrize(
    "path",
    [
        "/api/%ff",
        "/api/%2e%2e/x",
        "/api/%252fx",
        "/api/%5cx",
        "/api/%00",
        "/api/%2509",
        "/api/%25c0%25ae",
        "/api/%c2%85",
    ],
)
def test_an_ambiguous_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        fully_decoded(path.encode())


def test_letter_case_is_compared_by_way_of_the_capitals() -> None:
    for text in ("ADMIN", "admin", "adm\u0131n", "adm\u0130n"):
        assert case_folded(text.encode()) == b"admin"
    assert case_folded("acce\xdf".encode()) == b"access"
