"""A page as a test looks at it: tags, text, figures, and the rules that every page keeps."""

from html.parser import HTMLParser

VOID = ("img", "input", "meta", "link", "line", "path", "circle", "rect", "wbr", "hr", "br")


class Page(HTMLParser):
    """What a browser sees of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        html.encode()
        self.tags: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []  # with the tags around them
        self.text = ""
        self.figures: list[str] = []  # their text
        self.kept: list[int] = []  # the figures of class `kept`
        self.misplaced: list[str] = []  # tags that end out of order, or never
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.misplaced += self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "figure":
            self.kept += [len(self.figures)] if dict(attrs).get("class") == "kept" else []
            self.figures.append("")

    def handle_endtag(self, tag):
        while tag in self._open and (closed := self._open.pop()) != tag:
            self.misplaced.append(closed)

    def handle_data(self, data):
        self.text += data
        if self.figures:
            self.figures[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each such tag."""
        return [attributes for name, attributes, _ in self.tags if name == tag]

    def values(self, attribute: str, tag: str | None = None) -> list[str]:
        """The values of an attribute, wherever it stands or on one kind of tag."""
        return [str(values[attribute]) for name, values, _ in self.tags if attribute in values and tag in (None, name)]


def self_contained(html: str) -> Page:
    """A page that needs nothing beside itself, and whose tags are in order."""
    page = Page(html)
    assert not page.misplaced
    assert {tag for tag, _, _ in page.tags}.isdisjoint({"script", "link", "iframe"})
    assert not any(str(value).startswith("http") for _, attributes, _ in page.tags for value in attributes.values())
    return page


def of_the_server(html: str) -> Page:
    """A page with nothing that the policy forbids, and with names for all that is shown or filled in."""
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for tag, values, around in page.tags:
        assert not [name for name in values if name == "style" or name.startswith("on")]
        assert tag not in ("style", "iframe")
        assert tag != "script" or str(values.get("src", "")).startswith("/static/")
        assert tag != "img" or "alt" in values
        if tag in ("input", "select") and values.get("type") != "hidden":
            assert "label" in around or values.get("id") == "token"
    return page
