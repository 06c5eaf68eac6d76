"""Pictures of the pages, to look at: python -m tests.support.screenshots FOLDER [--photos DIR].

Without --photos the pages show a few photos of scikit-image and the fake model; with it, that folder and vgg16-gem.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from imgindex.server.service import Service
from tests.support.browser import browsing, serving, write_album
from tests.support.embedders import PageEmbedder

WHOLE = ("library", "themes", "report", "duplicates", "group", "related")
SIZES = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go; outside of the repository")
    parser.add_argument("--photos", type=Path, help="pictures to show")
    parser.add_argument("--index", type=Path, help="where the index is made, or is from another time")
    arguments = parser.parse_args()
    if arguments.folder.resolve().is_relative_to(Path(__file__).resolve().parents[2]):
        parser.error("choose a folder outside of the repository.")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        photos = arguments.photos or write_album(Path(temporary) / "album")
        model: dict[str, Any] = {"MODEL": "vgg16-gem"} if arguments.photos else {"EMBEDDER": PageEmbedder()}
        with serving({"INDEX": arguments.index or Path(temporary) / "index", **model}) as (address, service):
            prepare(service, photos)
            with browsing() as browser:
                for size, options in SIZES.items():
                    shoot(browser, address, service, arguments.folder, size, options)


def prepare(service: Service, photos: Path) -> None:
    """Fill an index, with a history of reports and runs."""
    index = service.index
    paths = sorted(path for path in photos.rglob("*") if path.is_file())
    for part in (len(paths) // 3, len(paths) * 2 // 3, len(paths)):
        if index.counts().files < part:
            index.add(paths[:part])
            index.reports.make()
            index.themes.recluster()


def shoot(browser: Browser, address: str, service: Service, folder: Path, size: str, options: dict[str, Any]) -> None:
    """Each page in one size."""
    groups = service.duplicates().groups
    near = next((group for group in groups if group.weakest), None)
    theme = next(iter(service.clusters().themes), None)
    newest = service.index.images.list(limit=1)[0].id
    pages = {
        "library": "/",
        "picture": f"/images/{near.files[0].image if near else newest}",
        "similar": f"/similar/{near.files[0].image if near else newest}",
        "duplicates": "/duplicates",
        "group": f"/duplicates/{near.id}" if near else "/duplicates",
        "related": "/duplicates/related",
        "plan": "/duplicates/plan",
        "themes": "/themes",
        "theme": f"/themes/{theme.id}" if theme else "/themes",
        "report": "/report",
        "missing": "/images/999999",
    }
    with browser.new_context(**options) as context:
        page = context.new_page()
        for name, path in pages.items():
            page.goto(address + path, wait_until="networkidle")
            page.screenshot(path=folder / f"{name}-{size}.png")
            if name in WHOLE:
                for step in range(40):  # pictures are loaded when they come into sight
                    page.mouse.wheel(0, 600)
                    if step % 4 == 0:
                        page.wait_for_load_state("networkidle")
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=folder / f"{name}-{size}-whole.png", full_page=True)


if __name__ == "__main__":
    main()
