"""The demo on real photos: index a folder, add a few more, find similar pictures, show copies and themes."""

import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imgindex import ImageIndex, ImgindexError, default_model
from imgindex.rendering import text
from imgindex.types import Pixels

# Real photos among what the scikit-image and scikit-learn wheels carry; the last ones come later, one at a time.
PHOTOS = [
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "china.jpg",
    "flower.jpg",
    "rocket.jpg",
    "text.png",
    "page.png",
]
LATER = 3
QUERY = "motorcycle_right.png"  # the other eye of a stereo pair; not indexed

EDITS: dict[str, Callable[[Pixels], Pixels]] = {
    "crop": lambda image: image[image.shape[0] // 8 :, image.shape[1] // 8 :],
    "mirrored": lambda image: image[:, ::-1],
    "small": lambda image: np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8),
}
COPIED = ("astronaut.png", "coffee.png", "china.jpg")  # byte for byte


def run(show: Any, progress: Callable[..., AbstractContextManager[Callable[[int, int], None]]], port: int) -> Path:
    """Run the demo, printing to the rich console `show`; returns the folder of the index.

    Raises ImgindexError when the photos are not installed.
    """
    sources = {path.name: path for path in _photos()}
    folder = tempfile.mkdtemp(prefix="imgindex-demo-")
    program = "imgindex" if shutil.which("imgindex") else os.path.abspath(sys.argv[0])
    os.chdir(folder)  # so that printed paths are short
    pictures = Path("pictures")
    model, why = default_model()
    show.rule("imgindex demo")
    show.print(f"Model {model}. {why}", highlight=False)

    for name in PHOTOS[:-LATER]:
        _write_with_edits(sources[name], pictures)
    count = sum(1 for _ in pictures.iterdir())
    show.print(
        f"\n[bold]1. Index[/] {count} pictures: {len(PHOTOS) - LATER} photos, edits and copies, in {folder}/{pictures}"
    )
    with ImageIndex("index", model=model) as index:
        with progress(index) as step:
            added = index.add([pictures], progress=step)
        show.print(text.added_text(added), highlight=False)

        show.print(f"\n[bold]2. Add[/] {LATER} more, one at a time")
        for name in PHOTOS[-LATER:]:
            path = pictures / name
            path.write_bytes(sources[name].read_bytes())
            start = time.monotonic()
            index.add([path])
            show.print(f"  {name}: {(time.monotonic() - start) * 1000:.0f} ms", highlight=False)

        show.print(f"\n[bold]3. Find images like[/] {QUERY}, the other eye of a stereo pair, which is not in the index")
        show.print(text.similar_table(index.similar(sources[QUERY], k=6).results))

        show.print("\n[bold]4. Duplicates[/], proven by laying one picture over the other")
        show.print(text.duplicates_text(index.duplicates.find()))

        show.print("\n[bold]5. Themes[/], as many as silhouette and elbow suggest")
        with progress(index, "clustering") as step:
            index.themes.recluster(progress=step)
        show.print(text.clusters_text(index.themes.current()))

    show.print("\n[bold]Next[/], try")
    for command in (
        f"cd {folder}",
        f"{program} similar pictures/chelsea.png --index index",
        f"{program} add ~/Pictures",
        f"{program} similar SOME_PICTURE.jpg",
        f"{program} duplicates --index index --html copies.html",
        f"{program} clusters --index index --html themes.html",
        f"{program} serve --index index --port {port}",
    ):
        show.print(f"  {command}", highlight=False, soft_wrap=True)
    show.print(f"The last one, or `imgindex demo --serve`, shows it all at http://127.0.0.1:{port}.", highlight=False)
    return Path(folder, "index")


def _photos() -> Iterator[Path]:
    wanted = {*PHOTOS, QUERY}
    for package, inside in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ImgindexError(
                f"The demo's photos come with {package}, which is not installed; run `pip install 'imgindex[offline]'`."
            )
        folder = Path(spec.submodule_search_locations[0]) / inside
        yield from (path for path in folder.iterdir() if path.name in wanted)


def _write_with_edits(source: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    data = source.read_bytes()
    (folder / source.name).write_bytes(data)
    if source.name in COPIED:
        (folder / f"{source.stem}-copy{source.suffix}").write_bytes(data)
    image = np.asarray(cv2.imread(str(source)), np.uint8)
    for name, edit in EDITS.items():
        cv2.imwrite(str(folder / f"{source.stem}-{name}.jpg"), edit(image), [cv2.IMWRITE_JPEG_QUALITY, 80])
