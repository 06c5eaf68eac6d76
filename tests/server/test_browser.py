"""The pages in real Chromium, against a real server."""

import base64
import shutil
import threading
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from tests.support.browser import browsing, chromium, serving, write_album
from tests.support.embedders import PageEmbedder

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium; apt-get install chromium brings one")

ALBUM = ("coffee", "chelsea")
COLOURS = ("ink", "soft", "keep", "look", "accent", "bad")
TRANSFER = """async ([name, data]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type: "image/png"}));
    return transfer;
}"""
SHIFTS = """() => new Promise((done) => {
    new PerformanceObserver((list) => {
        done(list.getEntries().filter((one) => !one.hadRecentInput).reduce((sum, one) => sum + one.value, 0));
    }).observe({type: "layout-shift", buffered: true});
    setTimeout(() => done(0), 200);
})"""
CONTRAST = """(names) => {
    const probe = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const root = getComputedStyle(document.documentElement);
    const light = (name) => {
        probe.fillStyle = root.getPropertyValue(`--${name}`);
        probe.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...probe.getImageData(0, 0, 1, 1).data].map((part) => {
            const value = part / 255;
            return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return names.flatMap((name) => ["paper", "card", "tint"].map((ground) => ratio(light(name), light(ground))));
}"""


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return write_album(tmp_path_factory.mktemp("album") / "photos", ALBUM)


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with serving({"INDEX": tmp_path / "index", "EMBEDDER": PageEmbedder()}) as (address, service):
        yield SimpleNamespace(address=address, service=service, index=service.index, folder=tmp_path)


@pytest.fixture
def full(served, album):
    photos = shutil.copytree(album, served.folder / "photos")
    shutil.copy(photos / "coffee-plain.png", photos / "coffee-again.png")
    served.index.add([photos])
    served.photos = photos
    return served


