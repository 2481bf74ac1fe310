"""Only the page that the server sent may talk to it."""

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tigon.explorer.app import make_app

OWN = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def client(runs):
    """A client of a generator's page, at port 8765."""
    from explored import hub_of

    with TestClient(make_app(hub_of(runs["generator"]), 8765), base_url=OWN) as client:
        yield client


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765"])
def test_the_page_is_served_under_its_own_names(client, host):
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 200 and "tigon explorer" in answer.text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8765.a"],
)
def test_other_hosts_are_refused_so_that_no_name_can_be_rebound(client, host):
    for path in ("/", "/static/main.js", "/nothing"):
        assert client.get(path, headers={"host": host}).status_code == 403
    with pytest.raises(WebSocketDisconnect) as refused:
        with client.websocket_connect("/socket", headers={"host": host, "origin": OWN}):
            pass
    assert refused.value.code == 1008


def test_a_tunnel_of_another_port_is_told_the_one_that_works(client):
    """`ssh -L 9000:127.0.0.1:8765` leads to a page that names another host."""
    answer = client.get("/", headers={"host": "localhost:9000"})
    assert answer.status_code == 403 and answer.text == (
        "this page is http://127.0.0.1:8765/ on its own machine only; from another one, "
        "ssh -L 8765:127.0.0.1:8765 USER@MACHINE there, and open http://127.0.0.1:8765/"
    )


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8765", "http://127.0.0.1:1", ""]
)
def test_other_origins_are_refused(client, origin):
    headers = {"origin": origin, "host": "127.0.0.1:8765"}
    assert client.get("/", headers=headers).status_code == 403
    assert client.post("/picture", content=b"x", headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect):
        with client.websocket_connect("/socket", headers=headers):
            pass


def test_a_socket_or_an_upload_without_an_origin_is_refused(client):
    headers = {"host": "127.0.0.1:8765"}
    assert client.post("/picture", content=b"x", headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect):
        with client.websocket_connect("/socket", headers=headers):
            pass


def test_two_hosts_in_one_request_are_refused(client):
    headers = [("host", "127.0.0.1:8765"), ("host", "127.0.0.1:8765")]
    assert client.get("/", headers=headers).status_code == 403


def test_every_answer_forbids_all_that_the_page_does_not_need(client):
    for path in ("/", "/static/style.css", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get("/", headers={"host": "a"}).headers["x-content-type-options"] == "nosniff"


def test_no_file_beside_the_pages_own_is_served(client):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 404
