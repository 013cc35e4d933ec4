"""The page of a report in a real browser: it runs, filters, sorts, and shows samples."""

import base64
import importlib
import io
import shutil

import pytest
from PIL import Image

import fake_cells as fake
from skipbench.report.cells import cells_of
from skipbench.report.page import write_page

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    try:
        playwright = importlib.import_module("playwright.sync_api")
    except ImportError:
        pytest.skip("no playwright in this environment")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """The page in a browser; at the end, nothing was complained of and nothing was fetched."""
    cells = cells_of(fake.write_results(tmp_path / "results"))
    path = write_page(cells, [], tmp_path, "abc123")
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    heard = []
    tab.on("console", lambda message: heard.append(message.text))
    tab.on("pageerror", lambda error: heard.append(str(error)))
    tab.on("request", lambda r: r.url.startswith(("file:", "data:")) or heard.append(r.url))
    tab.goto(path.as_uri())
    yield tab
    assert heard == []
    assert tab.title() == "skipbench report abc123"


def labels(tab) -> list[str]:
    return tab.locator("#table tbody tr:not([hidden]) th a").all_inner_texts()


@pytest.mark.slow
def test_browser_filters_and_sorts(opened):
    assert len(labels(opened)) == 5
    opened.fill("#filters [name=text]", "TIMEOUT")
    assert labels(opened) == ["layerdrop"]
    assert opened.inner_text("#shown") == "1 of 5 cells"
    opened.click("#filters [type=reset]")
    opened.select_option("#filters [name=status]", "nothing skipped")
    assert labels(opened) == ["earlyexit"]
    opened.fill("#filters [name=text]", "no such thing")
    assert labels(opened) == []
    assert opened.is_visible("#nothing")
    opened.click("#filters [type=reset]")
    opened.get_by_role("button", name="Speed-up").click()
    assert labels(opened)[0] == "ffnskip"  # the only one with a number; the others have none
    opened.get_by_role("button", name="Method").press("Enter")
    assert labels(opened) == ["dense", "earlyexit", "ffnskip", "layerdrop", "shortgpt"]
    opened.get_by_role("button", name="Method").press("Enter")
    assert labels(opened)[0] == "shortgpt"


@pytest.mark.slow
def test_browser_shows_samples(opened, tmp_path):
    opened.locator("#table").get_by_role("link", name="ffnskip").click()
    opened.wait_for_selector("article")
    assert opened.locator("article h3").all_inner_texts() == ["s1", "s2", "s0"]
    assert opened.locator("article").first.locator("mark").all_inner_texts() == ["is", "was"]
    assert fake.NASTY in opened.locator("article").nth(1).inner_text()
    assert "collapse: loop" in opened.locator("article").first.inner_text()
    picture = "canvas => canvas.toDataURL().split(',')[1]"
    drawn = opened.locator("canvas").first.evaluate(picture)
    with Image.open(io.BytesIO(base64.b64decode(drawn))) as image:
        assert len(image.convert("RGB").getcolors()) == 4  # FFN, attention, run, and between them
    opened.emulate_media(color_scheme="dark")
    assert opened.locator("canvas").first.evaluate(picture) != drawn
    for kind, ids in {"wrong": ["s1", "s2"], "changed": ["s1"], "collapsed": ["s1"]}.items():
        opened.check(f"#picker [value={kind}]")
        assert opened.locator("article h3").all_inner_texts() == ids
    opened.select_option("#picker [name=cell]", "e0")
    assert "no records" in opened.inner_text("#samples")
    opened.screenshot(path=tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1600])
def test_browser_never_scrolls_sideways(opened, width):
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