@pytest.fixture
def open_page(browser, served):
    """Open a page; at the end of the test, no script failed and no policy was broken."""
    contexts, wrong = [], []

    def open_page(path="/", **options):
        contexts.append(browser.new_context(base_url=served.address, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.goto(path, wait_until="networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in wrong if "status of 422" not in text] == []  # which the browser says of refused uploads


def paths(full):
    group = next(group for group in full.service.duplicates().groups if group.weakest)
    return (
        "/", f"/images/{group.files[0].image}", f"/similar/{group.files[0].image}", "/duplicates",
        f"/duplicates/{group.id}", f"/duplicates/{group.id}?weakest=1", "/duplicates/alike", "/duplicates/plan",
        "/themes", "/themes/1", "/report",
    )  # fmt: skip


def drop(page, path, target):
    """As if a file were dragged there from another program."""
    transfer = page.evaluate_handle(TRANSFER, [path.name, base64.b64encode(path.read_bytes()).decode()])
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event(target, event, {"dataTransfer": transfer})


def test_uploads_are_chosen_and_told_one_by_one(open_page, served, album):
    page = open_page()
    bad = served.folder / "bad.jpg"
    bad.write_bytes(b"no picture")
    page.set_input_files("#upload input", [*sorted(album.glob("coffee-*")), bad])
    expect(page.locator("#uploading")).to_have_text("Done: 4 new, 1 not added")
    expect(page.locator("#files li").first).to_contain_text("not a picture")
    expect(page.locator("#files")).to_contain_text("a copy of image")
    expect(page.locator(".tile")).to_have_count(4)  # the wall follows
    expect(page.locator("#count-library")).to_have_text("4")
    expect(page.locator("#status")).to_have_text("Upload finished: 4 new, 1 not added.")
    page.set_input_files("#upload input", album / "coffee-crop.png")
    expect(page.locator("#uploading")).to_have_text("Done: 1 already there")
    page.click("#dismiss")
    expect(page.locator("#uploads")).to_be_hidden()


def test_an_upload_is_dropped(open_page, served, album):
    page = open_page()
    drop(page, album / "coffee-plain.png", "#upload h2")
    expect(page.locator("#uploading")).to_have_text("Done: 1 new")
    page.click("#files a")
    expect(page.locator(".large img")).to_be_visible()
    page.wait_for_function("document.querySelector('.large img').naturalWidth == 600")
    assert served.index.counts().images == 1


def test_what_a_dropped_picture_is_like_and_narrowing_it(open_page, full, album):
    full.index.themes.recluster(2)
    page = open_page()
    other = full.folder / "other.png"
    other.write_bytes((album / "coffee-small.png").read_bytes() + b"\0")
    drop(page, other, "#search h2")
    expect(page.locator(".hit")).to_have_count(8)
    expect(page.locator(".hit").first).to_contain_text("coffee-")
    assert page.locator(".hit .meter").first.get_attribute("aria-valuenow").startswith(("9", "100"))
    expect(page.locator("#status")).to_contain_text("8 pictures found")
    assert full.index.counts().images == 8
    page.focus("#min")
    page.keyboard.press("End")
    expect(page.locator(".hit")).to_have_count(1)  # the same pixels
    expect(page.locator("#min")).to_be_focused()  # it is another one, yet the keys go on
    page.keyboard.press("Home")
    expect(page.locator(".hit")).to_have_count(8)
    page.select_option("#theme", label=page.locator("#theme option").nth(1).inner_text())
    expect(page.locator(".hit")).not_to_have_count(8)
    page.click("text=Back to all pictures")
    expect(page.locator(".tile")).to_have_count(8)


def test_a_dropped_file_that_is_no_picture(open_page, full):
    page = open_page()
    bad = full.folder / "bad.png"
    bad.write_bytes(b"no picture")
    drop(page, bad, "#search")
    expect(page.locator("[role=alert]").first).to_contain_text("This file cannot be read")


@pytest.mark.usefixtures("full")
def test_images_like_this(open_page):
    page = open_page()
    page.hover(".tile >> nth=0")
    page.click(".tile >> nth=0 >> .like")
    expect(page.locator("h1")).to_have_text("Images similar to this")
    expect(page.locator(".hit")).to_have_count(7)
    page.focus("#min")
    page.keyboard.press("End")
    expect(page.locator("#results .empty")).to_be_visible()
    assert "min=100" in page.url
    page.reload()
    expect(page.locator("#results .empty")).to_be_visible()


@pytest.mark.usefixtures("full")
def test_the_wall_goes_on_by_itself(open_page, monkeypatch):
    monkeypatch.setattr("imgindex.server.pages.library.PAGE", 2)
    page = open_page(viewport={"width": 800, "height": 500})
    expect(page.locator(".tile")).to_have_count(8)
    assert len(set(page.locator(".tile .open").evaluate_all("all => all.map((one) => one.href)"))) == 8


@pytest.mark.usefixtures("full")
def test_deciding_in_the_list(open_page):
    page = open_page("/duplicates")
    card = page.locator("article").filter(has_text="coffee-")
    expect(card.locator("li").first).to_contain_text("Stays: holds all the others")
    expect(card.locator("li", has_text="coffee-small")).to_contain_text("May go: coffee-plain.png holds all of it")
    card.locator("li", has_text="coffee-small").get_by_role("button", name="Keep this one").click()
    expect(card.locator("li").first).to_contain_text("coffee-small")
    expect(card.locator("li").first).to_contain_text("you chose it")
    card.get_by_role("button", name="Undo the choice").click()
    expect(card.locator("li").first).not_to_contain_text("coffee-small")
    card.locator("li", has_text="coffee-small").get_by_role("button", name="Not a duplicate").click()
    expect(card).not_to_contain_text("coffee-small")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("main .notice")).to_contain_text("Undone")
    expect(card).to_contain_text("coffee-small")


def test_deciding_on_the_page_of_a_group(open_page, full):
    group = next(group for group in full.service.duplicates().groups if "coffee" in group.files[0].path)
    other = group.files[-1].image
    page = open_page(f"/duplicates/{group.id}?image={other}")
    page.get_by_role("button", name=f"Keep image {other} instead").click()
    expect(page.locator(".notice")).to_contain_text("that file stays")
    assert full.service.duplicates().groups[0].files[0].image == other
    page.get_by_role("button", name="is not a duplicate").click()
    expect(page.locator("main .notice").last).to_contain_text("different pictures")
    assert len(full.service.duplicates().groups[0].files) < len(group.files)


def test_two_pictures_are_laid_over_each_other(open_page, full):
    full.index.duplicates.prefer([full.photos / "coffee-plain.png"])
    group = next(group for group in full.service.duplicates().groups if "coffee" in group.files[0].path)
    crop = next(file.image for file in group.files if "crop" in file.path)
    page = open_page(f"/duplicates/{group.id}?image={crop}")
    below, above = (page.locator(f".stage .{name}").bounding_box() for name in ("below", "above"))
    assert above["x"] == pytest.approx(below["x"] + below["width"] / 8, abs=0.02 * below["width"])
    assert above["y"] == pytest.approx(below["y"] + below["height"] / 8, abs=0.02 * below["width"])
    assert above["width"] == pytest.approx(below["width"] * 7 / 8, abs=0.02 * below["width"])
    stage = page.locator(".stage").bounding_box()
    assert stage["x"] <= below["x"] + 1
    assert below["x"] + below["width"] <= stage["x"] + stage["width"] + 1
    page.focus(".opacity")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.locator(".above").evaluate("one => getComputedStyle(one).opacity") == "0.01"
    expect(page.locator(".controls output")).to_have_text("1%")
    page.check(".difference")
    assert page.locator(".above").evaluate("one => getComputedStyle(one).mixBlendMode") == "difference"
    page.set_viewport_size({"width": 500, "height": 700})
    expect(page.locator(".stage.ready")).to_be_visible()
    assert page.locator(".below").bounding_box()["width"] < below["width"]


def test_a_clean_is_planned_done_and_undone(open_page, full):
    page = open_page("/duplicates")
    page.click("text=Plan a clean")
    expect(page.locator(".steps li")).to_have_count(7)
    page.get_by_role("button", name="Move 7 files to the trash").click()
    expect(page.locator(".lead")).to_contain_text("7 files moved to the trash")
    assert len(list(full.photos.iterdir())) == 2
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".lead")).to_contain_text("7 files brought back")
    assert len(list(full.photos.iterdir())) == 9
    expect(page.locator("#count-library")).to_have_text("8")


