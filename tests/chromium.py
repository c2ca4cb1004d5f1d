"""A real Chromium, headless, asked over DevTools' pipe: JSON messages that end in a zero byte, on descriptors 3 and 4."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Chromium:
    """One page of a browser."""

    def __init__(self, to: int, from_: int) -> None:
        self.to, self.answers = os.fdopen(to, "wb"), os.fdopen(from_, "rb")
        self.number, self.session, self.rest = 0, "", b""
        self.events: list[dict] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: object) -> dict:
        """The answer to a command; what happens meanwhile is kept in `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, page: Path, width: int, height: int = 900, dark: bool = False) -> None:
        """Loads a file at a width, as a phone would below 600."""
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = "dark" if dark else "light"
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def evaluate(self, script: str) -> object:
        """A script's value."""
        return self.ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def complaints(self) -> list[dict]:
        """What the browser logged, threw or printed since the page was opened."""
        wrong = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
        return [event for event in self.events if event.get("method") in wrong]

    def fetched(self) -> list[str]:
        """Addresses asked for since the page was opened."""
        return [event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        data = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def printed(self) -> bytes:
        """The page as PDF on A4."""
        return base64.b64decode(self.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True)["data"])

    def _read(self) -> dict:
        while b"\0" not in self.rest:
            block = self.answers.read1(1 << 16)
            assert block, "Chromium is gone"
            self.rest += block
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)


@contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """A browser with a profile of its own, ended with the block."""
    program = shutil.which("chromium")
    assert program, "The tests need Chromium: sudo apt-get install chromium"
    child_in, to = os.pipe()
    from_, child_out = os.pipe()
    flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars --remote-debugging-pipe"
    command = f'exec "$0" {flags} --user-data-dir="$1" 3<&{child_in} 4>&{child_out}'
    process = subprocess.Popen(
        ["bash", "-c", command, program, str(profile)],
        pass_fds=(child_in, child_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile), "XDG_CACHE_HOME": str(profile)},
    )
    os.close(child_in)
    os.close(child_out)
    browser = Chromium(to, from_)
    try:
        yield browser
        browser.session = ""
        browser.ask("Browser.close")
    finally:
        browser.to.close()
        browser.answers.close()
        process.wait(20)
