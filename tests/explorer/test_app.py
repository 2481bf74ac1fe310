"""The server as the browser meets it: uploads, and a socket that nothing said to it can break."""

import io
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from explored import hub_of, opened
from tigon.explorer import app, uploads
from tigon.explorer.app import make_app

OWN = "http://127.0.0.1:8765"
HEADERS = {"origin": OWN, "host": "127.0.0.1:8765"}
FIELDS = "type id latents place seed settings on starts chains image".split()
WORDS = "decode infer synthesise change point look fill image score stop".split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*FIELDS]) | st.text(max_size=5),
            inner | st.sampled_from([*WORDS]),
            max_size=6,
        )
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module", params=["generator", "descriptor"])
def client(request, runs):
    """A client of each kind of page."""
    with TestClient(make_app(hub_of(runs[request.param]), 8765), base_url=OWN) as client:
        yield client


def said(socket) -> dict:
    message = socket.receive()
    return opened(message.get("text") or message["bytes"])


def until(socket, kind: str) -> dict:
    while True:
        message = said(socket)
        if message["type"] == kind:
            return message


def png(side: int = 16, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def test_a_page_is_told_the_run_its_curves_and_its_model(client):
    with client.websocket_connect("/socket", headers=HEADERS) as socket:
        kinds = [said(socket) for _ in range(4)]
    assert [message["type"] for message in kinds] == ["run", "curves", "training", "model"]
    assert len(kinds[1]["rows"]) == 6 and kinds[2]["state"] == "finished"
    assert kinds[3]["iteration"] == 6 and kinds[3]["names"] == [f"{k}.png" for k in range(5)]


@settings(max_examples=150)
@given(message=st.one_of(st.text(max_size=40), JSON.map(json.dumps), st.binary(max_size=60)))
@example(message='{"type": "\\n"}')
@example(message='{"type": "stop", "\\n": 0}')
def test_whatever_is_said_gets_an_answer_and_the_server_lives(client, message):
    with client.websocket_connect("/socket", headers=HEADERS) as socket:
        until(socket, "model")
        (socket.send_text if isinstance(message, str) else socket.send_bytes)(message)
        socket.send_text("{")
        answer = until(socket, "error")
        assert answer["message"] and "\n" not in answer["message"]
    with client.websocket_connect("/socket", headers=HEADERS) as socket:
        until(socket, "model")


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"type": "fly"}, "fly"),
        ({"type": "decode", "id": 1, "place": "point", "latents": [[1e9, 0]]}, "latents"),
        ({"type": "decode", "id": 1, "place": "point", "latents": []}, "latents"),
        ({"type": "decode", "id": 1, "place": "point", "latents": [["a", 0]]}, "latents"),
        ({"type": "infer", "id": 1, "starts": 65, "seed": 0}, "starts"),
        ({"type": "change", "settings": {"temperature": -1}}, "temperature"),
        ({"type": "fill", "id": 1, "chains": 33, "seed": 0}, "chains"),
        ({"type": "fill", "id": 1, "chains": 8, "seed": -1}, "seed"),
        ({"type": "fill", "id": 1, "chains": 8, "seed": 0}, "bytes"),
        ({"type": "image", "id": 1, "image": -1}, "image"),
        ({"type": "image", "id": 1, "image": 5}, "no number 5"),
        ({"type": "score", "id": 1, "seed": 0.5}, "seed"),
        ({"type": "stop", "id": -1}, "id"),
    ],
)
def test_wrong_content_is_named(client, values, reason):
    with client.websocket_connect("/socket", headers=HEADERS) as socket:
        until(socket, "model")
        socket.send_text(json.dumps(values))
        assert reason in until(socket, "error")["message"]


def packed(header: dict, content: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(4, "little") + text + content


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["fill", "score", "infer"]),
    content=st.binary(max_size=300) | st.integers(0, 255).map(lambda k: bytes([k]) * 256),
    chains=st.integers(-1, 40),
)
def test_whatever_bytes_are_sent_to_be_filled_or_scored_the_server_lives(
    client, kind, content, chains
):
    header = {"type": kind, "id": 3, "chains": chains, "starts": chains, "seed": 0}
    with client.websocket_connect("/socket", headers=HEADERS) as socket:
        until(socket, "model")
        socket.send_bytes(packed(header, content))
        socket.send_text("{")  # an error, even if chains have started
        answer = until(socket, "error")
        assert answer["message"] and "\n" not in answer["message"]
    with client.websocket_connect("/socket", headers=HEADERS) as socket:
        until(socket, "model")


def test_an_uploaded_picture_is_filled_in_and_scored(client):
    pixels = client.post("/picture", content=png(), headers=HEADERS).content
    kept = bytes(24) + bytes([1]) * 40
    with client.websocket_connect("/socket", headers=HEADERS) as socket:
        until(socket, "model")
        header = {"type": "fill", "id": 3, "chains": 2, "seed": 0}
        socket.send_bytes(packed(header, pixels + kept))
        while "mean" not in (found := until(socket, "filling")):
            pass
        assert found["mean"].shape == (1, 8, 8, 4) and found["draws"] >= 1
        until(socket, "ended")
        socket.send_bytes(packed({"type": "score", "id": 4, "seed": 0}, pixels))
        found = until(socket, "scored")
    shown = np.frombuffer(pixels, np.uint8).reshape(8, 8, 3)
    assert len(found["scores"]) >= 2 and found["map"].shape == (1, 8, 8, 4)
    assert shown.shape == found["map"].shape[1:3] + (3,)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"])
def test_a_picture_comes_back_in_the_models_form(client, kind):
    answer = client.post("/picture", content=png(kind=kind), headers=HEADERS)
    assert answer.status_code == 200 and len(answer.content) == 8 * 8 * 3


def test_the_pixels_are_those_that_training_would_see(client):
    answer = client.post("/picture", content=png(), headers=HEADERS)
    picture = Image.open(io.BytesIO(png())).resize((8, 8), Image.Resampling.LANCZOS)
    assert answer.content == np.asarray(picture).tobytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"PK\x03\x04",
        png()[:60],
    ],
)
def test_what_is_no_picture_is_refused_in_words(client, content):
    answer = client.post("/picture", content=content, headers=HEADERS)
    assert answer.status_code == 415 and answer.text.startswith("this file ")
    assert "\n" not in answer.text and "/tmp" not in answer.text


def test_a_picture_that_would_take_gigabytes_is_refused(client):
    stream = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(stream, "PNG")
    answer = client.post("/picture", content=stream.getvalue(), headers=HEADERS)
    assert answer.status_code == 415 and "too many pixels" in answer.text


def test_an_upload_beyond_the_limit_is_refused_whether_it_says_its_length_or_not(
    client, monkeypatch
):
    monkeypatch.setattr(app, "LARGEST", 2**20)
    monkeypatch.setattr(uploads, "LARGEST", 2**20)
    content = bytes(2**20 + 1)
    pieces = (content[k : k + 9999] for k in range(0, len(content), 9999))
    for body in (content, pieces):
        answer = client.post("/picture", content=body, headers=HEADERS)
        assert answer.status_code == 413 and answer.text == "this file is larger than 1 MB"
