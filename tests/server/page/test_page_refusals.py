"""What goes wrong is told in words, and costs nothing else."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.server.page.conftest import OpenPage, answer, choose, finished, listening, picture, ready, saved

KEY = "a-key-of-the-page-0"


def test_mistakes_are_told_and_leave_the_others_alone(page: Page) -> None:
    choose(page, {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"nothing"}, picture("b.png"))
    expect(page.locator("#count")).to_have_text("1 of 2 done, 1 failed", timeout=10_000)
    expect(page.get_by_role("alert")).to_contain_text("not a picture that is read")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.get_by_role("button", name="b.png: done").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_cancelled_work_loses_nothing_that_was_there(page: Page, address: str) -> None:
    page.get_by_role("combobox", name="Model").select_option("noisy")
    choose(page, file := picture())
    finished(page)
    seed = page.get_by_label("Seed").input_value()
    page.route("**/translate?*", lambda route: None)  # never answered
    for button in ("Again", "Download"):
        if button == "Download":
            page.get_by_label("Strength").press("PageDown")
        page.get_by_role("button", name=button).click()
        expect(page.locator("#progress")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        finished(page)
    choose(page, picture("b.png"), picture("c.png"))
    expect(page.locator("#count")).to_have_text("1 of 3 done")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="c.png: being worked on").click()
    page.get_by_role("button", name="Cancel").click()
    page.unroute("**/translate?*")
    page.get_by_label("Strength").press("End")
    assert saved(page, "Download")[1] == answer(address, file, model="noisy", seed=seed)


@pytest.mark.parametrize("status", [429, 503])
def test_comes_back_when_the_server_says(open_page: OpenPage, address: str, status: int) -> None:
    page = open_page("about:blank")
    asked = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()
        else:
            route.fulfill(status=status, headers={"Retry-After": "30"}, json={"detail": "Later."})

    page.clock.install()
    page.route("**/translate?*", refuse)
    page.goto(address)
    choose(ready(page), picture())
    expect(page.locator("#status")).to_contain_text("trying again at")
    page.clock.run_for(29_000)
    expect(page.locator("#status")).to_contain_text("trying again at")
    assert len(asked) == 1
    page.clock.run_for(2_000)
    finished(page)
    assert len(asked) == 2


def test_gives_up_where_the_wait_is_long_or_can_be_cut_short(open_page: OpenPage, address: str) -> None:
    page = open_page("about:blank")
    waits = iter(["5000", "5000", "30"])
    page.route(
        "**/translate?*",
        lambda route: route.fulfill(status=429, headers={"Retry-After": next(waits)}, json={"detail": "1 per day at most."}),
    )
    page.goto(address)
    choose(ready(page), picture())
    expect(page.get_by_role("alert")).to_have_text("1 per day at most.")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_text("1 per day at most.")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#status")).to_contain_text("trying again at")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Drop photographs here")).to_be_focused()


def test_with_a_key_and_without(open_page: OpenPage, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(KEY)
    with listening(weights=(folder,), keys=tmp_path / "keys") as address:
        wrong, right = ({"username": "any", "password": password} for password in ("another-key-than-that", KEY))
        page = open_page(address, http_credentials=wrong)
        expect(page.get_by_role("alert")).to_contain_text("This server asks for a key.")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_contain_text("This server asks for a key.")
        known = ready(open_page(address, http_credentials=right))
        choose(known, picture())
        finished(known)
        page.context.close()
        known.context.close()


# Mutants tried: 429 is an error; 10 ms for a second; any wait is waited for; 401 in the server's words.
