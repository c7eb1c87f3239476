"""What azft's engine makes of every input of the registry's component: honoured, ignored, or refused, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from azft.domain.component import Component, ComponentInput
from azft.domain.findings import Finding
from azft.domain.parameters import Parameters
from azft.domain.pipelines import GPUS
from azft.rules.devices import PROCESSES, gpus_asked, processes_used
from azft.rules.engine import FOUR_BIT, LOAD_IN, OWN_INPUTS, SHARDING

HONOURED = frozenset(
    [
        "trust_remote_code",
        "pad_to_max_length",
        "max_seq_length",
        "apply_lora",
        "merge_lora_weights",
        "lora_alpha",
        "lora_r",
        "lora_dropout",
        "num_train_epochs",
        "max_steps",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "auto_find_batch_size",
        "optim",
        "learning_rate",
        "warmup_steps",
        "weight_decay",
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "gradient_accumulation_steps",
        "lr_scheduler_type",
        "precision",
        "seed",
        "enable_full_determinism",
        "dataloader_num_workers",
        "ignore_mismatched_sizes",
        "max_grad_norm",
        "evaluation_strategy",
        "evaluation_steps_interval",
        "eval_steps",
        "logging_strategy",
        "logging_steps",
        "metric_for_best_model",
        "save_total_limit",
        "apply_early_stopping",
        "early_stopping_patience",
        "early_stopping_threshold",
        GPUS[0],
    ]
)
_DEEPSPEED = "DeepSpeed is not used here; several processes share the weights out by sharding="
_MACHINE = "compute= names the machine of the whole run"
_PREPARED = "the prepared files are passed by azft itself"
_WEIGHTS = "give the model as ModelSpec(..., weights=...) instead"
IGNORED = {
    **dict.fromkeys(("instance_type_model_import", "instance_type_preprocess", "instance_type_finetune"), _MACHINE),
    **dict.fromkeys(("compute_model_import", "compute_preprocess", "compute_finetune"), _MACHINE),
    **dict.fromkeys(
        ("instance_type_model_evaluation", "compute_model_evaluation", "evaluation_config", "evaluation_config_params"),
        "the component declares it and connects it to nothing",
    ),
    "apply_ort": "the component itself ignores it",
    "batch_size": "conversations are tokenized here as fast as they come, whatever the batch",
    "eval_accumulation_steps": "an evaluation keeps its loss alone, so nothing accumulates",
    "task_name": "there is one task here, chat",
    "apply_deepspeed": _DEEPSPEED,
    "deepspeed_stage": _DEEPSPEED,
    "resume_from_checkpoint": "an interrupted run always resumes from its last sealed checkpoint",
}
REFUSED = {
    "deepspeed": "DeepSpeed is not used here, so its configurations are not read",
    **dict.fromkeys(("huggingface_id", "pytorch_model_path", "mlflow_model_path", "finetune_config_path"), _WEIGHTS),
    **dict.fromkeys(("train_file_path", "validation_file_path", "test_file_path"), _PREPARED),
    **dict.fromkeys(("train_mltable_path", "validation_mltable_path", "test_mltable_path"), _PREPARED),
}
DATE = "template_date"
"""The input with the date (ISO) that a chat template is told which writes one; today's, unless it is set."""


def engine_component(component: Component, day: date) -> Component:
    """Return the registry's component with the engine's own inputs beside its own."""
    today = ComponentInput(DATE, "string", default=day.isoformat())
    return Component(component.name, component.version, (*component.inputs, *OWN_INPUTS, today))


def input_findings(
    parameters: Parameters, *, ignored: Mapping[str, str] = IGNORED, refused: Mapping[str, str] = REFUSED
) -> list[Finding]:
    """Say which inputs that somebody set are ignored or refused, and which do nothing beside others."""
    findings = []
    for entry in parameters.entries:
        changed = any(entry.value != value for source, value in entry.displaced if source == "component defaults")
        if entry.source == "component defaults" or not (changed or not entry.displaced):
            continue
        if entry.name in ignored:
            findings.append(
                Finding("AZFT-P101", "note", entry.name, "ignored: " + ignored[entry.name], fix="nothing to do")
            )
        elif entry.name in refused:
            found = f"{entry.value!r} cannot be used by azft's engine: {refused[entry.name]}"
            findings.append(Finding("AZFT-P102", "error", entry.name, found, fix=f"leave {entry.name} out"))
    return [*findings, *_without_effect(parameters)]


def _without_effect(parameters: Parameters) -> list[Finding]:
    """Say which inputs do nothing beside others."""
    packs = "packing" in parameters and parameters.flag("packing")
    findings = []
    if packs and parameters.flag("pad_to_max_length"):
        found = "ignored: packed rows are filled with conversations"
        findings.append(Finding("AZFT-P101", "note", "pad_to_max_length", found, fix="leave packing out to pad"))
    if not packs and "pack_length" in parameters and parameters.integer("pack_length") > 0:
        found = "ignored: nothing is packed"
        findings.append(Finding("AZFT-P101", "note", "pack_length", found, fix="packing=True"))
    return [*findings, *_quantized(parameters)]


def _quantized(parameters: Parameters) -> list[Finding]:
    """Say what keeps weights from being trained on in 4 bit."""
    if LOAD_IN not in parameters or parameters.text(LOAD_IN) != FOUR_BIT:
        return []
    wrong = []
    if not parameters.flag("apply_lora"):
        wrong.append(("weights in 4 bit cannot be trained, only an adapter beside them", "apply_lora=True"))
    if SHARDING in parameters and parameters.text(SHARDING) == "on":
        wrong.append(("weights in 4 bit are not sharded", f"leave {SHARDING} out"))
    return [Finding("AZFT-P102", "error", LOAD_IN, f"{FOUR_BIT!r}: {found}", fix=fix) for found, fix in wrong]


def process_findings(parameters: Parameters, *, gpus: int) -> list[Finding]:
    """Say where processes have no device of their own, and what does nothing for a lack of GPUs or processes."""
    processes = processes_used(parameters, gpus)
    findings = []
    if 0 < gpus < processes:
        found = f"{processes} processes cannot share {gpus} GPUs"
        fix = f"{PROCESSES}={gpus}, or leave it out"
        findings.append(Finding("AZFT-P102", "error", PROCESSES, found, f"at most {gpus}", fix))
    if not gpus and gpus_asked(parameters) is not None:
        found = f"ignored: the machine has no GPU, and {processes} processes train"
        findings.append(Finding("AZFT-P101", "note", GPUS[0], found, fix=f"{PROCESSES}= is the number of processes"))
    if processes == 1 and SHARDING in parameters and parameters.text(SHARDING) == "on":
        found = "ignored: one process has nobody to share the weights with"
        findings.append(Finding("AZFT-P101", "note", SHARDING, found, fix=f"{PROCESSES}=2 or more"))
    return findings
