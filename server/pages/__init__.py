"""The pages that people look at: one blueprint a file."""

from flask import Flask

from imgindex.server.pages import cleaning, duplicates, library, report, themes
from imgindex.server.pages import layout as frame


def register(app: Flask) -> None:
    """Add all pages to an app that has a service."""
    frame.register(app)
    for page in (library, duplicates, cleaning, themes, report):
        app.register_blueprint(page.pages)
