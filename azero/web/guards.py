"""What stands before the page: who may ask it, how much, and how often."""

import ipaddress
import json
import socket
import threading
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 64 * 1024  # bytes of a request
PER_SECOND, AT_ONCE = 40.0, 200.0  # requests of one address: in the long run, and after a pause
ADDRESSES = 1024  # that are counted
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HEADERS = (
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
     b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether a host names this machine to itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Wraps the page: refuses foreign hosts and origins, large bodies and hurried clients, each in one line."""

    def __init__(self, app: ASGIApp, host: str):
        self.app = app
        self.host = host
        self._names = {*LOOPBACK, host}
        if not is_loopback(host):
            own = socket.gethostname().lower()
            self._names |= {own, f"{own}.local", socket.getfqdn().lower()}
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and when that was
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if refusal := self._refusal(scope):
            await _refuse(send, *refusal)
            return
        body = await _body(receive)
        if body is None:
            await _refuse(send, 413, f"a request has {LARGEST_BODY // 1024} KiB at most")
            return
        messages = [body]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self.app(scope, again, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._is_own(_name(host)):
            return 421, f"this page is not {_name(host)!r}; open it by the address that azero serve printed"
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["path"].startswith("/api/")
        if foreign or _netloc(headers.get("origin"), host) != host:
            return 403, "other pages may not ask this one"
        if scope["method"] == "POST" and headers.get("content-type", "").partition(";")[0] != "application/json":
            return 415, "what is sent must be application/json"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return 413, f"a request has {LARGEST_BODY // 1024} KiB at most"
        client = scope.get("client") or ("",)
        if not self._has_left(client[0]):
            return 429, "too many requests; wait a second"
        return None

    def _is_own(self, name: str) -> bool:
        """Whether a Host header is one that this page has. A name that somebody else's server may give is not."""
        if name in self._names:
            return True
        if is_loopback(self.host):
            return False
        try:
            ipaddress.ip_address(name)
            return True
        except ValueError:
            return False

    def _has_left(self, address: str) -> bool:
        now = time.monotonic()
        with self._lock:
            left, then = self._left.pop(address, (AT_ONCE, now))
            left = min(AT_ONCE, left + (now - then) * PER_SECOND)
            self._left[address] = (left - 1 if left >= 1 else left, now)
            while len(self._left) > ADDRESSES:
                self._left.popitem(last=False)
        return left >= 1


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _netloc(origin: str | None, default: str) -> str:
    """The host and port in an Origin header; `default` without one."""
    try:
        return default if origin is None else urlsplit(origin).netloc
    except ValueError:
        return ""


async def _body(receive: Receive) -> Message | None:
    """The whole body as one message; None if it is too large."""
    content = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return message
        content += message.get("body", b"")
        if len(content) > LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return {"type": "http.request", "body": content, "more_body": False}


async def _refuse(send: Send, status: int, what: str) -> None:
    body = json.dumps({"error": what}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
