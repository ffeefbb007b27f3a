"""What the page is for."""

import io
import zipfile

import pytest
from playwright.sync_api import Page, expect

from tests.server.conftest import decoded
from tests.server.page.conftest import answer, choose, finished, picture, saved


def test_several_pictures_and_all_of_them_as_zip(page: Page, address: str) -> None:
    files = [picture("ä b.png", 1), picture("c.jpg", 2, (33, 47), "JPEG"), picture("ä b.png", 3)]
    choose(page, *files)
    expect(page.locator("#count")).to_have_text("3 of 3 done", timeout=10_000)
    assert page.locator("#list button").all_inner_texts() == ["ä b.png: done", "c.jpg: done", "ä b.png: done"]
    name, content = saved(page, "Download all (zip)")
    assert name == "pictures.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["ä b-restore.png", "c-restore.jpg", "ä b-restore (2).png"]
        assert [archive.read(each) for each in archive.infolist()] == [answer(address, file) for file in files]
    page.get_by_role("button", name="c.jpg: done").click()
    assert saved(page, "Download") == ("c-restore.jpg", answer(address, files[1]))
    page.get_by_role("button", name="Remove", exact=True).click()
    assert page.locator("#list button").all_inner_texts() == ["ä b.png: done", "ä b.png: done"]
    page.get_by_role("button", name="Remove all").click()
    expect(page.get_by_label("Drop photographs here")).to_be_focused()


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_pasted_and_dropped(page: Page, address: str, way: str) -> None:
    file = picture()
    page.evaluate(
        """([way, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
            const pasted = () => new ClipboardEvent(way, { clipboardData: data });
            document.dispatchEvent(way === "paste" ? pasted() : new DragEvent(way, { dataTransfer: data }));
        }""",
        [way, list(file["buffer"])],
    )
    finished(page)
    assert saved(page, "Download") == ("a-restore.png", answer(address, file))


def test_strength_is_the_servers_work(page: Page, address: str) -> None:
    choose(page, file := picture())
    finished(page)
    page.get_by_label("Strength").focus()
    page.keyboard.press("PageDown")
    strength = int(page.get_by_label("Strength").input_value())
    assert strength < 100
    assert saved(page, "Download")[1] == answer(address, file, amount=strength / 100)
    expect(page.locator("#status")).to_have_text("Saved as a-restore.png")


def test_divider_and_zoom_by_keyboard(page: Page) -> None:
    choose(page, picture(size=(2000, 400)))
    finished(page)
    cut = page.get_by_role("slider", name="Where the picture before ends")
    expect(cut).to_be_focused()
    shown = lambda: page.locator("#after").evaluate("e => getComputedStyle(e).clipPath")  # noqa: E731
    page.keyboard.press("Home")
    everything = shown()
    page.keyboard.press("End")
    assert shown() != everything
    assert cut.evaluate("e => e.value") == "100"
    zoom = page.get_by_role("button", name="Zoom 100 %")
    zoom.press("Enter")
    expect(zoom).to_have_attribute("aria-pressed", "true")
    assert page.locator("#before").bounding_box()["width"] == page.locator("#after").bounding_box()["width"] == 2000
    viewport = page.locator("#viewport")
    viewport.focus()
    left = viewport.evaluate("e => e.scrollLeft")
    page.keyboard.press("ArrowRight")
    expect(viewport).not_to_have_js_property("scrollLeft", left)
    zoom.press("Enter")
    assert page.locator("#before").bounding_box()["width"] < 1280


def test_a_seed_gives_the_same_picture_again(page: Page, address: str) -> None:
    page.get_by_role("combobox", name="Model").select_option("noisy")
    expect(page.get_by_role("heading", level=1)).to_have_text("Translate: anything to noisy")
    choose(page, file := picture())
    finished(page)
    seed = page.get_by_label("Seed")
    first, content = seed.input_value(), saved(page, "Download")[1]
    assert content == answer(address, file, model="noisy", seed=first)
    page.get_by_role("button", name="Again").press("Enter")
    expect(seed).not_to_have_value(first)
    expect(page.get_by_role("button", name="Again")).to_be_focused()
    assert saved(page, "Download")[1] != content
    second = seed.input_value()
    seed.fill("none")
    seed.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Seed: ")
    expect(page.locator("#list button")).to_have_attribute("data-state", "done")
    assert saved(page, "Download")[1] == answer(address, file, model="noisy", seed=second)  # a mistake loses nothing
    seed.fill(first)
    seed.press("Enter")
    finished(page)
    assert saved(page, "Download")[1] == content


def test_another_model_begins_anew(page: Page) -> None:
    choose(page, picture("a.png", 1), picture("b.png", 2))
    expect(page.locator("#count")).to_have_text("2 of 2 done", timeout=10_000)
    expect(page.get_by_label("Seed")).to_be_hidden()
    page.get_by_role("combobox", name="Model").select_option("double")
    expect(page.locator("#after")).to_have_js_property("naturalWidth", 96)
    expect(page.get_by_label("Strength")).to_be_hidden()
    expect(page.locator("#count")).to_have_text("2 of 2 done")
    name, content = saved(page, "Download")
    assert (name, decoded(content).shape) == ("a-double.png", (64, 96, 3))
    page.get_by_role("combobox", name="Model").select_option("nan")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot run this model.")
    expect(page.get_by_role("button", name="Download")).to_have_count(0)  # nor any result of the model before


def test_card(page: Page) -> None:
    page.get_by_role("combobox", name="Model").select_option("double")
    about = page.get_by_role("button", name="About this model")
    about.press("Enter")
    card = page.get_by_role("dialog", name="double")
    expect(card).to_contain_text("test: anything → double")
    expect(card).to_contain_text("2 × as wide and as high")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(about).to_be_focused()
    about.click()
    card.get_by_role("button", name="Close").click()
    expect(card).to_be_hidden()


def test_what_the_browser_cannot_show_is_shown(page: Page, address: str) -> None:
    choose(page, file := picture("scan.tif", format="TIFF"))
    finished(page)
    assert page.locator("#before").evaluate("e => e.naturalWidth") == 48
    assert saved(page, "Download") == ("scan-restore.tif", answer(address, file))


# Mutants tried: another CRC or twice the same name in the zip; buttons that are disabled and lose the focus; a mistake in the
# seed is a failed picture; the strength is left out of what is saved; a preview is saved for a TIFF; another model leaves the
# results of the one before.