@pytest.mark.usefixtures("full")
def test_reclustering_is_watched_and_a_theme_is_named(open_page):
    page = open_page("/themes")
    expect(page.locator(".empty")).to_contain_text("No themes yet")
    page.fill("input[name=clusters]", "2")
    page.get_by_role("button", name="Sort into themes").click()
    expect(page.locator(".sheet")).to_have_count(2)
    expect(page.locator("#status")).to_contain_text("Reclustering is done")
    expect(page.locator("#count-themes")).to_have_text("2")
    for plot in page.locator(".plots img").all():
        plot.scroll_into_view_if_needed()
        expect(plot).to_have_js_property("complete", True)
        assert plot.evaluate("one => one.naturalWidth") > 100
    sheet = page.locator(".sheet").first
    sheet.locator("summary").click()
    expect(sheet.locator("input")).to_be_focused()
    page.keyboard.type("Cups & <b>cats</b>")
    page.keyboard.press("Enter")
    expect(sheet.locator("h2")).to_have_text("Cups & <b>cats</b>")
    page.get_by_role("button", name="Recluster now").click()
    expect(page.locator(".lead")).to_contain_text("Run 2")
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_progress_is_polled(open_page, full, monkeypatch):
    go = threading.Event()
    recluster = full.index.themes.recluster

    def slow(clusters, *, why, progress):
        progress(3, 12)
        go.wait(20)
        return recluster(clusters, why=why)

    monkeypatch.setattr(full.index.themes, "recluster", slow)
    page = open_page("/themes")
    page.get_by_role("button", name="Sort into themes").click()
    expect(page.locator("#job")).to_contain_text("Tried 3 of 12 numbers of themes")
    assert page.locator("#job progress").get_attribute("value") == "3"
    page.goto("/themes")  # who comes later sees it, too
    expect(page.locator("#job")).to_contain_text("3 of 12")
    go.set()
    expect(page.locator(".sheet")).not_to_have_count(0)


