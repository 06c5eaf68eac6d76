"""The layers of the design, as pyproject.toml lists them."""

from importlinter.cli import lint_imports


def test_rooms_import_only_from_lower_levels():
    assert lint_imports(no_cache=True) == 0
