"""Finding the ``config.json`` of a model on the Hugging Face hub: local cache first, then HTTP.

The environment means what it means to the hub's own client: ``HF_HUB_CACHE`` and ``HF_HOME`` place
the cache, ``HF_ENDPOINT`` the server, ``HF_TOKEN`` opens gated models, ``HF_HUB_OFFLINE`` forbids the
network. The token goes to the endpoint alone, whatever it redirects to.
"""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.models.huggingface import FILE, MAX_BYTES, SCHEME

ENDPOINT = "https://huggingface.co"
TIMEOUT = 10.0  # seconds without an answer
DEADLINE = 30.0  # seconds for the whole answer
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")
_COMMIT = re.compile(r"[A-Za-z0-9]{1,64}")
_TRUE = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True)
class Repo:
    """A model repository; ``revision`` is empty where the reference names none."""

    org: str
    name: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.org}/{self.name}" + (f"@{self.revision}" if self.revision else "")


def parse(reference: str) -> Repo:
    """Read ``hf://org/name[@revision]``.

    Raises:
        InputError: anything else, such as a name that is a path.
    """
    path, at, revision = reference.removeprefix(SCHEME).partition("@")
    parts = path.split("/")
    good = len(parts) == 2 and all(
        _NAME.fullmatch(part) and ".." not in part and "--" not in part for part in parts
    )
    if good and at:
        good = bool(_REVISION.fullmatch(revision)) and not any(
            piece in ("", ".", "..") or ".." in piece for piece in revision.split("/")
        )
    if not good:
        raise InputError(
            f"{reference[:120]!r} names no model of the hub",
            hint="write hf://org/name or hf://org/name@revision, such as hf://mistralai/Mistral-7B-v0.3",
        )
    return Repo(parts[0], parts[1], revision)


