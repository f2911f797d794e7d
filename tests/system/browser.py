# SPDX-License-Identifier: GPL-2.0-only
"""A headless Chromium, driven through its debugging pipe: what a browser makes of a page."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


class Browser:
    """One tab. `complaints`: what scripts threw or logged, and what the page's policy refused."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int) -> None:
        self._process, self._to = process, to
        self._back = os.fdopen(back, "rb")
        self._number = 0
        self._session = ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def _send(self, method: str, **params: Any) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return self._number

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = self._send(method, **params)
        while True:
            said = self._next()
            if said.get("id") == number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    def _next(self) -> dict[str, Any]:
        """The next message; events are noted on the way."""
        data = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, "the browser has gone"
            data += byte
        said: dict[str, Any] = json.loads(data)
        self._note(said.get("method", ""), said.get("params", {}))
        return said

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method in ("Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(str(params))
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {params}")
            self._send("Page.handleJavaScriptDialog", accept=True)  # or nothing else goes on
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, page: Path, fragment: str = "") -> None:
        """Load a file and wait until it is there, scripts and all."""
        self._call("Page.navigate", url="about:blank")
        self._call("Page.navigate", url=page.as_uri() + fragment)
        while self.run("location.protocol + document.readyState") != "file:complete":
            pass

    def show(self, page: Path) -> None:
        """Load a file where scripts do not run: the browser says when it is there."""
        self._send("Page.navigate", url=page.as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """What an expression comes to in the page."""
        done = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def press(self, key: str) -> None:
        """One key, as from a keyboard."""
        code = {"Tab": 9, "Escape": 27, "Enter": 13, " ": 32}.get(key, 0)
        text = {} if len(key) > 1 and key != "Enter" else {"text": "\r" if key == "Enter" else key}
        for kind in ("keyDown", "keyUp"):
            said = text if kind == "keyDown" else {}
            self._call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **said
            )

    def shape(self, width: int, *, dark: bool = False, media: str = "screen") -> None:
        """The window's width in CSS pixels, the colour scheme, screen or print."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def without_scripts(self) -> None:
        self._call("Emulation.setScriptExecutionDisabled", value=True)

    def html(self) -> str:
        """The document as it is now; also without scripts."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        return str(self._call("DOM.getOuterHTML", nodeId=root)["outerHTML"])

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(home: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in `home`, gone at the end."""
    (low_in, mine_out), (mine_in, low_out) = os.pipe(), os.pipe()
    # A path with room for the names of sockets, for what Chromium leaves when it is ended.
    temporary = tempfile.TemporaryDirectory(prefix="s2eval-chromium-", ignore_cleanup_errors=True)
    theirs, back = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (low_in, low_out))
    os.close(low_in)
    os.close(low_out)
    process = subprocess.Popen(
        # The pipe is file descriptors 3 and 4, which is why ours are others.
        ["bash", "-c", f'exec "$0" "$@" 3<&{theirs} 4>&{back}', CHROMIUM,
         "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
         "--remote-debugging-pipe", f"--user-data-dir={home}"],
        pass_fds=(theirs, back),
        env={**os.environ, "TMPDIR": temporary.name},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    os.close(back)
    try:
        yield Browser(process, mine_out, mine_in)
    finally:
        process.terminate()
        process.wait(timeout=20)
        temporary.cleanup()
        os.close(mine_out)