@pytest.mark.usefixtures("full")
def test_the_report_is_kept_and_downloaded(open_page):
    page = open_page("/report")
    page.get_by_role("button", name="Save this report").click()
    expect(page.locator(".notice")).to_contain_text("The report is saved")
    expect(page.locator(".plot circle")).to_have_count(2)
    with page.expect_download() as download:
        page.click("text=Download CSV")
    assert download.value.path().read_text().startswith("folder,files,redundant,percent")


@pytest.mark.usefixtures("full")
def test_by_keyboard_alone(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Duplicates")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/duplicates")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skips to the content
    for name in ("Plan a clean", page.locator("h2 a").first.inner_text()):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == name
    page.goto("/", wait_until="networkidle")
    page.focus("#upload input")  # which is not seen; its button shows the focus
    assert page.locator("#upload .button").first.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    page.focus(".tile .open >> nth=0")
    page.keyboard.press("Tab")
    expect(page.locator(".tile .like").first).to_be_focused()
    expect(page.locator(".tile .like").first).to_have_css("opacity", "1")


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_no_page_scrolls_sideways_or_jumps(open_page, full, width):
    full.index.themes.recluster(2)
    full.index.reports.make()
    full.index.themes.rename(1, "A-very-long-name-" * 4)
    page = open_page(viewport={"width": width, "height": 740}, has_touch=width < 500)
    for path in paths(full):
        page.goto(path, wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(SHIFTS) < 0.02, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read_in_both_schemes(open_page, scheme):
    page = open_page(color_scheme=scheme)
    assert min(page.evaluate(CONTRAST, list(COLOURS))) >= 4.5
    red = int(page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
    assert (red > 200) == (scheme == "light")


@pytest.mark.usefixtures("full")
def test_without_scripts_forms_do_it(open_page, album):
    page = open_page(java_script_enabled=False)
    page.set_input_files("#search input", album / "coffee-crop.png")
    page.click("#search button")
    expect(page.locator(".hit").first).to_contain_text("coffee-")
    page.goto("/")
    page.set_input_files("#upload input", album / "coffee-crop.png")
    page.click("#upload button")
    expect(page.locator("main li")).to_contain_text("already there")
    page.goto("/duplicates")
    page.get_by_role("button", name="Not a duplicate").first.click()
    expect(page.locator("main .notice").last).to_contain_text("different pictures")
    page.goto("/themes")
    page.get_by_role("button", name="Sort into themes").click()
    page.wait_for_url("**/themes")


def test_forgetting_asks_first(open_page, full):
    page = open_page("/images/1")
    expect(page.get_by_role("button", name="Forget it")).to_be_hidden()
    page.click("summary")
    page.get_by_role("button", name="Forget it").click()
    expect(page.locator(".notice")).to_have_text("The picture is forgotten.")
    assert full.index.counts().images == 7


def test_a_server_that_is_gone_is_said(browser, full):
    page = browser.new_page(base_url=full.address)
    page.goto("/duplicates", wait_until="networkidle")
    page.route("**/keep", lambda route: route.abort())
    page.get_by_role("button", name="Keep this one").first.click()
    expect(page.locator("#alert")).to_contain_text("cannot be reached")
    page.close()
