"""A real headless Chromium that opens pages of this machine and measures what is on them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or ""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)
COLUMNS = """
() => [...document.querySelectorAll('.azft table')].map(table => {
  const rows = [...table.rows].filter(row => row.getClientRects().length);
  return rows.map(row => [...row.cells].map(cell => Math.round(cell.getBoundingClientRect().left)));
})
"""
"""The left edge of each cell, by table and row."""
CONTRASTS = """
() => {
  const parsed = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const found = parsed(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('.azft *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    if (['STYLE', 'TITLE'].includes(element.tagName.toUpperCase())) continue;
    const style = getComputedStyle(element);
    const colour = element.closest('svg') ? style.fill : style.color;
    const [a, b] = [light(parsed(colour)), light(behind(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), element.tagName, element.textContent.slice(0, 40)]);
  }
  return found;
}
"""
"""The contrast of each piece of text with what is behind it (WCAG 2), its element, and its beginning."""


@contextmanager
def browser() -> Iterator[Any]:
    """Give a browser; it is Debian's package `chromium`, which CI installs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield made
        finally:
            made.close()


@contextmanager
def opened(made: Any, path: Path, *, width: int = 1200, dark: bool = False) -> Iterator[tuple[Any, list[str]]]:
    """Give a page and the errors that it has told."""
    context = made.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    try:
        yield page, errors
    finally:
        context.close()


def check_page(made: Any, path: Path) -> None:
    """Assert what holds of every page: columns, no scrolling sideways on a phone, contrast in light and dark."""
    with opened(made, path) as (page, errors):
        for table in page.evaluate(COLUMNS):
            lefts = [row for row in table if len(row) == max(map(len, table))]
            assert len({tuple(row) for row in lefts}) == 1, "cells of a column begin at one place"
            assert all(row == sorted(set(row)) for row in lefts), "columns stand side by side"
        assert page.evaluate("document.querySelectorAll('.azft script').length") == 0
        pictures = page.evaluate("[...document.querySelectorAll('.azft svg')].map(s => s.getAttribute('aria-label'))")
        assert all(pictures), "every picture has a text alternative"
        assert errors == []
    with opened(made, path, width=380) as (page, errors):
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        wide = page.evaluate(
            "[...document.querySelectorAll('.azft *')].filter(e => e.getBoundingClientRect().right > 381)"
            ".map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"
        )
        assert wide == []
        assert errors == []
    for dark in (False, True):
        with opened(made, path, dark=dark) as (page, _errors):
            poor = [entry for entry in page.evaluate(CONTRASTS) if entry[0] < 4.5]
            assert poor == [], f"dark={dark}"
