"""What the browser tests do with the page, by the names that people read on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

FACE = Path(__file__).parent.parent.parent / "examples" / "identity.png"
SMILE = FACE.with_name("expression.png")
WAIT = 90_000  # ms: the first job loads the model, perhaps on a busy machine
TABS = ("Portrait", "Reface", "Travel", "Expressions", "Measure", "History")


def open_page(context: Any, address: str) -> Any:
    """A new page of the studio, ready."""
    page = context.new_page()
    page.goto(address)
    page.get_by_role("button", name="Make the portrait").wait_for(timeout=WAIT)
    return page


def open_tab(page: Any, name: str) -> None:
    """Show a tab; on a phone those that do not fit are in a menu."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
    else:
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    page.wait_for_timeout(300)


def panel(page: Any) -> Any:
    """The tab that is shown."""
    return page.locator("[role=tabpanel]:visible").first


def give(page: Any, number: int, path: Path = FACE) -> None:
    """Upload a picture to the tab's file input of that number, and wait until it is shown."""
    there = panel(page).locator(f"img[src*='{path.name}']")
    before = there.count()
    panel(page).locator("input[type=file]").nth(number).set_input_files(str(path))
    there.nth(before).wait_for(timeout=WAIT)
    page.wait_for_timeout(300)


def give_files(page: Any, *paths: Path) -> None:
    """Upload to the tab's list of files, and wait until they are named."""
    panel(page).locator("input[type=file]").first.set_input_files([str(path) for path in paths])
    for path in paths:
        panel(page).get_by_text(path.stem).first.wait_for(timeout=WAIT)
    page.wait_for_timeout(300)


def set_steps(page: Any, number: str = "2") -> None:
    """Open the settings and ask for that many steps."""
    here = panel(page)
    here.get_by_role("button", name="Settings").click()
    here.get_by_label("number input for Steps").fill(number)


def press(page: Any, name: str) -> None:
    """Click the tab's button of that name."""
    panel(page).get_by_role("button", name=name, exact=True).click()


def see(page: Any, text: str) -> None:
    """Wait until the tab shows the text."""
    panel(page).get_by_text(text).first.wait_for(timeout=WAIT)


def has(control: Any, value: str) -> None:
    """Wait until the control has the value; it comes from the server."""
    from playwright.sync_api import expect

    expect(control).to_have_value(value, timeout=WAIT)


def download(page: Any, folder: Path) -> Path:
    """The first file that the tab offers, as the browser saves it."""
    with page.expect_download(timeout=WAIT) as waiting:
        panel(page).locator("a[download]:visible").first.click()
    place = folder / waiting.value.suggested_filename
    waiting.value.save_as(place)
    return place


def wide(folder: Path) -> Path:
    """A photo with a face at its left and nothing in its right 100 columns."""
    with Image.open(FACE) as face:
        photo = Image.new("RGB", (2 * face.width + 40, face.height + 40), (90, 120, 150))
        photo.paste(face.convert("RGB"), (20, 20))
    photo.save(folder / "wide.png")
    return folder / "wide.png"
