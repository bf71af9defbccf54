"""The Hugging Face hub: references, the local cache, and a server on loopback."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.models import hf_hub
from mlsysim.models.huggingface import MAX_BYTES, load
from mlsysim.models.own import resolve_model

LLAMA: dict[str, Any] = json.loads((Path(__file__).parent / "configs" / "Llama-3.1-8B.json").read_text())


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cache, no token, no proxy, and a hub that cannot be reached."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGINGFACE_", "TRANSFORMERS_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    "reference",
    [
        "hf://",
        "hf://gpt2",
        "hf://a/b/c",
        "hf://../etc",
        "hf://a/..",
        "hf:///etc/passwd",
        "hf://a/b@",
        "hf://a/b@../x",
        "hf://a/b@x/../y",
        "hf://a/b@/x",
        "hf://a/b@x//y",
        "hf://a--b/c",
        "hf://a/b?x=1",
        "hf://a/b#x",
        "hf://a/b\n",
        "hf://a b/c",
        "hf://.a/b",
        "hf://a/b.",
        "hf://a/" + "b" * 200,
        "hf://user:pw@host/x",
        "hf://a/b%2e%2e",
        "hf://a/b@x\r\nHost: evil",
        "hf://a\\b/c",
        "hf://ä/b",
    ],
)
def test_references_that_name_no_model(reference: str) -> None:
    with pytest.raises(InputError, match="names no model"):
        load(reference)


def test_references() -> None:
    assert hf_hub.parse("hf://01-ai/Yi-1.5_9B") == hf_hub.Repo("01-ai", "Yi-1.5_9B")
    assert str(hf_hub.parse("hf://a/b@refs/pr/1")) == "hf://a/b@refs/pr/1"


def cache(root: Path, commits: dict[str, dict[str, Any]], refs: dict[str, str]) -> None:
    folder = root / "hub" / "models--org--name"
    for commit, config in commits.items():
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "snapshots" / commit / "config.json").write_text(json.dumps(config))
    for ref, commit in refs.items():
        path = folder / "refs" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit)


OTHER = {**LLAMA, "num_hidden_layers": 2}


def test_the_cache_comes_first(tmp_path: Path) -> None:
    cache(tmp_path, {"aaa": LLAMA, "bbb": OTHER}, {"main": "aaa\n", "refs/pr/1": "bbb"})
    model = load("hf://org/name")
    assert model.name == "name"
    assert model.transformer.layers == 32
    assert "hf://org/name@aaa" in model.parameters.note
    assert load("hf://org/name@refs/pr/1").transformer.layers == 2
    assert load("hf://org/name@bbb").transformer.layers == 2
    with pytest.raises(InputError, match="cannot reach"):
        load("hf://org/name@ccc")


def test_a_cache_without_main(tmp_path: Path) -> None:
    cache(tmp_path, {"aaa": LLAMA, "bbb": OTHER}, {})
    os.utime(tmp_path / "hub/models--org--name/snapshots/aaa/config.json", (1, 1))
    assert load("hf://org/name").transformer.layers == 2  # the newest


def test_a_cache_that_lies_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    cache(tmp_path, {}, {"main": "../../.."})
    with pytest.raises(InputError, match="cannot reach"):
        load("hf://org/name")
    cache(tmp_path, {"aaa": LLAMA}, {"main": "aaa"})
    (tmp_path / "hub/models--org--name/snapshots/aaa/config.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON") as caught:
        load("hf://org/name")
    assert "models--org--name" in caught.value.where


def test_places_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert hf_hub.cache() == tmp_path / "hub"
    monkeypatch.delenv("HF_HUB_CACHE")
    assert hf_hub.cache() == tmp_path / "home" / "hub"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hf_hub.cache() == tmp_path / ".cache" / "huggingface" / "hub"


def test_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="forbids the network") as caught:
        load("hf://org/name")
    assert str(tmp_path / "hub") in caught.value.hint
    assert caught.value.where == "hf://org/name"


def test_no_network() -> None:
    with pytest.raises(InputError, match=r"cannot reach 127\.0\.0\.1:9") as caught:
        load("hf://org/name")
    assert "looked for config.json of org/name" in caught.value.hint


@pytest.mark.parametrize(
    "endpoint",
    [
        "file:///etc",
        "ftp://x",
        "x",
        "http://",
        "http://a b",
        "http://h:99999",
        "http://[::1",
        "http://u:p@h",
        "http://h/?q",
        "http://ä",
    ],
)
def test_endpoints_that_are_none(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(InputError, match="HF_ENDPOINT is not"):
        load("hf://org/name")


def test_a_token_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "abc\r\nHost: x")
    with pytest.raises(InputError, match="HF_TOKEN is not a token") as caught:
        load("hf://org/name")
    assert "abc" not in str(caught.value)


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub on loopback: ``answers`` maps a path to (status, headers, body)."""

    answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        status, headers, body = self.answers.get(self.path, (404, {"X-Error-Code": "RepoNotFound"}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve() -> tuple[http.server.ThreadingHTTPServer, str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    server, address = serve()
    monkeypatch.setenv("HF_ENDPOINT", address + "/")
    Hub.answers, Hub.seen = {}, []
    yield Hub
    server.shutdown()
    server.server_close()


MAIN = "/org/name/resolve/main/config.json"
BODY = json.dumps(LLAMA).encode()


def test_the_hub_answers(hub: type[Hub]) -> None:
    hub.answers = {MAIN: (200, {}, BODY), "/org/name/resolve/refs%2Fpr%2F1/config.json": (200, {}, BODY)}
    model = load("hf://org/name")
    assert model.name == "name"
    assert model.parameters.base == 8030261248
    assert "hf://org/name" in model.parameters.note
    assert load("hf://org/name@refs/pr/1").parameters.base == 8030261248
    assert resolve_model("hf://org/name").name == "name"
    assert hub.seen[0] == (MAIN, None)


def test_the_token_stays_with_the_hub(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", " secret \n")
    elsewhere, address = serve()
    hub.answers = {
        MAIN: (307, {"Location": "/moved"}, b""),
        "/cdn": (200, {}, BODY),
        "/moved": (302, {"Location": f"{address}/cdn"}, b""),
    }
    assert load("hf://org/name").parameters.base == 8030261248
    assert hub.seen == [(MAIN, "Bearer secret"), ("/moved", "Bearer secret"), ("/cdn", None)]
    elsewhere.shutdown()
    elsewhere.server_close()


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://x"])
def test_redirects_stay_on_http(hub: type[Hub], target: str) -> None:
    hub.answers = {MAIN: (302, {"Location": target}, b"")}
    with pytest.raises(InputError):
        load("hf://org/name")


def test_redirects_in_a_circle(hub: type[Hub]) -> None:
    hub.answers = {MAIN: (302, {"Location": MAIN}, b"")}
    with pytest.raises(InputError, match="status 302"):
        load("hf://org/name")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("RepoNotFound", "no such model on"),
        ("RevisionNotFound", "no revision 'v2' on"),
        ("EntryNotFound", "no config.json in this repository on"),
        ("", "no such model, revision or config.json"),
    ],
)
def test_what_the_hub_does_not_have(hub: type[Hub], code: str, problem: str) -> None:
    hub.answers = {"/org/name/resolve/v2/config.json": (404, {"X-Error-Code": code}, b"")}
    with pytest.raises(UnknownNameError, match=problem) as caught:
        load("hf://org/name@v2")
    assert caught.value.where == "hf://org/name@v2"


@pytest.mark.parametrize("status", [401, 403])
def test_gated_models(hub: type[Hub], monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    hub.answers = {MAIN: (status, {"X-Error-Code": "GatedRepo"}, b"")}
    with pytest.raises(InputError, match="the model is gated") as caught:
        load("hf://org/name")
    assert "set HF_TOKEN" in caught.value.hint
    monkeypatch.setenv("HF_TOKEN", "secret")
    with pytest.raises(InputError, match="gated") as caught:
        load("hf://org/name")
    assert "licence" in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((500, {}, b""), "status 500"),
        ((429, {}, b""), "status 429"),
        ((200, {}, b"<html>log in</html>"), "not valid JSON"),
        ((200, {}, b"[]"), "a JSON object is expected"),
        ((200, {}, b" " * (MAX_BYTES + 5)), "larger than 1 MiB"),
        ((200, {"Content-Length": "100"}, b"{}"), "broke off after 2 of 100"),
    ],
)
def test_answers_that_are_no_config(hub: type[Hub], answer: Any, problem: str) -> None:
    hub.answers = {MAIN: answer}
    with pytest.raises(InputError, match=problem):
        load("hf://org/name")


def test_a_slow_answer_ends(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_hub, "DEADLINE", -1.0)
    hub.answers = {MAIN: (200, {}, BODY)}
    with pytest.raises(InputError, match="the answer took more than"):
        load("hf://org/name")