def config(repo: Repo) -> tuple[bytes, str, str]:
    """Return a model's config, the place it was read at, and its origin for provenance.

    Raises:
        InputError: not in the cache, and the network is forbidden, absent or refuses.
        UnknownNameError: the hub has no such model, revision or file.
    """
    path = cached(repo)
    if path is not None:
        try:
            with path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
        return body, str(path), f"{SCHEME}{repo.org}/{repo.name}@{path.parent.name}"
    if any(os.environ.get(name, "").lower() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        raise InputError(
            "not in the local cache, and HF_HUB_OFFLINE forbids the network",
            where=str(repo),
            hint=_looked(repo),
        )
    url = (
        f"{_endpoint()}/{repo.org}/{repo.name}/resolve/"
        f"{urllib.parse.quote(repo.revision or 'main', safe='')}/{FILE}"
    )
    return _get(url, repo), url, str(repo)


# -- the cache ----------------------------------------------------------------------------------


def cache() -> Path:
    """Return the folder of the hub's local cache."""
    env = os.environ.get
    given = env("HF_HUB_CACHE") or env("HUGGINGFACE_HUB_CACHE")
    home = env("HF_HOME") or Path(env("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    folder = Path(given) if given else Path(home) / "hub"
    try:
        return folder.expanduser()
    except RuntimeError:  # nobody's home
        return folder


def cached(repo: Repo) -> Path | None:
    """Return the cached config of a model; None where there is none.

    A revision is a branch or tag that ``refs`` knows, or a commit. Without one it is ``main``, or
    the newest snapshot if the cache has no ``main``.
    """
    folder = cache() / f"models--{repo.org}--{repo.name}"
    snapshots = folder / "snapshots"
    try:
        commits = [_ref(folder / "refs" / (repo.revision or "main"))]
        if _COMMIT.fullmatch(repo.revision):
            commits.append(repo.revision)
        found = [snapshots / commit / FILE for commit in commits if commit]
        if not repo.revision:
            found += sorted(snapshots.glob(f"*/{FILE}"), key=lambda p: p.stat().st_mtime, reverse=True)
        return next((path for path in found if path.is_file()), None)
    except (OSError, ValueError):  # no folder that can be read is no cache
        return None


def _ref(path: Path) -> str:
    """Return the commit that a reference of the cache names; empty where it names none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        commit = file.read(100).decode("ascii", "replace").strip()
    return commit if _COMMIT.fullmatch(commit) else ""


def _looked(repo: Repo) -> str:
    return (
        f"looked for {FILE} of {repo.org}/{repo.name} in {cache()}; download it where there is a "
        f"network (`hf download {repo.org}/{repo.name} {FILE}`), or name the path of a copy"
    )


# -- the network --------------------------------------------------------------------------------


def _endpoint() -> str:
    """Return the address of the hub.

    Raises:
        InputError: ``HF_ENDPOINT`` is no http or https address.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    try:
        parts = urllib.parse.urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        good = good and "@" not in parts.netloc and not (parts.query or parts.fragment)
    except ValueError:
        good = False
    if not good or not endpoint.isascii() or any(ch <= " " for ch in endpoint):
        raise InputError(
            "HF_ENDPOINT is not the address of a server",
            where="HF_ENDPOINT",
            hint=f"unset it, or write it like {ENDPOINT}",
        )
    return endpoint


def _token() -> str:
    token = os.environ.get("HF_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InputError("HF_TOKEN is not a token", where="HF_TOKEN", hint="unset it, or copy it again")
    return token


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.lower()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects over HTTP only, and takes the token along only on the same server."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request that follows a redirect."""
        old, new = _origin(req.full_url), _origin(newurl)
        if new[0] not in ("http", "https") or (old[0] == "https" and new[0] != "https"):
            raise urllib.error.URLError(f"the server redirects to {new[0]}, which is not followed")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.get_header("Authorization")
        if following is not None and token is not None and old == new:
            following.add_unredirected_header("Authorization", token)
        return following


def _get(url: str, repo: Repo) -> bytes:
    """Return the body of an HTTPS GET, bounded in size and time.

    Raises:
        InputError: no network, a refusal, or an answer that is too slow, large or cut off.
        UnknownNameError: not found.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "mlsysim", "Accept": "application/json"})
    token = _token()
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.build_opener(_Redirects()).open(request, timeout=TIMEOUT) as answer:
            return _body(answer, repo, url)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, repo, url, bool(token)) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise InputError(
            f"cannot reach {_origin(url)[1]}: {reason}", where=str(repo), hint=_looked(repo)
        ) from error


def _body(answer: Any, repo: Repo, url: str) -> bytes:
    """Read an answer, one byte more than :data:`MAX_BYTES` at most."""
    start, body = time.monotonic(), b""
    while len(body) <= MAX_BYTES:
        chunk = answer.read1(min(65536, MAX_BYTES + 1 - len(body)))
        if not chunk:
            break
        body += chunk
        if time.monotonic() - start > DEADLINE:
            raise InputError(f"the answer took more than {DEADLINE:g} s", where=url, hint=_looked(repo))
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and len(length) < 16 and len(body) < min(int(length), MAX_BYTES + 1):
        raise InputError(
            f"the answer broke off after {len(body)} of {length} bytes", where=url, hint="try again"
        )
    return body


def _refusal(error: urllib.error.HTTPError, repo: Repo, url: str, token: bool) -> InputError:
    """Return what an HTTP status means to the user."""
    host, where = _origin(url)[1], str(repo)
    code = (error.headers.get("X-Error-Code") or "") if error.headers else ""
    missing = {
        "RepoNotFound": "no such model",
        "RevisionNotFound": f"no revision {repo.revision!r}",
        "EntryNotFound": f"no {FILE} in this repository",
    }
    if error.code == 404:
        return UnknownNameError(
            f"{missing.get(code, f'no such model, revision or {FILE}')} on {host}",
            where=where,
            hint=f"asked for {url}; check the spelling",
        )
    if error.code in (401, 403):
        why = "the model is gated" if code == "GatedRepo" else "no such model, or it is private or gated"
        what = (
            "its licence must be accepted on its page with the account of HF_TOKEN"
            if token
            else "set HF_TOKEN to a token of an account that may read it, or name the path of a copy"
        )
        return InputError(f"{host} refuses ({error.code}): {why}", where=where, hint=what)
    return InputError(
        f"{host} answers with status {error.code}",
        where=where,
        hint=f"asked for {url}; try again later, or name the path of a copy",
    )
