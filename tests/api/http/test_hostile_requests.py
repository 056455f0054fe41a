"""What the framework meets before a handler runs is refused as the caller's mistake."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.scene import Scene


@pytest.fixture
def anybody(site: Scene) -> Iterator[httpx.Client]:
    with site.nobody() as client:
        yield client


@pytest.mark.parametrize("body", [b'{"name": "\xff"}', b"\xff", b"\x00", b"[", b"\xed\xa0\x80"])
@pytest.mark.parametrize("path", ["sessions", "projects", "keys"])
def test_a_body_that_is_no_json_of_utf8(site: Scene, path: str, body: bytes) -> None:
    refused = site.http.post(
        f"/api/v1/{path}", content=body, headers={"Content-Type": "application/json"}
    )
    assert refused.status_code in {400, 422}
    assert refused.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("name", ["%00", "a%00b", "x" * 300, "x/" * 2000, "..%2f..%2fetc", "%ff"])
def test_static_files_of_impossible_names(anybody: httpx.Client, name: str) -> None:
    assert anybody.get(f"/static/{name}").status_code in {400, 404, 414}


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE", "PROPFIND", "PATCH"])
@pytest.mark.parametrize("path", ["webhooks/0", "projects/0", "versions/0", "nothing", "%00"])
def test_methods_that_a_route_does_not_have(site: Scene, method: str, path: str) -> None:
    with_key = site.http.request(method, f"/api/v1/{path}")
    assert with_key.status_code < 500, with_key.text
    with site.nobody() as client:
        without = client.request(method, f"/api/v1/{path}")
    assert without.status_code < 500


@pytest.mark.parametrize(
    "disposition", ['form-data; name="files"', "form-data", 'form-data; name="files"; filename=""']
)
def test_an_upload_of_a_part_without_a_file_name(site: Scene, disposition: str) -> None:
    project_id = site.project("Uploads of parts")
    body = (
        f"--b\r\nContent-Disposition: {disposition}\r\nContent-Type: image/png\r\n\r\n"
        "bytes\r\n--b--\r\n"
    )
    refused = site.http.post(
        f"/api/v1/projects/{project_id}/images",
        content=body.encode(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert 400 <= refused.status_code < 500
    assert refused.headers["Content-Type"].startswith("application/problem+json")
