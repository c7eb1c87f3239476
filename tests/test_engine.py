"""The engine at work on small networks of real families: the same losses whatever way, and honest about the rest."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import azft
from azft import DataSettings
from azft.backends.local.inputs import check_inputs, local_component
from azft.backends.local.runs import LocalRuns
from azft.domain.parameters import Layer, Parameters
from azft.engine import losses as losses_of_batches
from azft.engine import scoring
from azft.engine.adapters import adapted_share, with_adapter
from azft.engine.apart import kept_apart
from azft.engine.collate import Packed, PackedRows, Padded
from azft.engine.loading import load_model
from azft.engine.rows import Rows, read_rows
from azft.engine.tokens import Encoded
from azft.engine.weights import check_unchanged, is_whole, link_weights
from azft.rules.parameters import USER, resolve
from azft.rules.shapes import shape_of
from azft.stages import finetune as finetuning
from azft.stages.context import StageContext
from azft.stages.reasons import reason
from azft.training import loop
from azft.training.arguments import Batches, checkpointing_wanted
from azft.training.events import read_events
from azft.training.group import Group
from azft.training.reporting import RunReporter
from tests.small_runs import FAMILIES, SMALL, losses, network, replaced, staged_run
from tests.test_local_backend import own_model


def chosen(**values: Any) -> Parameters:
    """Return the local component's parameters with some of them set by the user."""
    return resolve((Layer(USER, values),), local_component())[0]


