"""The page in a real browser: each tab does its job from upload to picture, at the width of a desk and of a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]
ROOT = Path(__file__).parent.parent.parent
FACE = ROOT / "examples" / "identity.png"
WAIT = 20_000  # ms


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[1200, 390])
def page(request: pytest.FixtureRequest, chromium: Any, studio: Any) -> Iterator[Any]:
    """The page at two widths; it asks nobody but the studio, and no error is in its console."""
    context = chromium.new_context(viewport={"width": request.param, "height": 900}, accept_downloads=True)
    page = context.new_page()
    elsewhere: list[str] = []
    errors: list[str] = []
    page.on("request", lambda asked: elsewhere.append(asked.url) if _is_elsewhere(asked.url) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(studio.address)
    page.get_by_role("button", name="Make the portrait").wait_for(timeout=WAIT)
    yield page
    assert elsewhere == [] and errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= request.param
    context.close()


def _is_elsewhere(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "data:", "blob:"))


def open_tab(page: Any, name: str) -> None:
    tab = page.get_by_role("tab", name=name, exact=True)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
    else:  # on a phone the tabs that do not fit are in a menu
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    page.wait_for_timeout(300)


def panel(page: Any) -> Any:
    return page.locator("[role=tabpanel]:visible").first


def give(page: Any, number: int, path: Path = FACE) -> None:
    panel(page).locator("input[type=file]").nth(number).set_input_files(str(path))
    page.wait_for_timeout(700)


def fewer_steps(page: Any, number: str = "2") -> None:
    here = panel(page)
    here.get_by_role("button", name="Settings").click()
    here.get_by_label("number input for Steps").fill(number)


def download(page: Any, tmp_path: Path) -> Path:
    with page.expect_download() as waiting:
        panel(page).locator("a[download]:visible").first.click()
    place = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(place)
    return place


def test_a_portrait_its_history_and_a_word(page: Any, tmp_path: Path) -> None:
    from mien.provenance import read_provenance

    open_tab(page, "Expressions")
    panel(page).get_by_label("Search").fill("amazement")
    page.get_by_text("1 of 135 words").wait_for(timeout=WAIT)
    panel(page).locator(".thumbnail-item").first.click()
    page.get_by_role("button", name="Make the portrait").wait_for(timeout=WAIT)
    assert panel(page).get_by_label("Words, emoji or a mix").input_value() == "amazement"
    give(page, 0)
    fewer_steps(page)
    panel(page).get_by_label("Prompt").fill("a photo")
    page.get_by_role("button", name="Make the portrait").click()
    panel(page).get_by_text("Seed 0:").wait_for(timeout=WAIT)
    said = read_provenance(download(page, tmp_path))
    assert said is not None and said["settings"]["prompt"] == "a photo"
    assert said["settings"]["inputs"]["expression"][0]["word"] == "amazement"
    panel(page).get_by_label("Prompt").fill("something else")
    open_tab(page, "History")
    panel(page).locator(".thumbnail-item").first.click()
    page.get_by_role("button", name="Make the portrait").wait_for(timeout=WAIT)
    page.wait_for_timeout(500)
    assert panel(page).get_by_label("Prompt").input_value() == "a photo"


def test_sliders_write_blendshapes(page: Any) -> None:
    panel(page).get_by_role("radio", name="sliders").check()
    panel(page).get_by_label("number input for Jaw open").fill("0.5")
    panel(page).get_by_label("number input for Jaw open").blur()
    page.wait_for_timeout(500)
    text = panel(page).get_by_label("Words, emoji or a mix").input_value()
    assert json.loads(text) == {"jawOpen": 0.5}


def test_travel(page: Any, tmp_path: Path) -> None:
    open_tab(page, "Travel")
    give(page, 0)
    fewer_steps(page)
    panel(page).get_by_label("number input for Frames", exact=True).fill("3")
    panel(page).get_by_role("button", name="Travel").click()
    panel(page).get_by_text("3 frames.").wait_for(timeout=WAIT)
    assert download(page, tmp_path).read_bytes().startswith(b"GIF8")


def test_reface_finds_faces_and_says_what_is_wrong(page: Any) -> None:
    open_tab(page, "Reface")
    give(page, 0)
    panel(page).get_by_text("1 face(s) found.").wait_for(timeout=WAIT)
    panel(page).get_by_role("radio", name="Another person").check()
    panel(page).get_by_role("button", name="Reface the photo").click()
    page.get_by_text("There is no other person's picture").first.wait_for(timeout=WAIT)


def test_measuring(page: Any) -> None:
    open_tab(page, "Measure")
    give(page, 0)
    panel(page).get_by_role("button", name="Measure").click()
    panel(page).get_by_text("1 face(s)").first.wait_for(timeout=WAIT)


def test_a_job_is_stopped(page: Any) -> None:
    give(page, 0)
    fewer_steps(page, "100")
    page.get_by_role("button", name="Make the portrait").click()
    page.wait_for_timeout(800)
    panel(page).get_by_role("button", name="Stop").click()
    page.get_by_text("The job was stopped.").first.wait_for(timeout=WAIT)


def test_controls_have_names(page: Any) -> None:
    for name in ("Portrait", "Reface", "Travel", "Expressions", "Measure", "History"):
        open_tab(page, name)
        for control in panel(page).locator("input:visible, textarea:visible, button:visible").all():
            named = control.evaluate(
                "e => e.getAttribute('aria-label') || e.getAttribute('title') || e.getAttribute('aria-labelledby')"
                " || e.getAttribute('placeholder') || (e.labels && e.labels.length) || e.innerText"
            )
            assert named, f"{name}: {control.evaluate('e => e.outerHTML')[:200]}"
