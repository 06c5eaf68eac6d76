"""The pages in a real browser: a served index, pictures to put in it, Chromium."""

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from playwright.sync_api import Browser, sync_playwright

from imgindex.server import create_app
from imgindex.server.run import Server
from imgindex.server.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("astronaut", "coffee", "chelsea", "rocket", "camera")


def photo(name: str) -> Any:
    """A real photo, (H, W) grey or (H, W, 3) BGR."""
    image = getattr(skimage.data, name)()
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])


def write_album(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Photos, each with a crop, a mirror image and a small copy of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        image = photo(name)
        rows, columns = image.shape[:2]
        for edit, edited in {
            "plain": image,
            "crop": image[rows // 8 :, columns // 8 :],
            "mirrored": image[:, ::-1],
            "small": cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        }.items():
            cv2.imwrite(str(folder / f"{name}-{edit}.png"), edited)
    return folder


@contextmanager
def serving(config: Mapping[str, Any]) -> Iterator[tuple[str, Service]]:
    """The app by waitress in a thread: its address and its service."""
    app = create_app({"PORT": 0, **config})
    service: Service = app.extensions["imgindex"]
    server = Server(app, service.settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.address, service
    finally:
        server.stop()
        thread.join()
        server.close()
        service.close()


def chromium() -> str | None:
    """Where the machine's own Chromium is."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        browser.close()
