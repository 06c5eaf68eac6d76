"""Clusters -> plots as SVG that explain themselves."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any
from unicodedata import east_asian_width

import numpy as np

from imgindex.clustering.records import Clusters, Run, Theme
from imgindex.errors import StorageError, UsageError
from imgindex.rendering.paths import printable
from imgindex.rendering.sentences import counted

SHOWN = 40  # themes that a plot shows: more make it taller than a screen
POINTS = 64  # silhouettes that are drawn of one theme: more change no pixel, and make the file large
NAME = 28  # width of a name, in letters: a quarter of the plot
WIDE = 30  # a range of k beyond which labels would overlap, so the scale is logarithmic

BLUES, GREEN, ORANGE, GREY = ("#2f6690", "#81a9c8"), "#136c34", "#d1701a", "#5c636e"
_STYLE = {
    "svg.fonttype": "none",  # text stays text: a browser finds letters that matplotlib's font lacks
    "svg.hashsalt": "imgindex",  # so that the same plot is the same file
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
_alone = Lock()  # matplotlib has one style for the whole process


def write_plots(clusters: Clusters, folder: Path) -> list[Path]:
    """Write curve.svg, silhouettes.svg and sizes.svg; the same clusters give the same files.

    Raises UsageError when there was no run yet, StorageError when the folder cannot be written.
    """
    plots = plots_svg(clusters)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, svg in plots.items():
            (folder / name).write_bytes(svg)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written ({error.strerror}); name another folder.") from error
    return [folder / name for name in plots]


def plots_svg(clusters: Clusters) -> dict[str, bytes]:
    """The files of `write_plots` by their names. Raises UsageError when there was no run yet."""
    if clusters.run is None:
        raise UsageError("There is no run to plot yet; recluster first.", hint="Run `imgindex recluster`.")
    from matplotlib import style

    with _alone, style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        return {
            "curve.svg": _svg(_curve(clusters.run)),
            "silhouettes.svg": _svg(_silhouettes(clusters.run, clusters.themes)),
            "sizes.svg": _svg(_sizes(clusters.themes)),
        }


def _svg(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _curve(run: Run) -> Any:
    """Inertia and silhouette against k, one above the other."""
    figure = _figure(8, 7)
    above, below = figure.subplots(2, sharex=True)
    ks = np.array([candidate.k for candidate in run.curve])
    inertia = np.array([candidate.inertia for candidate in run.curve])
    silhouette = np.array([candidate.silhouette for candidate in run.curve])
    error = np.array([candidate.error for candidate in run.curve])
    _title(figure, f"How many themes? {run.k} for {counted(run.images, 'image')}")

    above.set_title(
        "Inertia: how far images are from the centre of their theme.\nIt falls with every additional theme."
    )
    above.plot(ks, inertia, ".-", color=BLUES[0])
    if run.elbow is None:
        above.plot([], [], " ", label="no elbow")
    else:
        label = f"the elbow, after which it falls slowly: {run.elbow}"
        ring = {"ms": 13, "mfc": "none", "mew": 2, "color": ORANGE, "label": label}
        above.plot([run.elbow], [np.interp(run.elbow, ks, inertia)], "o", **ring)
    above.set_ylabel("inertia")

    below.set_title("Silhouette: how clearly themes are separated, from -1 to 1.\nHigher is better.")
    below.plot(ks, silhouette, ".-", color=BLUES[0])
    if error.any():
        band = {"color": BLUES[1], "alpha": 0.5, "lw": 0, "label": "standard error: measured on a sample"}
        below.fill_between(ks, silhouette - error, silhouette + error, **band)
    result = f"the run, on all images: {run.silhouette:.2f}"
    below.plot([run.k], [run.silhouette], "*", ms=13, color=GREEN, label=result)
    below.set(ylabel="silhouette", xlabel="k, the number of themes")
    for panel in above, below:
        panel.axvline(run.k, color=GREEN, ls="--", label=f"chosen: {run.k}")
        panel.legend()
    _scale(below, [*ks.tolist(), run.k])
    return figure


def _scale(axes: Any, ks: Sequence[int]) -> None:
    """Whole numbers from the least to the highest k, on a log scale where that is far."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    low, high = min(ks), max(ks)
    if high - low <= WIDE:
        axes.set_xlim(low - 0.5, high + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        return
    axes.set_xscale("log")
    axes.set_xlim(low / 1.1, high * 1.1)
    ticks = [step * 10**power for power in range(len(str(high))) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _silhouettes(run: Run, themes: Sequence[Theme]) -> Any:
    """Each theme's silhouettes, sorted, as a hill on its side; more images make it higher."""
    found = [np.array([m.silhouette for m in theme.images if m.silhouette is not None]) for theme in themes]
    drawn = [(theme, np.sort(values)[::-1]) for theme, values in zip(themes, found, strict=True) if len(values)]
    sizes = [len(values) for _, values in drawn]
    shown, total = drawn[:SHOWN], sum(sizes[:SHOWN])
    heights = [0.2 + 4 * size / total for size in sizes[:SHOWN]]  # inches; the least is a line of text
    figure = _figure(8, 2 + sum(heights))
    axes = figure.subplots()
    tops = np.cumsum([0.0, *heights])
    for number, (_, values) in enumerate(shown):
        rows = np.linspace(0, len(values) - 1, min(max(len(values), 2), POINTS)).round().astype(int)
        y = np.linspace(tops[number], tops[number + 1] - 0.05, len(rows))
        axes.fill([0, *values[rows], 0], [y[0], *y, y[-1]], color=BLUES[number % 2], lw=0)
    axes.set_yticks((tops[:-1] + tops[1:]) / 2, [f"{_name(theme)} ({len(values)})" for theme, values in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(tops[-1], 0.1), -0.05)
    axes.axvline(0, color=GREY, lw=0.8)
    axes.axvline(run.silhouette, color=ORANGE, ls="--")
    mean = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom", "color": ORANGE}
    axes.annotate(f"mean: {run.silhouette:.2f}", (run.silhouette, 1), **mean)
    _title(figure, "How well images fit their themes")
    notes = [
        "silhouette of each image; the higher the hill, the more images",
        "Right of 0: closer to their own theme; left of 0: closer to another.",
    ]
    if len(themes) == 1:
        notes.append("All are 0 because there is only one theme.")
    if max(sizes, default=0) > POINTS:
        notes.append(f"Of a large theme, only {POINTS} images are drawn, evenly spread over its hill.")
    placed = sum(len(theme.images) for theme in themes) - sum(sizes)
    if placed:
        notes.append(f"Not shown: {counted(placed, 'image')} added since the run, which have no silhouette yet.")
    axes.set_xlabel("\n".join([*notes, *_left_out(sizes)]))
    return figure


def _sizes(themes: Sequence[Theme]) -> Any:
    """A bar for each theme, with images added since the run in another colour."""
    shown, total = themes[:SHOWN], sum(len(theme.images) for theme in themes)
    figure = _figure(8, 1.7 + 0.25 * max(len(shown), 1))
    axes = figure.subplots()
    sizes = np.array([len(theme.images) for theme in shown], int)
    new = np.array([sum(member.silhouette is None for member in theme.images) for theme in shown], int)
    rows = np.arange(len(shown))
    axes.barh(rows, sizes - new, color=BLUES[0], label="of the run")
    if new.any():
        axes.barh(rows, new, left=sizes - new, color=ORANGE, label="added since")
        axes.legend(loc="lower right")
    for row, size in zip(rows, sizes.tolist(), strict=True):
        text = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "color": GREY, "size": 9}
        axes.annotate(f"{size} ({size / total:.1%})", (size, row), **text)
    axes.set_yticks(rows, [_name(theme) for theme in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * max(sizes, default=1))
    axes.xaxis.get_major_locator().set_params(integer=True)
    _title(figure, f"How large themes are: {counted(total, 'image')} in {counted(len(themes), 'theme')}")
    axes.set_xlabel("\n".join(["images", *_left_out([len(theme.images) for theme in themes])]))
    return figure


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def _title(figure: Any, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", weight="bold")


def _left_out(sizes: Sequence[int]) -> list[str]:
    if len(sizes) <= SHOWN:
        return []
    smaller = counted(len(sizes) - SHOWN, "smaller theme")
    return [f"Not shown: {smaller} with {counted(sum(sizes[SHOWN:]), 'image')} in all."]


def _name(theme: Theme) -> str:
    """A theme's name on one short line, whatever it has."""
    text = printable(theme.title[: NAME + 1])
    widths = np.cumsum([2 if east_asian_width(c) in "WF" else 1 for c in text])
    return text if widths[-1] <= NAME else text[: int((widths < NAME).sum())] + "…"
