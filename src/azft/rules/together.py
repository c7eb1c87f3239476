"""Values that are fine alone and wrong together: what the component would refuse, ignore or undo at run time."""

from __future__ import annotations

from collections.abc import Iterator

from azft.domain.findings import Finding, Severity
from azft.domain.forecast import Forecast
from azft.domain.parameters import Parameters
from azft.rules.parameters import RECIPE, USER

CHAT_METRIC = "loss"
HIGH_RATE = 0.1
"""A learning rate above this is a slip of the pen: published ones for fine-tuning are 1e-6 to 1e-2."""
SOURCES = ("huggingface_id", "pytorch_model_path", "mlflow_model_path")
_NEEDS = {
    **dict.fromkeys(("lora_r", "lora_alpha", "lora_dropout", "merge_lora_weights"), "apply_lora"),
    "deepspeed_stage": "apply_deepspeed",
    **dict.fromkeys(("early_stopping_patience", "early_stopping_threshold"), "apply_early_stopping"),
}
"""Inputs that do nothing unless another one is on."""


def together(
    parameters: Parameters, *, context: int = 0, forecast: Forecast | None = None, chats: bool = True
) -> tuple[Finding, ...]:
    """Return every contradiction; `context` is the longest sequence the model reads, 0 if not known.

    Pipelines for other tasks than chat have metrics of their own.
    """
    look = _Look(parameters)
    return (
        *_switches(look, chats=chats),
        *_without_effect(look),
        *_lengths(look, context),
        *_steps(look, forecast),
        *_rate(look),
    )


class _Look:
    """The parameters, as far as this component has them."""

    def __init__(self, parameters: Parameters) -> None:
        self.all = parameters

    def on(self, name: str) -> bool:
        return name in self.all and self.all.flag(name)

    def text(self, name: str) -> str:
        return self.all.text(name) if name in self.all else ""

    def integer(self, name: str) -> int:
        return self.all.integer(name) if self.given(name) else 0

    def given(self, name: str) -> bool:
        return name in self.all and self.all[name] is not None

    def chosen(self, name: str) -> bool:
        return self.given(name) and self.all.explain(name).source in {USER, RECIPE}

    def finding(
        self, code: str, name: str, found: str, expected: str, fix: str, *, severity: Severity = "error"
    ) -> Finding:
        return Finding(code, severity, f"{name} ({self.all.explain(name).source})", found, expected, fix)


def _switches(look: _Look, *, chats: bool) -> Iterator[Finding]:
    if look.on("apply_early_stopping") and look.text("evaluation_strategy") == "disable":
        expected = "evaluation_strategy 'epoch' or 'steps'"
        yield look.finding(
            "AZFT-P010", "apply_early_stopping", "on without evaluation", expected, "evaluate, or turn it off"
        )
    if look.on("auto_find_batch_size") and look.on("apply_deepspeed"):
        found = "on together with apply_deepspeed"
        yield look.finding("AZFT-P011", "auto_find_batch_size", found, "only one of the two", "turn one of them off")
    if look.given("deepspeed") and not look.on("apply_deepspeed"):
        yield look.finding("AZFT-P012", "deepspeed", "a file without apply_deepspeed", "both", "apply_deepspeed=True")
    if look.on("apply_deepspeed") and look.text("deepspeed_stage") == "3" and look.on("apply_ort"):
        yield look.finding("AZFT-P013", "apply_ort", "on with DeepSpeed stage 3", "off", "apply_ort=False")
    for name in SOURCES:
        if look.given(name):
            found = "a second source beside the plan's model"
            yield look.finding(
                "AZFT-P014", name, found, "one model", f"leave {name} out, and choose the model by model="
            )
    if chats and look.given("metric_for_best_model") and look.text("metric_for_best_model") != CHAT_METRIC:
        name = "metric_for_best_model"
        found = f"{look.text(name)!r}: chat completion measures the loss only"
        yield look.finding("AZFT-P016", name, found, f"{CHAT_METRIC!r}", f"leave {name} out")


def _rate(look: _Look) -> Iterator[Finding]:
    name = "learning_rate"
    if look.chosen(name) and look.all.number(name) > HIGH_RATE:
        found = f"{look.all.number(name):g}, with which a model forgets what it knows within a few steps"
        fix = "1e-5 to 1e-3 is usual; 5e-6 is what the tutorial takes"
        yield look.finding("AZFT-P022", name, found, f"at most {HIGH_RATE:g}", fix, severity="warning")


def _without_effect(look: _Look) -> Iterator[Finding]:
    for name, switch in _NEEDS.items():
        if look.chosen(name) and not look.on(switch):
            yield look.finding(
                "AZFT-P017", name, f"without {switch} it does nothing", switch, f"{switch}=True", severity="warning"
            )
    if (
        look.given("evaluation_steps_interval")
        and look.all.number("evaluation_steps_interval") > 0
        and look.chosen("eval_steps")
    ):
        found = "evaluation_steps_interval overrides it"
        yield look.finding("AZFT-P018", "eval_steps", found, "one of the two", "leave one out", severity="warning")
    if look.integer("max_steps") > 0 and look.chosen("num_train_epochs"):
        found = f"max_steps={look.integer('max_steps')} overrides it"
        yield look.finding(
            "AZFT-P018", "num_train_epochs", found, "one of the two", "leave one out", severity="warning"
        )


def _lengths(look: _Look, context: int) -> Iterator[Finding]:
    if context and look.integer("max_seq_length") > context:
        name = "max_seq_length"
        found = f"{look.integer(name)} tokens, and the model reads {context}"
        yield look.finding("AZFT-P015", name, found, f"at most {context}", f"{name}={context}, or -1")


def _steps(look: _Look, forecast: Forecast | None) -> Iterator[Finding]:
    if forecast is None:
        return
    if look.integer("warmup_steps") >= forecast.steps:
        found = f"{look.integer('warmup_steps')} of {forecast.steps} steps: the learning rate never gets there"
        yield look.finding("AZFT-P019", "warmup_steps", found, f"below {forecast.steps}", "make it shorter")
    if forecast.batch > forecast.train_rows:
        name = "per_device_train_batch_size"
        found = f"one batch is {forecast.batch} rows, and there are {forecast.train_rows}"
        yield look.finding(
            "AZFT-P020", name, found, "several batches", "a smaller batch, or more rows", severity="warning"
        )
    rare = [("logging_steps", "logging_strategy"), ("eval_steps", "evaluation_strategy")]
    for name, strategy in rare:
        if look.chosen(name) and look.text(strategy) == "steps" and look.integer(name) > forecast.steps:
            found = f"every {look.integer(name)} steps, and the run has {forecast.steps}"
            yield look.finding(
                "AZFT-P021", name, found, f"at most {forecast.steps}", "make it smaller", severity="warning"
            )
