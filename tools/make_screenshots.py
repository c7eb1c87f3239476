"""Draw the pictures of the docs: a plan and an evaluation as a notebook shows them, in a real browser."""

from __future__ import annotations

import tempfile
from pathlib import Path

import azft
from azft.domain.evaluation import Answer, EvaluationReport, ExactAnswers, Scores
from azft.testing.emulator import AzureMLEmulator
from azft.views.description import Viewed
from azft.views.html import as_page
from tests.browser import browser, opened

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


def plan() -> Viewed:
    """Return the first plan of the tutorial's data on the emulated workspace."""
    with tempfile.TemporaryDirectory() as folder, AzureMLEmulator(folder):
        backend = azft.connect("azureml")
        size = "Standard_NC24ads_A100_v4"
        session = azft.FineTuneSession("Phi-4", backend=backend, compute=size, percent=5, budget=50, folder=folder)
        return session.plan()


def evaluation() -> Viewed:
    """Return a comparison as examples/real_model.py prints it."""
    said = "My parcel got wet, I need a new one today!"
    form = '{"team": "delivery", "urgent": true}'
    base = "I'm sorry to hear that your parcel got wet. You can contact"
    sales = '{"team": "sales", "urgent": false}'
    other = Answer("Is the paint safe for children's toys?", sales, "The paint is safe for", sales)
    answers = (Answer(said, form, base, form), other)
    return EvaluationReport(
        Scores(3.65, 0.37), Scores(0.09, 0.95), 24, 1_044, ExactAnswers(24, 0, 15), ExactAnswers(0, 0, 0), answers
    )


def main() -> None:
    """Write both pictures."""
    with browser() as made, tempfile.TemporaryDirectory() as folder:
        for name, value in (("plan", plan()), ("evaluation", evaluation())):
            page = Path(folder) / f"{name}.html"
            page.write_text(as_page(value.view()), encoding="utf-8")
            with opened(made, page, width=900) as (shown, _errors):
                shown.locator(".azft").screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
