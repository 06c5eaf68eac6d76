"""The models, a row for each, the best first: a new one is a module like `vgg16`, and its row here."""

from pathlib import Path

from imgindex.errors import UsageError
from imgindex.models import vgg16
from imgindex.models.base import Availability, Embedder, Model, Precision

MODELS: dict[str, Model] = {row.name: row for row in (vgg16.FC2.row(), vgg16.GEM.row())}


def load_embedder(name: str, *, weights: Path | None = None, precision: Precision | None = None) -> Embedder:
    """Load a model of MODELS, from the file `weights` or from where its row finds them.

    A download shows its progress on stderr. Without a `precision` the hardware decides: bfloat16 where the
    CPU computes in it, else float32. Raises UsageError on an unknown name, WeightsError on bad weights.
    """
    if name not in MODELS:
        raise UsageError(f"There is no model {name!r}; choose one of {', '.join(MODELS)}.")
    model = MODELS[name]
    return model.load(model.find(weights), precision)


def available_models(*, weights: Path | None = None) -> list[Availability]:
    """All models and whether their weights are available; looks for files and opens none."""
    found = {model: model.find(weights) for model in MODELS.values()}
    return [Availability(model.name, model.dimension, str(source), source.ready) for model, source in found.items()]


def default_model(weights: Path | None = None) -> tuple[str, str]:
    """The name of the best model whose weights are available, and why, in a sentence. Downloads nothing.

    A file that is named decides for the model whose weights it has.
    """
    found = [(model, model.find(weights)) for model in MODELS.values()]
    best, source = found[0]
    if source.kind == "given":
        fitting = next((model for model, _ in found if model.fits(source.path)), best)
        if fitting is not best:
            return fitting.name, f"The weights in {source} are those of {fitting.name}."
    if source.kind != "download":
        return best.name, f"Its weights are available: {source}."
    missing = f"those of {best.name} are a download of {source.megabytes} MB"
    for model, other in found[1:]:
        if other.ready:
            return model.name, f"Its weights are available: {other}; {missing}."
    return best.name, f"No weights are available; {missing} to {source.path}."
