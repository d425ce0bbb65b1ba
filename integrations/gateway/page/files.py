"""The page's own files, which are the same for everybody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from guardrail.integrations.gateway.faults import Fault

__all__ = ["Files"]

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_SHELL = "index.html"


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    kind: str
    tag: str


class Files:
    """Serves the files from memory; browsers ask each time whether theirs is the newest."""

    def __init__(self) -> None:
        folder = resources.files(__package__) / "static"
        self._files = {
            one.name: _file(one.read_bytes(), _KINDS[suffix])
            for one in folder.iterdir()
            if (suffix := f".{one.name.rpartition('.')[2]}") in _KINDS
        }

    def shell(self, *, status: int) -> Response:
        """Return the page itself; what it shows depends on what its API then says."""
        file = self._files[_SHELL]
        return Response(file.body, status, media_type=file.kind)

    def file(self, name: str, request: Request) -> Response:
        """Return one of the files.

        Raises:
            Fault: there is none of that name.
        """
        file = self._files.get(name)
        if file is None or name == _SHELL:
            raise Fault(404, "the page has no such file", code="unknown_path")
        headers = {"etag": file.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type=file.kind)


def _file(body: bytes, kind: str) -> _File:
    return _File(body, kind, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
