"""The pages that people look at: one blueprint a file, each made by `layout.page_blueprint`."""

from flask import Flask

from imgindex.server.pages import cleaning, duplicates, layout, library, report, themes


def register(app: Flask) -> None:
    """Add all pages to an app that has a service."""
    layout.register(app)
    for page in (layout, library, duplicates, cleaning, themes, report):
        app.register_blueprint(page.pages)
