"""axe (Deque's checker of WCAG) over every tab, empty and full, light and dark, on a desk and a phone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.studio.pages import (
    FACE,
    SMILE,
    TABS,
    give,
    give_files,
    open_page,
    open_tab,
    panel,
    press,
    see,
    set_steps,
)

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")
pytestmark = pytest.mark.slow
SERIOUS = ("serious", "critical")


def findings(page: Any) -> set[str]:
    """What axe finds serious or critical in the page as it is, a line for each rule and element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe comes with mien[browser]")
    answer = axe.Axe().run(page).response
    return {
        f"{found['impact']} {found['id']}: {node['html'][:160]}"
        for found in answer["violations"]
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    }


def over_all_tabs(page: Any) -> set[str]:
    """`findings` of every tab at both widths, in the colours that are shown and in the others."""
    found: set[str] = set()
    for width in (1200, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        for _ in range(2):
            page.get_by_role("button", name="Light or dark").click()
            page.wait_for_timeout(300)
            for name in TABS:
                open_tab(page, name)
                found |= {f"{name} {width} {line}" for line in findings(page)}
    return found


def test_the_empty_page(chromium: Any, studio: Any) -> None:
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    found = over_all_tabs(open_page(context, studio.address))
    assert found == set(), "\n".join(sorted(found))
    context.close()


def test_the_page_after_work(chromium: Any, studio: Any) -> None:
    """With pictures, results, open settings, sliders, tables, a history and a message of what is wrong."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    page = open_page(context, studio.address)
    give(page, 0)
    set_steps(page)
    press(page, "Make the portrait")
    see(page, "Seed 0:")
    panel(page).get_by_role("radio", name="sliders").check()
    open_tab(page, "Reface")
    give(page, 0)
    see(page, "1 face(s) found.")
    panel(page).get_by_role("radio", name="Both").check()
    panel(page).get_by_role("radio", name="picture").check()
    give(page, 1, SMILE)
    give(page, 2, SMILE)
    set_steps(page)
    press(page, "Reface the photo")
    see(page, "Done.")
    open_tab(page, "Travel")
    give(page, 0)
    set_steps(page)
    panel(page).get_by_label("number input for Frames", exact=True).fill("3")
    press(page, "Travel")
    see(page, "3 frames.")
    open_tab(page, "Measure")
    give_files(page, FACE, SMILE)
    press(page, "Measure")
    see(page, "1 face(s)")
    open_tab(page, "History")
    panel(page).locator(".thumbnail-item").first.click()
    page.wait_for_timeout(1500)
    press(page, "Travel")
    found = over_all_tabs(page)
    assert found == set(), "\n".join(sorted(found))
    context.close()


def test_the_check_can_fail(chromium: Any, studio: Any) -> None:
    context = chromium.new_context()
    page = open_page(context, studio.address)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\"><button></button>')")
    assert any("button-name" in line for line in findings(page))
    context.close()
