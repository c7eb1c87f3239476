"""The local backend keeps the contract, and what it leaves on disk is what was promised."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import pytest

import azft
from azft import BackendError, FineTuned, FineTuneSession, ModelSpec, NotFoundError, Resource, RunStatus
from azft.ports import Backend
from azft.testing.contract import SAMPLE, BackendContract


class TestLocalContract(BackendContract):
    """The suite every backend must pass."""

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, tmp_path_factory: pytest.TempPathFactory) -> Backend:
        """Return the backend under test."""
        return azft.connect("local", folder=tmp_path_factory.mktemp("home"))


def test_a_run_is_registered_with_its_lineage(tuned: FineTuned, small_session: FineTuneSession) -> None:
    assert tuned.model.name == "Phi-3-mini-4k-instruct-contract"
    assert tuned.model.tags["azft.run"] == tuned.run.id
    assert tuned.model.tags["azft.base_model"].endswith("/models/Phi-3-mini-4k-instruct/versions/15")
    assert len(tuned.model.tags["azft.dataset_sha256"]) == 64
    assert json.loads(tuned.model.tags["azft.parameters"])["num_train_epochs"] == 1
    assert small_session.register(tuned.run) == tuned.model


def test_the_run_folder_holds_the_whole_story(tuned: FineTuned, small_session: FineTuneSession) -> None:
    folder = small_session.folder / "runs" / tuned.run.id
    assert {"job.json", "parameters.json", "events.jsonl", "logs", "data"} <= {path.name for path in folder.iterdir()}
    assert {"import", "preprocess", "finetune", "evaluate", "export"} <= {path.name for path in folder.iterdir()}
    assert not list(folder.rglob("*.tmp"))
    assert (folder / "export" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_plain_mlflow_shows_parameters_metrics_picture_and_model(
    tuned: FineTuned, small_session: FineTuneSession
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{small_session.folder}/mlflow.db")
    (found,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert found.info.status == "FINISHED"
    assert found.data.params["num_train_epochs"] == "1"
    assert found.data.metrics["tuned_loss"] < found.data.metrics["base_loss"]
    assert len(client.get_metric_history(found.info.run_id, "loss")) > 1
    assert {"loss.png", "model"} <= {artifact.path for artifact in client.list_artifacts(found.info.run_id)}


def test_the_registered_model_answers_through_pyfunc(tuned: FineTuned, small_session: FineTuneSession) -> None:
    code = (
        f"import mlflow; mlflow.set_tracking_uri('sqlite:///{small_session.folder}/mlflow.db');"
        f"model = mlflow.pyfunc.load_model('{tuned.model.uri}');"
        "reply = model.predict({'messages': [{'role': 'user', 'content': 'What is LoRA?'}], 'max_tokens': 8});"
        "print(type(reply[0]['choices'][0]['message']['content']).__name__)"
    )
    assert subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], text=True).split()[-1] == "str"


def call(url: str, key: str, body: object) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    request = urllib.request.Request(url, data=data, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            raw = reply.read()
            return reply.status, raw if raw.startswith(b"data:") else orjson.loads(raw)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, orjson.loads(error.read())


def test_the_endpoint_speaks_azures_and_openais_language(tuned: FineTuned, small_session: FineTuneSession) -> None:
    question = [{"role": "user", "content": "What is LoRA?"}]
    with small_session.deploy(tuned.model) as deployed:
        url, key = deployed.url, deployed.endpoint.key
        settings = {"max_new_tokens": 6, "do_sample": False}
        flat = {"input_data": {"input_string": question, "parameters": settings}}
        status, answer = call(f"{url}/score", key, flat)
        assert (status, set(answer)) == (200, {"output"})
        nested = {"input_data": {"input_string": [question, question], "parameters": settings}}
        assert call(f"{url}/score", key, nested) == (200, [answer, answer])
        chat = {"messages": question, "max_tokens": 6}
        status, reply = call(f"{url}/v1/chat/completions", key, chat)
        assert reply["choices"][0]["message"]["content"] == answer["output"]
        assert reply["usage"]["completion_tokens"] <= 6
        status, stream = call(f"{url}/v1/chat/completions", key, {**chat, "stream": True})
        chunks = [orjson.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
        pieces = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        assert pieces.strip() == answer["output"]
        assert stream.endswith(b"data: [DONE]\n\n")
        assert call(f"{url}/score", "wrong", flat)[0] == 401
        for body, reason in [
            (b"{", "not JSON"),
            ({}, "'messages' must be a list"),
            ({"messages": [{"role": "bot", "content": "x"}]}, "unknown role 'bot'"),
            ({**chat, "temperature": 9}, "'temperature' must be a number from 0 to 2"),
        ]:
            status, error = call(f"{url}/v1/chat/completions", key, body)
            assert (status, reason in error["error"]["message"]) == (400, True)
        assert key not in "".join(p.read_text(errors="replace") for p in small_session.folder.rglob("server.log"))
        assert key not in repr(deployed.endpoint) + str(deployed)
    with pytest.raises(urllib.error.URLError):
        call(f"{url}/score", key, flat)


def test_an_endpoint_goes_on_any_way_out_of_the_block(tuned: FineTuned, small_session: FineTuneSession) -> None:
    with pytest.raises(ZeroDivisionError), small_session.deploy(tuned.model) as deployed:
        raise ZeroDivisionError
    assert not (small_session.folder / "endpoints" / deployed.name).exists()


def test_a_busy_port_is_said_and_nothing_is_left(tuned: FineTuned, small_session: FineTuneSession) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BackendError, match=f"port {port} of 127.0.0.1 cannot be used: Address already in use"):
            small_session.deploy(tuned.model, port=port)
    assert not list((small_session.folder / "endpoints").glob("*"))


def test_another_process_can_attach_and_evaluate(tuned: FineTuned, small_session: FineTuneSession) -> None:
    code = (
        "import azft; session = azft.FineTuneSession("
        f"folder={str(small_session.folder)!r}, progress=False); run = session.attach({tuned.run.id!r});"
        "print(session.watch(run).status, session.evaluate(run).tuned.loss, session.register(run).version)"
    )
    said = subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], text=True).split()[-3:]
    assert said == ["completed", str(tuned.report.tuned.loss), tuned.model.version]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "has no config.json"),
        (["config.json"], "has no tokenizer; expected one of tokenizer.json"),
        (["config.json", "tokenizer.json"], "has no chat template"),
    ],
)
def test_a_model_folder_that_lacks_something_says_what(tmp_path: Path, files: list[str], said: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("{}", encoding="utf-8")
    with pytest.raises(NotFoundError, match=said):
        azft.connect("local").find_model(ModelSpec("mine", weights=str(folder)))
    with pytest.raises(NotFoundError, match="no folder"):
        azft.connect("local").find_model(ModelSpec("mine", weights="./nowhere"))


def test_a_users_own_model_and_own_file_go_through_the_same_flow(tmp_path: Path) -> None:
    weights = own_model(tmp_path / "model")
    rows = [
        {"messages": [{"role": "user", "content": f"{n} plus one"}, {"role": "assistant", "content": str(n + 1)}]}
        for n in range(30)
    ]
    source = tmp_path / "sums.jsonl"
    source.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    session = FineTuneSession(
        ModelSpec("my-gpt2", weights=str(weights)),
        azft.DatasetSpec("sums", f"file://{source}"),
        parameters={
            "num_train_epochs": 3, "learning_rate": 1e-2, "per_device_train_batch_size": 4, "apply_lora": False,
            "packing": True, "pack_length": 120, "evaluation_strategy": "disable", "logging_steps": 1,
        },
        progress=False,
    )  # fmt: skip
    plan = session.plan()
    assert not plan.model.stand_in
    done = session.run(plan)
    assert done.report.tuned.loss < done.report.base.loss
    assert done.model.name == "my-gpt2-sums"
    # Packed rows are what steps are made of.
    steps = max(step for curve in done.result.curves.values() for step, _value in curve)
    after = session.plan().forecast
    assert plan.forecast is not None
    assert after is not None
    assert plan.forecast.steps == after.steps == steps < 3 * 24 / 4
    with session.deploy(done.model) as endpoint:
        assert isinstance(endpoint.ask("2 plus one", max_tokens=4), str)
    report = session.cleanup(everything=True)
    assert [resource.kind for resource in report.deleted] == ["model", "run", "data"]
    assert not report.failed
    assert not list((session.folder / "runs").iterdir())


def own_model(folder: Path) -> Path:
    """Save a GPT-2 with a word-level tokenizer and a template without generation markers."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = ["<pad>", "<end>", "<user>", "<bot>", "plus", "one", *map(str, range(40))]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<pad>")
    fast.chat_template = (
        "{% for m in messages %}{{ '<user> ' if m.role == 'user' else '<bot> ' }}{{ m.content }}"
        "{{ ' <end> ' if m.role == 'assistant' else ' ' }}{% endfor %}{% if add_generation_prompt %}<bot> {% endif %}"
    )
    config = GPT2Config(
        vocab_size=len(words), n_positions=64, n_embd=32, n_layer=2, n_head=2, eos_token_id=1, bos_token_id=1
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_cleanup_collects_failures_and_goes_on(tmp_path: Path) -> None:
    session = FineTuneSession(dataset=SAMPLE, percent=8, progress=False)
    session._ledger.made(Resource("data", "gone-already", "local"))
    session._ledger.made(Resource("compute", "a-machine", "local"))
    session._ledger.made(Resource("run", "run-000000000000", "local"))
    report = session.cleanup()
    assert [resource.kind for resource in report.deleted] == ["run", "data"]
    assert [(resource.name, reason.splitlines()[0]) for resource, reason in report.failed] == [
        ("a-machine", "this machine has no compute to delete")
    ]
    assert "COULD NOT DELETE compute a-machine" in str(report)
    again = FineTuneSession(folder=tmp_path / ".azft", progress=False).cleanup()
    assert [resource.name for resource, _reason in again.kept] == ["a-machine"]


def test_a_failed_run_raises_with_its_reason_and_a_timeout_says_how_to_return(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "long.jsonl"
    talks = (
        [{"role": "user", "content": f"{n} {'x' * 900}"}, {"role": "assistant", "content": "y"}] for n in range(20)
    )
    source.write_bytes(b"".join(orjson.dumps({"messages": talk}) + b"\n" for talk in talks))
    session = FineTuneSession(dataset=azft.DatasetSpec("long", f"file://{source}"), parameters={"max_seq_length": 2})
    run = session.submit()
    with pytest.raises(azft.RunTimeoutError, match=r"session\.attach"):
        session.watch(run, timeout=0)
    with pytest.raises(azft.RunFailedError, match="no conversation left to learn from within 2 tokens") as caught:
        session.watch(run)
    assert caught.value.status is RunStatus.FAILED
    assert "2/5 preprocess" in capsys.readouterr().out
    with pytest.raises(azft.RunError, match="no model to register"):
        session.register(run)


def test_ctrl_c_stops_the_watching_and_not_the_run(tmp_path: Path) -> None:
    code = (
        "import azft; from azft.testing.contract import SAMPLE;"
        "session = azft.FineTuneSession(dataset=SAMPLE, percent=8, parameters={'num_train_epochs': 6});"
        "session.watch(session.submit())"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        run_id = watching.stdout.readline().split()[0]
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        said, error = watching.communicate(timeout=60)
    assert "KeyboardInterrupt" in error
    assert f"session.watch(session.attach('{run_id}'))" in said
    session = FineTuneSession(dataset=SAMPLE, progress=False)
    assert session.watch(session.attach(run_id)).status is RunStatus.COMPLETED


def test_a_terminal_gets_a_live_display(tuned: FineTuned, small_session: FineTuneSession) -> None:
    code = (
        f"import azft; session = azft.FineTuneSession(folder={str(small_session.folder)!r});"
        f"session.watch(session.attach({tuned.run.id!r}))"
    )
    screen, terminal = pty.openpty()
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], stdout=terminal, stderr=terminal) as watching:
        os.close(terminal)
        shown = b""
        while b"run completed" not in shown:
            shown += os.read(screen, 4096)
        os.close(screen)
        watching.wait(timeout=60)
    text = shown.decode(errors="replace")
    assert "\x1b[" in text
    assert "tokens/s" in text
    assert "5/5 export" in text


def test_excels_file_is_tuned_on_in_one_word(tmp_path: Path) -> None:
    rows = [f"Wo ist das Büro {n}?;Im Gebäude {n}, gleich links." for n in range(40)]
    Path("tickets.csv").write_bytes("\r\n".join(["question;answer", *rows, rows[3]]).encode("cp1252"))
    session = FineTuneSession(dataset="tickets.csv", parameters={"num_train_epochs": 1}, progress=False)
    tuned = session.run()
    assert tuned.report.conversations == 4
    assert tuned.model.version == "1"
    session.cleanup(everything=True)


def test_test_prompts_that_are_trained_on_do_not_count_in_the_evaluation(tmp_path: Path) -> None:
    def row(number: int, answer: str) -> dict[str, Any]:
        return {"prompt": f"Say {number}", "completion": answer}

    rows = {
        "train": [row(n, f"{n}") for n in range(40)],
        "test": [*(row(n, "another") for n in range(5)), *(row(n, f"{n}") for n in range(90, 93))],
    }
    session = FineTuneSession(dataset=rows, parameters={"num_train_epochs": 1}, progress=False)
    run = session.submit()
    session.watch(run)
    report = session.evaluate(run)
    assert (report.conversations, report.held_out.asked) == (3, 3)
    assert "5 test prompts were trained on and are not counted" in report.warnings
    session.cleanup(everything=True)


def weights_of(folder: Path) -> FineTuneSession:
    return FineTuneSession(ModelSpec("mine", weights=str(folder)), "ultrachat_sample", progress=False)


def test_a_plan_knows_what_is_wrong_with_a_tokenizer(tmp_path: Path) -> None:
    folder = own_model(tmp_path / "model")
    assert not {"AZFT-M006", "AZFT-M007", "AZFT-M010"} & {
        finding.code for finding in weights_of(folder).plan().findings
    }
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 12}))
    found = {finding.code: finding for finding in weights_of(folder).plan().findings}
    assert (found["AZFT-M006"].severity, "for 12" in found["AZFT-M006"].found) == ("error", True)
    (folder / "config.json").write_text(json.dumps(config))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    bare = {name: value for name, value in settings.items() if name not in ("pad_token", "eos_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps(bare))
    assert "AZFT-M007" in {finding.code for finding in weights_of(folder).plan().errors}
    (folder / "tokenizer.json").write_text("{}")
    (broken,) = (finding for finding in weights_of(folder).plan().errors if finding.code == "AZFT-M010")
    assert "cannot be loaded" in broken.found


def test_a_template_that_never_ends_or_writes_the_date_is_said_and_a_given_one_takes_its_place(tmp_path: Path) -> None:
    folder = own_model(tmp_path / "model")
    endless = "{% for m in messages %}{{ m.role + ' ' + m.content + ' ' }}{% endfor %}{{ strftime_now('%Y') }}"
    spec = ModelSpec("mine", weights=str(folder), chat_template=endless)
    session = FineTuneSession(spec, "ultrachat_sample", parameters={"template_date": "2001-02-03"}, progress=False)
    found = {finding.code: finding for finding in session.plan().findings}
    assert found["AZFT-M008"].severity == "warning"
    assert "2001-02-03" in found["AZFT-M009"].found
    (folder / "chat_template.jinja").unlink()
    (missing,) = (finding for finding in weights_of(folder).plan().errors if finding.code == "AZFT-M001")
    assert "has no chat template" in missing.found
    assert "chat_template=" in missing.fix


def test_weights_that_are_no_gguf_are_named(tmp_path: Path) -> None:
    (tmp_path / "weights.gguf").write_bytes(b"nothing")
    for weights, said in ((tmp_path / "weights.gguf", "no GGUF file"), (tmp_path / "none.gguf", "no file")):
        with pytest.raises(NotFoundError, match=said):
            azft.connect("local").find_model(ModelSpec("mine", weights=str(weights)))
    (tmp_path / "weights.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    with pytest.raises(NotFoundError, match="cut short"):
        azft.connect("local").find_model(ModelSpec("mine", weights=str(tmp_path / "weights.gguf")))