def rows(lengths: tuple[int, ...] = (5, 9, 4, 7, 6, 3, 8, 6)) -> Rows:
    """Return rows of random tokens; the first half of each is a question, and not learned."""
    made = torch.Generator().manual_seed(3)
    encoded = []
    for length in lengths:
        ids = torch.randint(2, 46, (length,), generator=made).numpy().astype("int32")
        labels = ids.copy()
        labels[: length // 2] = -100
        encoded.append(Encoded(ids, labels, truncated=False))
    return Rows.of(encoded)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return a folder with a small model and its tokenizer."""
    return own_model(tmp_path / "weights")


def llama(folder: Path, **more: Any) -> Path:
    """Put a small Llama in the place of a folder's network."""
    return replaced(folder, "llama", **more)


def in_bfloat16(folder: Path) -> None:
    """Write a folder's weights in 16 bit."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)


@pytest.fixture
def staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StageContext]:
    """Return what makes a run folder with its first two stages done in this process; no worker starts."""
    monkeypatch.setattr(LocalRuns, "_start", lambda _self, _run: None)

    def make(weights: Path, count: int = 30, settings: DataSettings | None = None, **parameters: Any) -> StageContext:
        return staged_run(tmp_path, weights, count, settings, **parameters)

    return make


def trained(context: StageContext) -> list[float]:
    """Do the third stage, and return the losses of its steps."""
    target = context.folder / "finetune"
    target.mkdir()
    finetuning.finetune(context, target)
    return losses(context)


def said(context: StageContext) -> str:
    return "\n".join(event.message for event in read_events(context.events.path))


# The same losses whatever way.


def steps(family: str, collate: Any, data: Any, *, micro: int, accumulation: int, checkpointing: bool) -> list[float]:
    """Return the losses of three steps of full fine-tuning over all rows at once."""
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir="unused",
        max_steps=3,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        use_cpu=True,
        seed=1,
    )
    model = network(family)
    model.config.use_cache = False
    trainer = Trainer(model=model, args=arguments, data_collator=collate, train_dataset=data)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("family", ["llama", pytest.param("gemma2", marks=pytest.mark.slow)])
def test_padded_packed_accumulated_and_checkpointed_learn_the_same(family: str) -> None:
    data = rows()
    packs = PackedRows(data, 16)
    assert 2 <= len(packs) < len(data)
    usual = steps(family, Padded(0), data, micro=8, accumulation=1, checkpointing=False)
    assert usual[-1] < usual[0]
    ways = {
        "one row at a time": (Padded(0), data, 1, 8, False),
        "checkpointing": (Padded(0), data, 8, 1, True),
        "stacked packs": (Packed(0), packs, len(packs), 1, False),
        "flat packs": (Packed(0, flat=True), packs, len(packs), 1, False),
        "packs one at a time, checkpointing": (Packed(0), packs, 1, len(packs), True),
    }
    for name, (collate, read, micro, accumulation, checkpointing) in ways.items():
        found = steps(family, collate, read, micro=micro, accumulation=accumulation, checkpointing=checkpointing)
        # 1e-4 of the loss: 32 bit sums in another order.
        assert found == pytest.approx(usual, rel=1e-4), name


# E2, E3, E4, E11: packing.


def test_stacked_packs_have_a_row_each_and_cost_no_square() -> None:
    packs = PackedRows(rows(), 16)
    tensors = Packed(0)([packs[index] for index in range(len(packs))])
    longest = max(len(packs[index]["input_ids"]) for index in range(len(packs)))
    assert tensors["input_ids"].shape == (len(packs), longest)
    assert "attention_mask" not in tensors
    flat = Packed(0, flat=True)([packs[0], packs[1]])
    assert flat["input_ids"].shape[0] == 1


@pytest.mark.parametrize("family", [*FAMILIES, "mistral", "qwen3", "gpt2", "gpt_neox"])
def test_families_that_keep_packed_conversations_apart_are_packed(family: str) -> None:
    assert kept_apart(network(family), rows(), 0)


@pytest.mark.parametrize("family", ["opt", "bloom", "falcon"])
def test_families_that_let_packed_conversations_read_each_other_are_found_out(family: str) -> None:
    # transformers 5.17: OPT and Falcon with alibi count positions for themselves, BLOOM takes none.
    more: dict[str, dict[str, Any]] = {
        "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
        "falcon": {"alibi": True},
    }
    assert not kept_apart(network(family, **more.get(family, {})), rows(), 0)


def test_the_probe_leaves_the_model_as_it_was() -> None:
    model = network("llama").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept_apart(model, rows(), 0)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_long_context_does_not_make_one_pack_of_an_epoch(staged: Callable[..., StageContext], weights: Path) -> None:
    llama(weights)
    config = orjson.loads((weights / "config.json").read_bytes())
    (weights / "config.json").write_bytes(orjson.dumps({**config, "max_position_embeddings": 131072}))
    context = staged(weights, packing=True, per_device_train_batch_size=1, num_train_epochs=1)
    train = read_rows(context.folder / "preprocess" / "train")
    losses = trained(context)
    longest = max(train.lengths)
    assert f"{len(train)} conversations packed into {len(losses)} rows of up to {longest:,} tokens" in said(context)
    assert len(train) // 4 < len(losses) < len(train)
    given = staged(weights, packing=True, pack_length=24, per_device_train_batch_size=1, num_train_epochs=1)
    assert len(trained(given)) < len(losses)
    assert "rows of up to 24 tokens" in said(given)


def test_a_family_that_cannot_be_packed_is_trained_unpacked_and_said(
    staged: Callable[..., StageContext], weights: Path
) -> None:
    for path in weights.glob("*.safetensors"):
        path.unlink()
    network("opt", ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=64).save_pretrained(weights)
    settings = {"per_device_train_batch_size": 4, "num_train_epochs": 1, "apply_lora": False}
    packed = staged(weights, packing=True, **settings)
    losses = trained(packed)
    assert "nothing is packed: opt lets packed conversations read each other" in said(packed)
    assert losses == trained(staged(weights, **settings))


def test_evaluations_and_speed_count_packs(staged: Callable[..., StageContext], weights: Path) -> None:
    context = staged(
        llama(weights), 200, packing=True, pack_length=24, per_device_train_batch_size=1, num_train_epochs=1,
        evaluation_strategy="steps", evaluation_steps_interval=0.25,
    )  # fmt: skip
    losses = trained(context)
    told = read_events(context.events.path)
    evaluations = [event.step for event in told if "eval_loss" in event.values]
    quarter = round(len(losses) / 4)
    assert evaluations[:3] == [quarter, 2 * quarter, 3 * quarter]
    train = read_rows(context.folder / "preprocess" / "train")
    speeds = [event.values["tokens_per_second"] for event in told if "tokens_per_second" in event.values]
    runtime = next(event.values["train_runtime"] for event in told if "train_runtime" in event.values)
    assert sum(train.lengths) / runtime == pytest.approx(speeds[-1], rel=0.5)


# E1, E9, E10: precision, scoring, copies.


def test_16_bit_full_tuning_learns_what_32_bit_does(staged: Callable[..., StageContext], weights: Path) -> None:
    in_bfloat16(llama(weights))
    how = {
        "apply_lora": False,
        "learning_rate": 2e-5,
        "lr_scheduler_type": "constant",
        "max_steps": 120,
        "per_device_train_batch_size": 24,
        "max_grad_norm": 0.0,
    }
    whole = trained(staged(weights, 100, precision="32", **how))
    half = trained(staged(weights, 100, precision="16", **how))
    assert half[-1] == pytest.approx(whole[-1], rel=0.02)
    # What counts is how far it comes: with weights of 16 bit it came a tenth of the way (case E1).
    assert whole[0] - whole[-1] > 0
    assert (half[0] - half[-1]) > 0.8 * (whole[0] - whole[-1])


def test_the_tuned_model_is_kept_in_the_type_of_its_checkpoint(
    staged: Callable[..., StageContext], weights: Path
) -> None:
    in_bfloat16(llama(weights))
    for lora in (True, False):
        context = staged(weights, apply_lora=lora, max_steps=2)
        trained(context)
        tensors = load_file(context.folder / "finetune" / "model" / "model.safetensors")
        assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}


def test_scoring_in_parts_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reads:
        pad_token_id = 0

    model, data = network("llama"), rows()
    whole, items = scoring.score(model, Reads(), data, batch=8)
    monkeypatch.setattr(scoring, "MOST", 46 * 4 * 5)
    asked: list[int] = []
    model.register_forward_pre_hook(
        lambda _model, _args, given: asked.append(given["input_ids"].numel()), with_kwargs=True
    )
    parts, others = scoring.score(model, Reads(), data, batch=8)
    assert (parts.loss, parts.token_accuracy) == pytest.approx((whole.loss, whole.token_accuracy), rel=1e-6)
    assert [tokens for tokens, _loss in others] == [tokens for tokens, _loss in items]
    assert [loss for _tokens, loss in others] == pytest.approx([loss for _tokens, loss in items], rel=1e-5)
    assert max(asked) <= max(data.lengths)


def test_weights_are_linked_and_stay_the_users_own(staged: Callable[..., StageContext], weights: Path) -> None:
    file = weights / "model.safetensors"
    file.chmod(0o644)
    before = file.read_bytes()
    context = staged(weights, apply_lora=False, max_steps=2)
    assert (context.folder / "import" / "model.safetensors").samefile(file)
    trained(context)
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o644
    assert (weights / "tokenizer.json").stat().st_nlink == 1


def test_weights_that_are_written_anew_under_a_run_are_said(weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    assert is_whole(weights)
    link_weights(weights, target)
    check_unchanged(target)
    content = (weights / "model.safetensors").read_bytes()
    with (weights / "model.safetensors").open("r+b") as file:
        file.write(content)
    os.utime(weights / "model.safetensors", ns=(1, 1))
    with pytest.raises(azft.ConfigurationError, match=r"model\.safetensors of .* was written anew"):
        load_model(target)


def test_broken_or_missing_weights_are_not_taken_as_they_are(weights: Path) -> None:
    (weights / "model.safetensors").write_bytes(b"\0" * 100)
    assert not is_whole(weights)
    (weights / "model.safetensors").unlink()
    assert not is_whole(weights)


# E7, E12, E15: long runs.


class KilledError(Exception):
    """Stands for a kill: nothing is written after it."""


def killed_at(step: int) -> Callable[..., None]:
    """Return a callback that ends the training before its next step."""

    def killed(_self: Any, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if state.global_step == step:
            raise KilledError

    return killed


def test_a_checkpoint_between_evaluations_is_gone_on_from(
    staged: Callable[..., StageContext], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"apply_lora": False, "num_train_epochs": 1, "save_minutes": 1e-6, "per_device_train_batch_size": 2}
    undisturbed = staged(weights, **settings)
    losses = trained(undisturbed)
    context = staged(weights, **settings)

    monkeypatch.setattr(RunReporter, "on_step_begin", killed_at(7), raising=False)
    with pytest.raises(KilledError):
        trained(context)
    monkeypatch.undo()
    kept = sorted(path.name for path in (context.folder / "checkpoints").iterdir())
    assert kept == ["checkpoint-6", "checkpoint-7"]
    (context.folder / "finetune").rmdir()
    assert trained(context)[-len(losses[7:]) :] == losses[7:]
    assert "resumed from checkpoint-7" in said(context)
    one, other = (load_file(c.folder / "finetune" / "model" / "model.safetensors") for c in (undisturbed, context))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_of_time_never_takes_the_place_of_an_epochs_evaluation(
    staged: Callable[..., StageContext], weights: Path
) -> None:
    context = staged(
        weights,
        apply_lora=False,
        per_device_train_batch_size=8,
        num_train_epochs=2,
        save_minutes=1e-6,
        save_total_limit=-1,
        evaluation_strategy="epoch",
        settings=DataSettings(validation=0.2),
    )
    trained(context)
    kept = {path.name: (path / "between.json").exists() for path in (context.folder / "checkpoints").iterdir()}
    steps = sorted(int(name.rpartition("-")[2]) for name in kept)
    last = steps[-1]
    assert not kept[f"checkpoint-{last}"]
    assert not kept[f"checkpoint-{last // 2}"]
    evaluated = [event.step for event in read_events(context.events.path) if "eval_loss" in event.values]
    assert evaluated == [last // 2, last]


@pytest.mark.parametrize(
    "values",
    [
        {"max_steps": 7, "save_minutes": 1e-6},
        {
            "num_train_epochs": 9,
            "evaluation_strategy": "steps",
            "eval_steps": 2,
            "apply_early_stopping": True,
            "early_stopping_threshold": 10.0,
            "early_stopping_patience": 3,
        },
    ],
)
def test_a_training_that_was_over_when_it_was_killed_does_no_step_more(
    staged: Callable[..., StageContext], weights: Path, values: dict[str, Any]
) -> None:
    context = staged(weights, apply_lora=False, per_device_train_batch_size=2, **values)
    done = len(trained(context))
    assert done == 7 or 6 <= done < 20
    made = context.folder / "finetune" / "model" / "model.safetensors"
    before = load_file(made)
    shutil.rmtree(context.folder / "finetune")
    assert len(trained(context)) == done
    assert "resumed from checkpoint-" in said(context)
    after = load_file(made)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_patience_is_counted_on_where_a_training_is_resumed(
    staged: Callable[..., StageContext], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "apply_lora": False,
        "num_train_epochs": 9,
        "per_device_train_batch_size": 2,
        "evaluation_strategy": "steps",
        "eval_steps": 2,
        "apply_early_stopping": True,
        "early_stopping_threshold": 10.0,
        "early_stopping_patience": 4,
    }
    usual = trained(staged(weights, **settings))
    context = staged(weights, **settings)
    monkeypatch.setattr(RunReporter, "on_step_begin", killed_at(7), raising=False)
    with pytest.raises(KilledError):
        trained(context)
    monkeypatch.undo()
    (context.folder / "finetune").rmdir()
    assert trained(context)[-1] == usual[-1]


def test_a_batch_that_does_not_fit_is_run_in_parts_and_the_step_stays(
    staged: Callable[..., StageContext], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "apply_lora": False,
        "apply_deepspeed": False,
        "max_steps": 4,
        "per_device_train_batch_size": 8,
    }
    usual = trained(staged(llama(weights), **settings))

    def small(*args: Any, **more: Any) -> Any:
        def refuse(_model: Any, _args: Any, given: dict[str, Any]) -> None:
            if len(given["input_ids"]) > 2:
                raise torch.OutOfMemoryError

        model = load_model(*args, **more)
        model.register_forward_pre_hook(refuse, with_kwargs=True)
        return model

    monkeypatch.setattr(loop, "load_model", small)
    context = staged(weights, auto_find_batch_size=True, **settings)
    assert trained(context) == pytest.approx(usual, rel=1e-4)
    assert "a pass of 4 rows does not fit in memory: the step of 8 rows is now 4 passes of 2" in said(context)
    with pytest.raises(torch.OutOfMemoryError):
        trained(staged(weights, **settings))


@pytest.mark.parametrize(("batches", "halved"), [((8, 1), (4, 2)), ((6, 2), (3, 4)), ((3, 1), (1, 3)), ((1, 4), None)])
def test_smaller_passes_keep_the_rows_of_a_step(batches: tuple[int, int], halved: tuple[int, int] | None) -> None:
    made = Batches(*batches).halved
    assert made == (None if halved is None else Batches(*halved))
    assert made is None or made.step == Batches(*batches).step


def test_a_disk_that_is_full_is_known_whoever_says_it() -> None:
    from safetensors import SafetensorError

    for error in (OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device (28)")):
        assert reason(error).startswith("the disk is full")
        assert "session.resume(run)" in reason(error)


# E6, E13, E14: switches, inputs, adapters.


def test_checkpointing_is_on_where_the_estimate_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = shape_of({**SMALL, "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 8192})
    assert shape is not None
    auto = chosen(apply_lora=True)
    assert not checkpointing_wanted(auto, shape, Group(), longest=16, batch=1)
    assert checkpointing_wanted(auto, shape, Group(), longest=8192, batch=4096)
    assert checkpointing_wanted(chosen(gradient_checkpointing="on"), None, Group(), longest=1, batch=1)
    assert not checkpointing_wanted(chosen(gradient_checkpointing="off"), shape, Group(), longest=8192, batch=4096)


def test_checkpointing_changes_no_loss(staged: Callable[..., StageContext], weights: Path) -> None:
    settings = {"max_steps": 3, "per_device_train_batch_size": 4}
    llama(weights)
    usual = trained(staged(weights, gradient_checkpointing="off", **settings))
    context = staged(weights, gradient_checkpointing="on", **settings)
    assert trained(context) == pytest.approx(usual, rel=1e-5)
    assert "gradient checkpointing" in said(context)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"batch_size": 7}, "batch_size"),
        ({"eval_accumulation_steps": 3}, "eval_accumulation_steps"),
        ({"packing": True, "pad_to_max_length": True}, "pad_to_max_length"),
        ({"pack_length": 100}, "pack_length"),
    ],
)
def test_an_input_that_does_nothing_says_so(values: dict[str, Any], name: str) -> None:
    found = [finding for finding in check_inputs(chosen(**values)) if finding.subject == name]
    assert [finding.code for finding in found] == ["AZFT-P101"]


def test_early_stopping_without_rows_to_look_at_is_said(staged: Callable[..., StageContext], weights: Path) -> None:
    context = staged(
        llama(weights),
        apply_early_stopping=True,
        evaluation_strategy="epoch",
        max_steps=2,
        settings=DataSettings(validation=0),
    )
    trained(context)
    assert "nothing is evaluated while training, so nothing stops it early" in said(context)


def test_adapters_on_fused_experts_say_how_little_they_reach(
    staged: Callable[..., StageContext], weights: Path
) -> None:
    lora = chosen(apply_lora=True)
    assert adapted_share(with_adapter(network("llama"), lora)) > 0.95
    known = network("qwen3_moe", num_experts=4, moe_intermediate_size=32, max_position_embeddings=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft speaks of patterns that it made itself
        assert adapted_share(with_adapter(known, lora)) > 0.9
    fused = {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "max_position_embeddings": 64}
    assert adapted_share(with_adapter(network("gpt_oss", **fused), lora)) < 0.5
    for path in weights.glob("*.safetensors"):
        path.unlink()
    network("gpt_oss", **fused).save_pretrained(weights)
    context = staged(weights, apply_lora=True, max_steps=1)
    trained(context)
    assert "experts that are one fused tensor are left as they are" in said(context)


# Shapes from configurations.


@pytest.mark.parametrize("family", [*FAMILIES, "mistral", "qwen3", "gemma"])
def test_a_shape_counts_a_familys_weights(family: str) -> None:
    model = network(family, hidden_size=256, intermediate_size=1024, vocab_size=1000)
    shape = shape_of(model.config.to_dict())
    assert shape is not None
    # Norms and biases beside the layers' own are left out of the count.
    assert shape.parameters == pytest.approx(model.num_parameters(), rel=0.02)


# Loss in parts, and weights in four bits.


@pytest.mark.parametrize("items", [None, 11])
def test_a_loss_in_parts_is_the_same_and_has_the_same_gradient(
    monkeypatch: pytest.MonkeyPatch, items: int | None
) -> None:
    batch = Padded(0)([rows()[index] for index in range(5)])
    found = []
    for part in (None, 4 * 46 * 7):
        if part is not None:
            monkeypatch.setattr(losses_of_batches, "MOST", part)
        model = network("llama")
        labels = batch["labels"]
        more = {} if items is None else {"num_items_in_batch": items}
        if part is None:
            loss = model(**batch, **more).loss
        else:
            given = {name: tensor for name, tensor in batch.items() if name != "labels"}
            loss = losses_of_batches.loss_in_parts(model(**given), labels, items)
        loss.backward()
        found.append((loss.item(), [weight.grad for weight in model.parameters()]))
    (whole, gradients), (parts, others) = found
    assert parts == pytest.approx(whole, rel=1e-6)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(gradients, others, strict=True))


def test_an_adapter_is_trained_on_weights_in_four_bits_and_merged_into_those_of_the_file(
    staged: Callable[..., StageContext], weights: Path
) -> None:
    settings = {"apply_lora": True, "lora_r": 4, "max_steps": 30, "learning_rate": 2e-3}
    context = staged(llama(weights), load_in="4bit", **settings)
    learned = trained(context)
    assert sum(learned[-5:]) < sum(learned[:5])
    assert learned == pytest.approx(trained(staged(weights, **settings)), rel=0.05)
    base, adapter, tuned = (
        load_file(path)
        for path in (
            weights / "model.safetensors",
            context.folder / "finetune" / "adapter" / "adapter_model.safetensors",
            context.folder / "finetune" / "model" / "model.safetensors",
        )
    )
    name = "model.layers.0.mlp.up_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    scale = context.job.parameters.integer("lora_alpha") / 4
    assert torch.allclose(tuned[f"{name}.weight"], base[f"{name}.weight"] + scale * b @ a, atol=1e-6)
    assert torch.equal(tuned["model.embed_tokens.weight"], base["model.embed_tokens.weight"])


def test_what_four_bits_need_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not check_inputs(chosen(load_in="4bit", apply_lora=True))
    (finding,) = check_inputs(chosen(load_in="4bit", apply_lora=False))
    assert (finding.code, finding.severity, finding.fix) == ("AZFT-P102", "error", "apply_lora=True")
    (finding,) = check_inputs(chosen(load_in="4bit", apply_lora=True, sharding="on"))
    assert "not sharded" in finding.found
    monkeypatch.setattr("azft.backends.local.inputs.find_spec", lambda _name: None)
    (finding,) = check_inputs(chosen(load_in="4bit", apply_lora=True))
    assert finding.fix == "pip install 'azft[quantized]'"
