"""Everybody can use the page: by keyboard, with a screen reader, on a phone, in the dark."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.server.page.conftest import OpenPage, choose, picture, ready

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}

FAULTS_OF_ACCESS = """() => {
    const seen = (each) => each.checkVisibility({ opacityProperty: false }) && !each.closest("[aria-hidden=true]");
    const name = (each) => each.ariaLabel || [...(each.labels ?? [])].map((label) => label.innerText).join("") || each.innerText;
    const faults = [...document.querySelectorAll("button, input, select, a, [tabindex='0']")].filter(seen).flatMap((each) => [
        ...(name(each)?.trim() ? [] : ["no name: " + each.outerHTML]),
        ...(each.tabIndex > 0 ? ["an order of its own: " + each.outerHTML] : []),
        ...(each.matches("button") && Math.min(each.offsetWidth, each.offsetHeight) < 24 ? ["small: " + each.outerHTML] : []),
    ]);
    if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the window");
    const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
    if (new Set(ids).size < ids.length) faults.push("an id twice");
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (each) => {
        const colour = getComputedStyle(each).backgroundColor;
        return /, 0\\)$/.test(colour) && each.parentElement ? ground(each.parentElement) : colour;
    };
    for (const each of document.querySelectorAll("h1, p, a, button, select, label, output, .lead, .or, dt, dd")) {
        if (!seen(each) || !each.innerText?.trim() || each.closest("[aria-disabled=true]")) continue;
        const [low, high] = [light(getComputedStyle(each).color), light(ground(each))].sort((a, b) => a - b);
        const contrast = (high + 0.05) / (low + 0.05);
        if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${each.outerHTML}`);
    }
    return faults;
}"""
"""WCAG 2.2 AA, as far as it can be computed: 4.1.2 names, 2.4.3 order, 2.5.8 size, 1.4.10 reflow, 1.4.3 contrast."""


@pytest.mark.parametrize(("scheme", "options"), [("light", {}), ("dark", PHONE)])
def test_everybody_can_use_it(open_page: OpenPage, scheme: str, options: dict[str, Any]) -> None:
    page = ready(open_page(color_scheme=scheme, reduced_motion="reduce", **options))
    dark = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, dark[4:-1].split(","))) < 200) == (scheme == "dark")
    assert page.evaluate(FAULTS_OF_ACCESS) == []
    page.get_by_role("combobox", name="Model").select_option("noisy")
    choose(page, picture("a.png"), {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"nothing"}, picture("b.png", 2))
    expect(page.locator("#count")).to_have_text("2 of 3 done, 1 failed", timeout=10_000)
    assert page.evaluate(FAULTS_OF_ACCESS) == []
    page.get_by_role("button", name="x.jpg: failed").click()
    assert page.evaluate(FAULTS_OF_ACCESS) == []
    page.get_by_role("button", name="About this model").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate(FAULTS_OF_ACCESS) == []


def test_focus_goes_as_one_reads(page: Page) -> None:
    page.get_by_role("combobox", name="Model").select_option("noisy")
    choose(page, picture("a.png"), picture("b.png", 2))
    expect(page.locator("#count")).to_have_text("2 of 2 done", timeout=10_000)
    page.get_by_role("combobox", name="Model").focus()
    order = []
    for _ in range(14):
        order.append(page.evaluate("() => document.activeElement.id || document.activeElement.innerText"))
        page.keyboard.press("Tab")
    first = ["model", "about", "cut", "amount", "seed", "again", "zoom", "add", "remove", "download"]
    assert order == [*first, "a.png: done", "b.png: done", "clear", "all"]


# Mutants tried: a paler grey; a field without its label.
