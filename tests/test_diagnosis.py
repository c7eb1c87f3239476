"""Why did it fail? Each cause from a job that a script lets fail, with its evidence and what to do (row A11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azft import FineTuneSession, RunFailedError, RunStatus
from azft.backends.azureml.backend import AzureMLBackend
from azft.rules.causes import CAUSES
from azft.rules.codes import CODES
from azft.rules.diagnosis import LONGEST, diagnosed
from azft.testing.emulator import AzureMLEmulator, Outcome
from tests.workspaces import submitted

# cause: (what the step says, what its log ends with). The words are those of the sources that the table names.
SAID: dict[str, tuple[str, str]] = {
    "preempted": ("AzureMLCompute job failed. PreemptionError: Nodes of this job got pre-empted.", ""),
    "policy": ('{"code":"RequestDisallowedByPolicy","message":"Resource \'x\' was disallowed by policy."}', ""),
    "quota": ("JobNodeCountExceedsCoreQuota, subscription has a Standard DSv2 family vCPU quota of 2", ""),
    "capacity": ("Allocation failed. We do not have sufficient capacity for the requested VM size in this region.", ""),
    "environment-missing": ("(UserError) No environment exists for name: acft, version: 46, label:", ""),
    "image-build": ("Image build failed. For more details, check log file azureml-logs/20_image_build_log.txt.", ""),
    "image-pull": ('"Code":"DockerUnauthorizedAccessError","Category":"UserError"', ""),
    "image-platform": ('GetErrorFromContainerFailed { last_stderr: Some("exec /bin/sh: exec format error\\n") }', ""),
    "storage-keys": ("Key based authentication is not permitted on this storage account.", ""),
    "output-denied": ("ScriptExecution.WriteStreams.Authentication", "saved everything\n"),
    "network": ("AzureIdentityAccessTokenResolution.NetworkIsolationViolated", ""),
    "storage-access": ("ScriptExecution.StreamAccess.Authentication", ""),
    "data-missing": ("ScriptExecution.StreamAccess.NotFound", ""),
    "datastore-missing": ("404 (Could not find datastore: mydata.)", ""),
    "compute-broken": ("AzureMLCompute cluster c is in failed state and thus not ready for runs", ""),
    "node-lost": ("encountered an unusable node. Please try to restart the compute instance to recover.", ""),
    "time-limit": ('"status": "RUN_TIMEOUT"', ""),
    "sign-in-expired": ("AADSTS700024: Client assertion is not within its valid time range", ""),
    "cuda-memory": ("User process 'python' exited with status code 1.", "OutOfMemoryError: CUDA out of memory. Tried"),
    "shared-memory": ("", "ERROR: Unexpected bus error. This might be caused by insufficient shared memory (shm)."),
    "host-memory": ("", "exitcode  : -9 (pid: 429)\ntraceback : Signal 9 (SIGKILL) received by PID 429"),
    "disk-full": ("", "OSError: [Errno 28] No space left on device"),
    "model-access": ("", "huggingface_hub.errors.GatedRepoError: 403 Client Error."),
    "model-missing": ("", "OSError: /mnt/model does not appear to have a file named config.json."),
    "hub-unreachable": ("", "OSError: We couldn't connect to 'https://huggingface.co' to load the files"),
    "few-rows": ("", "Training dataset has 4 non-null samples, which is fewer than 10 samples, the min"),
    "no-tokens": ("", "Unable to continue finetuning. No assistant tokens found after preprocessing."),
    "chat-template": ("", "Cannot use chat template functions because tokenizer.chat_template is not set"),
    "data-format": ("", "datasets.exceptions.DatasetGenerationError: An error occurred while generating the dataset"),
    "data-columns": ("", "Path or dict: x.Dataset Columns: ['a'].User Passed Columns: ['messages']."),
    "gpu-count": ("", "RuntimeError: CUDA error: invalid device ordinal"),
    "wrong-size": ("", "The selected compute does not meet minimum compute requirements"),
    "gpu-kind": ("", "RuntimeError: CUDA error: no kernel image is available for execution on the device"),
    "attention": ("", "ImportError: FlashAttention2 has been toggled on, but it cannot be used"),
    "lora-targets": ("", "ValueError: Target modules {'q'} not found in the base model. Please check"),
    "model-unsupported": ("", "model type `x` but Transformers does not recognize this architecture."),
    "weights-mismatch": ("", "size mismatch for lm_head.weight: copying a param with shape torch.Size([3])"),
    "weights-broken": ("", "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge"),
    "deepspeed-settings": ("", "Invalid settings found. Deep Speed cannot be coupled with auto_find_batch_size."),
    "parameter": ("", "Invalid value set for lr: x allowed values are ['y']"),
    "overflow": ("", "Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run."),
    "tracking": ("", "TypeError: azureml_artifacts_builder() got an unexpected keyword argument 'tracking_uri'"),
    "package-missing": ("", "ModuleNotFoundError: No module named 'flash_attn'"),
    "gpu-broken": ("", "CUDA error: uncorrectable ECC error encountered"),
    "index-error": ("", "CUDA error: device-side assert triggered"),
    "endpoint-probe": ("User container has crashed or terminated: Liveness probe failed: HTTP probe failed", ""),
    "endpoint-download": ("Model download failed, retrying. Please check model-mount log for detail.", ""),
    "endpoint-crash": ("User container has crashed or terminated", ""),
    "nccl-network": ("", "ncclSystemError: System call (e.g. socket, malloc) or external library call failed"),
    "rendezvous": ("", "The client socket has timed out after 900s while trying to connect to (10.0.0.4, 6105)."),
    "nccl-timeout": ("", "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7753)"),
    "command": ("User process 'bash' exited with status code 127.", "bash: trian.py: command not found"),
    "crash": ("", "Segmentation fault (core dumped)"),
    "service": ('"Code":"ServiceError"', ""),
    "exception": ("User process 'python' exited with status code 1.", "KeyError: 'messages'"),
}  # fmt: skip


pytestmark = pytest.mark.shared


def test_every_cause_has_its_words_here() -> None:
    assert list(SAID) == [cause.name for cause in CAUSES]
    assert len(CAUSES) >= 20
    assert len({cause.code for cause in CAUSES}) == len(CAUSES)
    assert all(cause.source and cause.fix and cause.code in CODES for cause in CAUSES)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if number % 5 == 0 else pytest.mark.slow) for number, name in enumerate(SAID)]
)
def test_each_cause_is_told_by_name_with_evidence_and_advice(
    backend: AzureMLBackend, emulator: AzureMLEmulator, name: str
) -> None:
    message, log = SAID[name]
    emulator.script(Outcome("failed", error=message or "the step failed", log=f"before\n{log}\n", seconds=0))
    result = backend.result(submitted(backend))
    assert result.status is RunStatus.FAILED
    found = result.diagnosis
    assert found is not None
    cause = next(cause for cause in CAUSES if cause.name == name)
    assert (found.cause, found.code, found.fix) == (name, cause.code, cause.fix)
    assert found.step == "chat_completion_finetune"
    assert found.evidence
    assert found.evidence in f"{message}\n{log}" or "exec format" in found.evidence


def test_the_error_shows_step_cause_evidence_and_what_to_do(
    session: FineTuneSession, emulator: AzureMLEmulator
) -> None:
    emulator.script(
        Outcome("failed", error="exited with status code 1", log="CUDA out of memory. Tried 2 GiB\n", seconds=0)
    )
    with pytest.raises(RunFailedError) as raised:
        session.watch(session.submit())
    said = str(raised.value)
    for part in ("chat_completion_finetune: the GPU's memory is too small [AZFT-F030]", "line: CUDA out of memory.",
                 "apply_lora=True", "whole message: Pipeline has failed child jobs"):  # fmt: skip
        assert part in said
    assert raised.value.diagnosis is not None
    assert raised.value.diagnosis.cause == "cuda-memory"


def test_unknown_text_is_shown_whole(session: FineTuneSession, emulator: AzureMLEmulator) -> None:
    odd = "Zorblax flux capacitor desynchronised (17)"
    lines = "\n".join(f"line {n} of something else" for n in range(40))
    emulator.script(Outcome("failed", error=odd, log=lines, seconds=0))
    with pytest.raises(RunFailedError) as raised:
        session.watch(session.submit())
    assert odd in str(raised.value)
    assert "azft does not know why [AZFT-F099]" in str(raised.value)
    assert "line 39 of something else" in str(raised.value)
    assert "line 3 of something else" not in str(raised.value)


def test_a_log_that_cannot_be_read_hides_nothing(backend: AzureMLBackend, emulator: AzureMLEmulator) -> None:
    emulator.script(Outcome("failed", error="PreemptionError: gone", seconds=0))
    run = submitted(backend)
    emulator.fault("GET", r"/runs/[0-9a-f-]{36}/details", status=500, headers={"x-ms-retry-after-ms": "5"}, times=None)
    found = backend.result(run).diagnosis
    assert found is not None
    assert found.cause == "preempted"


def test_several_files_of_log_are_read(backend: AzureMLBackend, emulator: AzureMLEmulator) -> None:
    logs = {"user_logs/std_log_process_0.txt": "[Rank 0] Watchdog caught collective operation timeout\n",
            "user_logs/std_log_process_3.txt": "torch.OutOfMemoryError: CUDA out of memory. Tried\n"}  # fmt: skip
    emulator.script(Outcome("failed", error="exited with status code 1", logs=logs, seconds=0))
    found = backend.result(submitted(backend)).diagnosis
    assert found is not None
    assert found.cause == "cuda-memory"


@pytest.mark.parametrize(
    ("code", "cause"),
    [(-9, "host-memory"), (137, "host-memory"), (-7, "shared-memory"), (139, "crash"), (127, "command"),
     (134, "nccl-timeout"), (1, "unknown"), (None, "unknown"), (0, "unknown")],
)  # fmt: skip
def test_how_a_process_ended_is_the_cause_where_nothing_else_is_known(code: int | None, cause: str) -> None:
    assert diagnosed("", ["an ordinary line"], exit_code=code).cause == cause


@pytest.mark.parametrize("name", list(SAID))
def test_the_rule_knows_each_cause_by_its_words(name: str) -> None:
    message, log = SAID[name]
    assert diagnosed(message, log.splitlines()).cause == name


def test_a_cause_is_not_swallowed_by_its_consequence() -> None:
    log = ["torch.OutOfMemoryError: CUDA out of memory. Tried", "Sending process 7 closing signal SIGTERM",
           "torch.distributed.elastic.multiprocessing.errors.ChildFailedError", "exitcode : 1 (pid: 4)"]  # fmt: skip
    assert diagnosed("User process 'python' exited with status code 1.", log).cause == "cuda-memory"
    assert diagnosed("PreemptionError: Nodes of this job got pre-empted", ["Signal 9 (SIGKILL)"]).cause == "preempted"


@given(st.text(), st.lists(st.text(), max_size=20), st.none() | st.integers(-300, 300))
def test_any_text_gives_a_diagnosis_that_can_be_shown(message: str, lines: list[str], code: int | None) -> None:
    found = diagnosed(message, lines, exit_code=code)
    assert str(found)
    assert len(found.evidence) <= LONGEST
    assert found.code in CODES
