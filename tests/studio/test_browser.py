"""The page in a real browser: each tab does its job from upload to picture, at the width of a desk and of a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.pages import (
    FACE,
    SMILE,
    TABS,
    WAIT,
    download,
    give,
    give_files,
    has,
    open_page,
    open_tab,
    panel,
    press,
    see,
    set_steps,
    wide,
)

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
pytestmark = pytest.mark.slow


@pytest.fixture(params=[1200, 390])
def page(request: pytest.FixtureRequest, chromium: Any, studio: Any) -> Iterator[Any]:
    """The page at two widths; it asks nobody but the studio, and no error is in its console."""
    context = chromium.new_context(viewport={"width": request.param, "height": 900}, accept_downloads=True)
    elsewhere: list[str] = []
    errors: list[str] = []
    context.on("request", lambda asked: elsewhere.append(asked.url) if _is_elsewhere(asked.url) else None)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    page = open_page(context, studio.address)
    yield page
    assert elsewhere == [] and errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= request.param
    context.close()


def _is_elsewhere(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "data:", "blob:"))


def prompt(page: Any) -> Any:
    return panel(page).get_by_label("Prompt")


def test_a_portrait_its_history_and_a_word(page: Any, tmp_path: Path) -> None:
    from mien.provenance import read_provenance

    open_tab(page, "Expressions")
    panel(page).get_by_label("Search").fill("amazement")
    page.get_by_text("1 of 135 words").wait_for(timeout=WAIT)
    panel(page).locator(".thumbnail-item").first.click()
    has(panel(page).get_by_label("Words, emoji or a mix"), "amazement")
    give(page, 0)
    set_steps(page)
    prompt(page).fill("a photo")
    press(page, "Make the portrait")
    see(page, "Seed 0:")
    said = read_provenance(download(page, tmp_path))
    assert said is not None and said["settings"]["prompt"] == "a photo"
    assert said["settings"]["inputs"]["expression"][0]["word"] == "amazement"
    prompt(page).fill("something else")
    reuse(page)
    has(prompt(page), "a photo")


def reuse(page: Any) -> None:
    """Take the settings of the newest picture of the history again."""
    open_tab(page, "History")
    panel(page).locator(".thumbnail-item").first.click()


def test_sliders_write_blendshapes(page: Any) -> None:
    panel(page).get_by_role("radio", name="sliders").check()
    panel(page).get_by_label("number input for Jaw open").fill("0.5")
    panel(page).get_by_label("number input for Jaw open").blur()
    has(panel(page).get_by_label("Words, emoji or a mix"), '{"jawOpen":0.5}')


def test_travel(page: Any, tmp_path: Path) -> None:
    open_tab(page, "Travel")
    give(page, 0)
    set_steps(page)
    panel(page).get_by_label("number input for Frames", exact=True).fill("3")
    press(page, "Travel")
    see(page, "3 frames.")
    assert download(page, tmp_path).read_bytes().startswith(b"GIF8")
    panel(page).get_by_label("Expressions on the way").fill("anger, fear")
    reuse(page)
    has(panel(page).get_by_label("Expressions on the way"), "neutral, joy, surprise")


def test_reface_to_the_downloaded_picture(page: Any, tmp_path: Path) -> None:
    from mien.provenance import PARTLY_GENERATED, read_provenance

    photo = wide(tmp_path)
    open_tab(page, "Reface")
    give(page, 0, photo)
    see(page, "1 face(s) found.")
    panel(page).get_by_role("radio", name="Both").check()
    give(page, 1, SMILE)
    set_steps(page)
    prompt(page).fill("a photo")
    press(page, "Reface the photo")
    see(page, "Done.")
    page.wait_for_timeout(500)
    place = download(page, tmp_path)
    said = read_provenance(place)
    assert said is not None and said["source_type"] == PARTLY_GENERATED
    old, new = (np.asarray(Image.open(path).convert("RGB")) for path in (photo, place))
    assert old.shape == new.shape and (old[:, -100:] == new[:, -100:]).all() and (old != new).any()
    assert panel(page).locator("img[src*='reface_']").count()
    prompt(page).fill("something else")
    panel(page).get_by_role("radio", name="Another expression").check()
    reuse(page)
    has(prompt(page), "a photo")
    panel(page).get_by_role("radio", name="Both", checked=True).wait_for(timeout=WAIT)


def test_reface_says_what_is_wrong(page: Any) -> None:
    open_tab(page, "Reface")
    give(page, 0)
    see(page, "1 face(s) found.")
    panel(page).get_by_role("radio", name="Another person").check()
    press(page, "Reface the photo")
    page.get_by_text("There is no other person's picture").first.wait_for(timeout=WAIT)


def test_measuring(page: Any, tmp_path: Path) -> None:
    from mien.provenance import COMPOSITE, read_metadata

    open_tab(page, "Measure")
    give_files(page, FACE)
    press(page, "Measure")
    see(page, "1 face(s)")
    whole_words_to_the_last_column(page)
    panel(page).locator(".thumbnail-item, .thumbnail-lg").first.click()
    with page.expect_download(timeout=WAIT) as waiting:
        panel(page).get_by_label("Download").first.click()
    place = tmp_path / "measured.png"
    waiting.value.save_as(place)
    said = read_metadata(place)
    assert said is not None and said.source_type == COMPOSITE


def whole_words_to_the_last_column(page: Any) -> None:
    """No head of the table of faces is broken, and the wheel brings its last column into view."""
    heads = page.locator("#faces [role=columnheader]")
    lines = heads.locator(".text").evaluate_all("texts => texts.map(text => text.offsetHeight / 21)")
    assert len(lines) == 7 and max(lines) < 2
    heads.first.hover()
    page.mouse.wheel(1000, 0)
    last = heads.last.element_handle()
    page.wait_for_function("e => e.getBoundingClientRect().right <= window.innerWidth", arg=last)


def test_somebody_is_invented_and_drawn(page: Any, tmp_path: Path) -> None:
    press(page, "No picture? Invent somebody")
    panel(page).locator("img[src*='nobody.png']").first.wait_for(timeout=WAIT)
    set_steps(page)
    press(page, "Make the portrait")
    see(page, "Seed 0:")
    with Image.open(download(page, tmp_path)) as portrait:
        assert portrait.size == (128, 128)


def test_a_job_is_stopped(page: Any) -> None:
    give(page, 0)
    set_steps(page, "100")
    panel(page).get_by_label("number input for Variations").fill("8")  # long enough for the slowest browser
    press(page, "Make the portrait")
    page.get_by_text(re.compile(r"\d+/\d+ steps")).first.wait_for(timeout=WAIT)
    press(page, "Stop")
    page.get_by_text("The job was stopped.").first.wait_for(timeout=WAIT)


FOCUSED = (
    "() => { const e = document.activeElement; return (e.getAttribute('aria-label') || e.innerText || e.value || '')"
    " + '|' + ((e.labels && e.labels[0] && e.labels[0].innerText) || '') + '|' + e.tagName; }"
)
PRESSED = "() => document.activeElement.addEventListener('click', () => { window.pressed = true; }, { capture: true })"


def test_a_portrait_by_the_keyboard_alone(page: Any) -> None:
    """From the head of the page by Tab and Enter: a picture is given and a portrait made; no key is lost."""
    page.locator("body").press("Home")
    passed, given, opened = [], False, False
    for _ in range(200):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(FOCUSED))
        here = passed[-1]
        if not given and here.startswith("Drop an image"):
            page.evaluate(PRESSED)
            page.keyboard.press("Enter")
            assert page.evaluate("window.pressed")  # what opens then is the browser's own dialogue
            give(page, 0)
            given = True
        elif here.startswith("Settings\n") and not opened:
            page.keyboard.press("Enter")
            panel(page).get_by_label("number input for Steps").wait_for(timeout=WAIT)
            opened = True
        elif here.startswith("number input for Steps"):
            page.keyboard.press("Control+a")
            page.keyboard.type("2")
        elif here.startswith("Make the portrait") and given and opened:
            page.keyboard.press("Enter")
            break
    see(page, "Seed 0:")
    heard = "\n".join(passed)
    for name in (
        "Model",
        "Light or dark",
        "Words, emoji or a mix",
        "Prompt",
        "Not wanted",
        "Variations",
        "Seed",
    ):
        assert name in heard, (name, passed)


def test_tabs_by_the_keyboard(page: Any) -> None:
    tab = page.get_by_role("tab", name="Reface", exact=True)
    tab.focus()
    page.keyboard.press("Enter")
    panel(page).get_by_role("button", name="Reface the photo").wait_for(timeout=WAIT)


def test_controls_have_names(page: Any) -> None:
    for name in TABS:
        open_tab(page, name)
        for control in panel(page).locator("input:visible, textarea:visible, button:visible").all():
            named = control.evaluate(
                "e => e.getAttribute('aria-label') || e.getAttribute('title') || e.getAttribute('aria-labelledby')"
                " || e.getAttribute('placeholder') || (e.labels && e.labels.length) || e.innerText"
            )
            assert named, f"{name}: {control.evaluate('e => e.outerHTML')[:200]}"
