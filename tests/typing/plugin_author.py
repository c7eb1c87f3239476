"""What the author of a plugin writes; both type checkers take it as it stands."""

from collections.abc import Iterable, Mapping
from typing import Any

import azft


@azft.hookimpl
def azft_models() -> list[azft.ModelSpec]:
    return [azft.ModelSpec("Mistral-7B-Instruct-v0.3", defaults={"apply_lora": True})]


def convert(row: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"role": "user", "content": str(row["q"])}, {"role": "assistant", "content": str(row["a"])}]


@azft.hookimpl
def azft_converters() -> Iterable[azft.Converter]:
    return [azft.Converter("mine", convert, needs=(("q", "a"),))]


@azft.hookimpl
def azft_datasets() -> Iterable[azft.DatasetSpec]:
    return [azft.DatasetSpec("mine", "acme://1", size=azft.DatasetSize(1_000, 100, tokens=300.0))]


@azft.hookimpl
def azft_readers() -> Iterable[azft.Reader]:
    return [azft.Reader("acme", lambda rest, split: ({"q": rest, "a": split} for _ in range(3)), near=True)]


@azft.hookimpl
def azft_naming_schemes() -> list[azft.NamingScheme]:
    def named(context: azft.NamingContext) -> str:
        return f"acme-{context.model.name}"

    return [azft.NamingScheme("acme", named, named)]


@azft.hookimpl
def azft_check(plan: azft.Plan) -> list[azft.Finding]:
    if plan.forecast is not None and plan.forecast.steps > 10_000:
        return [azft.Finding("ACME-1", "warning", "steps", f"{plan.forecast.steps}")]
    return []


@azft.hookimpl
def azft_run_event(event: azft.RunEvent, run: azft.Run) -> None:
    print(run.id, event.kind, event.values.get("loss"))


plugins: azft.Plugins = azft.load_plugins()
