"""Why did it fail? A table of causes, each known by words of the service, of a log, or by how a process ended.

A row gives a name, what to do, and where its words come from. The order is that of trust: what the service says of
itself comes before what a log says, a cause before what follows from it, and wrappers that only point elsewhere are
never the cause. What no row knows is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import frozen

from azft.domain.diagnosis import UNKNOWN, Diagnosis

LINES = 15
"""Last lines of a log that are shown where nobody knows the cause."""
LONGEST = 300
"""Characters of a line that are shown."""


@frozen
class Cause:
    """One row: `words` are regular expressions, any of which proves it; `early` ones are asked before all logs."""

    name: str
    code: str
    title: str
    fix: str
    words: tuple[str, ...]
    source: str
    early: bool = False
    exits: tuple[int, ...] = ()


def _row(name: str, code: str, title: str, fix: str, *words: str, source: str, early: bool = False,
         exits: tuple[int, ...] = ()) -> Cause:  # fmt: skip
    return Cause(name, code, title, fix, words, source, early, exits)


_TROUBLE = "Microsoft, How to troubleshoot data access (2024)"
_ENDPOINTS = "Microsoft, Troubleshooting online endpoints (2024)"
_ACFT = "azureml-acft packages 0.0.91 and azureml-assets (2026)"
CAUSES: tuple[Cause, ...] = (
    _row("preempted", "AZFT-F001", "its low-priority machines were taken away",
         "submit it again (one that failed does not count), on a dedicated cluster if it must not happen again",
         r"PreemptionError", r"got pre-?empted", r"pre-?emption warning",
         source="Azure/MachineLearningNotebooks 1242 (2020)", early=True),
    _row("policy", "AZFT-F002", "a policy of your organisation forbids it",
         "read the reasons in the line and comply, or ask for an exemption; trying again is of no use",
         r"RequestDisallowedByPolicy", r"was disallowed by policy",
         source="dotnet/machinelearning-modelbuilder 3044 (2025)", early=True),
    _row("quota", "AZFT-F003", "the core quota is used up or too small",
         "ask for more cores, take a smaller size or fewer nodes, or free what others hold",
         r"JobNodeCountExceedsCoreQuota", r"ClusterMinNodesExceedCoreQuota", r"ClusterCoreQuotaReached",
         r"vCPU quota of \d+", r"exceeding quota limits", r"Not enough quota available", r"\bOutOfQuota\b",
         source="mslearn-dp100 35 (2021), ansible-collections/azure 2209 (2026)", early=True),
    _row("capacity", "AZFT-F004", "the region has none of these machines free",
         "try later, take another size or region; the quota is not the reason",
         r"sufficient capacity for the requested VM size", r"\bAllocationFailed\b", r"OverconstrainedZonalAllocation",
         r"\bOutOfCapacity\b", r"\bSkuNotAvailable\b", source="Azure/AKS 1272 (2019)", early=True),
    _row("environment-missing", "AZFT-F005", "the environment of the job does not exist",
         "name it in full: azureml://registries/REGISTRY/environments/NAME/versions/VERSION",
         r"No environment exists for name", r"Environment \S+ is not registered",
         source="azure-sdk-for-python 38594 (2024)", early=True),
    _row("image-build", "AZFT-F006", "the image of the environment could not be built",
         "read azureml-logs/20_image_build_log.txt: the first error there is the cause; pin what conflicts",
         r"Image build failed", r"ImageBuildFailure", r"waiting for Environment Image to become available",
         r"No matching distribution found for", r"ResolvePackageNotFound",
         source="Microsoft, How to troubleshoot environments (2026)", early=True),
    _row("image-pull", "AZFT-F007", "the image could not be fetched from its registry",
         "give the compute's identity the role AcrPull, or open the registry's network to it",
         r"DockerUnauthorizedAccessError", r"AggregatedUnauthorizedAccessError", r"AcrRefreshTokenRetrievalError",
         r"ImagePullFailed", r"ImagePullLoopBackOff", r"Failed to pull Docker image",
         source="Microsoft, Troubleshooting online endpoints (2024)", early=True),
    _row("image-platform", "AZFT-F008", "the image was built for another kind of processor",
         "build it with --platform linux/amd64", r"execution-wrapper: no such file or directory", r"exec format error",
         source="getindata/kedro-azureml 87 (2023)", early=True),
    _row("storage-keys", "AZFT-F009", "the storage account takes no keys",
         "let the datastore use identities, and give them the role 'Storage Blob Data Contributor'",
         r"KeyBasedAuthenticationNotPermitted", r"[Kk]ey[- ]based authentication is not permitted",
         source="AI-Landing-Zones 64 (2025)", early=True),
    _row("output-denied", "AZFT-F010", "the outputs could not be written, after the work was done",
         "give the identity of the compute the role 'Storage Blob Data Contributor' on the default store",
         r"ScriptExecution\.WriteStreams\.Authentication", r"DestinationError\(PermissionDenied",
         source="azureml-examples 2994 (2024)", early=True),
    _row("network", "AZFT-F011", "the network does not let it through",
         "open the firewall, or use private endpoints for storage, registry and workspace, and check the names' DNS",
         r"NetworkIsolationViolated", r"PrivateEndpointResolutionFailure", r"UriMountSession\.PyFuseError",
         r"DataAccessError\(ConnectionFailure", r"This request is not authorized to perform this operation\.",
         r"WorkspaceManagedNetworkNotReady", r"Temporary failure in name resolution", r"Network is unreachable",
         source=_TROUBLE, early=True),
    _row("storage-access", "AZFT-F012", "the identity of the job may not read the data",
         "give it the role 'Storage Blob Data Reader' (Owner and Contributor are not enough)",
         r"StreamAccess\.Authentication", r"permission denied when access stream", r"DataAccessError\(PermissionDenied",
         r"AuthorizationPermissionMismatch", r"Identity authentication failed for 'AzureBlob",
         source=_TROUBLE, early=True),
    _row("data-missing", "AZFT-F013", "the data is not where the job looks for it",
         "list the path; a folder is uri_folder and a file uri_file; a role that is missing may look like this, too",
         r"StreamAccess\.NotFound", r"StorageRequest-InvalidUri", r"Path \[[^\]]*\] was not found",
         r"No such file or directory: '/mnt/azureml/", r"The provided file does not exist:",
         source=_TROUBLE, early=True),
    _row("datastore-missing", "AZFT-F014", "the datastore does not exist",
         "check its name, and the workspace's default store",
         r"Could not find datastore", source="azureml-examples 2941 (2024)", early=True),
    _row("compute-broken", "AZFT-F015", "the cluster cannot run anything",
         "look at its errors in the studio, and make it again",
         r"is in failed state and thus not ready for runs", source="MachineLearningNotebooks 642 (2019)", early=True),
    _row("node-lost", "AZFT-F016", "the machine was lost",
         "submit it again; if it happens twice, its memory or disk is too small",
         r"encountered an unusable node", r"\bNotResponding\b", r"no heartbeat has been",
         source="azure-docs 85756 (2021); azure-ai-ml 1.35", early=True),
    _row("time-limit", "AZFT-F017", "its time limit was reached", "raise the limit, or train fewer steps",
         r"RUN_TIMEOUT", r"maximum run duration", r"exceeded the (?:job|time) limit", r"JobTimeout",
         source="azure-ai-ml 1.35, job_limits.py", early=True),
    _row("sign-in-expired", "AZFT-F018", "a sign-in ran out while it worked",
         "let the job use a managed identity in place of a user's token",
         r"AADSTS700024", r"AADSTS70043", r"AADSTS700082", r"ExpiredAuthenticationToken",
         source="Azure/login 180 (2024)", early=True),
    _row("cuda-memory", "AZFT-F030", "the GPU's memory is too small",
         "per_device_train_batch_size=1 with gradient_accumulation_steps, a shorter max_seq_length, apply_lora=True, "
         "DeepSpeed stage 3, or a larger GPU",
         r"CUDA out of memory", r"OutOfMemoryError: CUDA", r"CUBLAS_STATUS_ALLOC_FAILED",
         r"Cuda failure 'out of memory'", r"not enough GPU memory on the machine", r"No executable batch size found",
         source=f"torch 2.13; {_ACFT}; MLOpsPython 416"),
    _row("shared-memory", "AZFT-F031", "the shared memory of the container is too small",
         "set shm_size on the job's resources, or use fewer data loader workers",
         r"insufficient shared memory \(shm\)", r"out of shared memory\.", r"unable to open shared memory object",
         r"killed by signal: Bus error", r"not enough shared memory on the machine",
         source="torch 2.13; pytorch 5040 (2019)", exits=(-7,)),
    _row("host-memory", "AZFT-F032", "the machine's main memory ran out, and the process was killed",
         "fewer processes or data loader workers, no offload to the CPU, or a machine with more memory",
         r"Signal 9 \(SIGKILL\)", r"exits with return code = -9", r"DefaultCPUAllocator: (?:can't|not enough)",
         r"^Killed$", r"\bMemoryError\b", r"Cannot allocate memory", r"PodOutOfMemory",
         source="torch 2.13; deepspeedai/DeepSpeed 4239 (2023)", exits=(-9,)),
    _row("disk-full", "AZFT-F033", "the disk is full",
         "keep fewer checkpoints (save_total_limit), or take a larger disk",
         r"No space left on device", r"Disk full while running job", r"Not enough free disk space to download",
         r"Disk quota exceeded", source="azure-sdk-for-python 28946 (2023); errno ENOSPC"),
    _row("model-access", "AZFT-F034", "the model is gated, and nobody here may read it",
         "accept its terms on the hub, and give the job a token; or take a model of the registry",
         r"access a gated repo", r"GatedRepoError", r"Cannot access gated repo", r"Invalid username or password\.",
         r"Repository Not Found for url", source="huggingface_hub 1.33"),
    _row("model-missing", "AZFT-F035", "there is no model at that place",
         "give the folder that holds config.json and the weights; of an MLflow model that is below data/model",
         r"is not a valid model identifier listed on", r"does not appear to have a file named config\.json",
         r"no file named model\.safetensors, or pytorch_model\.bin", r"Can't load tokenizer for",
         r"Could not find an \"MLmodel\" configuration file", source="transformers 5.17; mlflow 3.17"),
    _row("hub-unreachable", "AZFT-F036", "the hub cannot be reached from there",
         "bring the model in from a registry or datastore", r"couldn't connect to '?https://huggingface\.co",
         source="transformers 5.17"),
    _row("few-rows", "AZFT-F037", "too few rows are left to train on",
         "the component wants ten rows of chat after filtering; give more, or a validation file of its own",
         r"non-null samples, which is fewer than", r"fewer than \d+ samples", source=_ACFT),
    _row("no-tokens", "AZFT-F038", "no token is left to learn after preprocessing",
         "raise max_seq_length; the prompts may fill it, or the roles may not be those of the template",
         r"No assistant tokens found after preprocessing", r"Found no examples after data preprocessing",
         source=_ACFT),
    _row("chat-template", "AZFT-F039", "the model's chat template does not take the conversations",
         "take the instruct variant of the model, or reorder the roles; azft's plan finds it before",
         r"tokenizer\.chat_template is not set", r"Failure while applying chat template", r"roles must alternate",
         r"Only one system role should be present", r"messages should contain user role",
         r"Chat Special tokens are not set", source=f"transformers 5.17; {_ACFT}"),
    _row("data-format", "AZFT-F040", "the data file cannot be read",
         "one JSON object per line, in UTF-8, in a file that ends in .jsonl",
         r"not in list of supported file formats", r"Invalid file passed, Failure while reading",
         r"Failed to load JSON from file", r"DatasetGenerationError", r"json lines skipped in your dataset",
         source=f"datasets 5.2; {_ACFT}"),
    _row("data-columns", "AZFT-F041", "the columns of the data are not those that the component wants",
         "compare the two lists in the line; rename the column, or give its key",
         r"User Passed Columns:", r"dtype mismatch for feature", r"duplicate column names", source=_ACFT),
    _row("gpu-count", "AZFT-F042", "there are fewer GPUs than the job wants, or none that can be used",
         "number_of_gpu_to_use_finetuning as the machine has them, a GPU size, and an image with its CUDA",
         r"invalid device ordinal", r"higher than gpus present", r"Found no NVIDIA driver",
         r"Torch not compiled with CUDA enabled", r"Duplicate GPU detected", r"NVIDIA driver on your system is too old",
         source=f"torch 2.13; {_ACFT}"),
    _row("wrong-size", "AZFT-F043", "the machine is too small or too old for the model",
         "take a size of the model's own list (session.suggest())",
         r"does not meet minimum compute requirements", r"[Bb]float16 is only supported on GPUs with compute",
         r"Your setup doesn't support bf16", r"only supports Ampere GPUs or newer",
         r"requires compute capability >= \d", source=f"{_ACFT}; vllm 1157 (2023); flash-attention 762 (2024)"),
    _row("gpu-kind", "AZFT-F044", "the image has no program for this kind of GPU",
         "take another image or another size", r"no kernel image is available for execution",
         r"is not compatible with the current PyTorch installation", source="vllm 19185 (2025)"),
    _row("attention", "AZFT-F045", "flash attention is asked for and not there",
         "use attn_implementation='sdpa'",
         r"FlashAttention2 has been toggled on", r"flash_attn seems to be not installed",
         source="transformers 5.17"),
    _row("lora-targets", "AZFT-F046", "LoRA looks for layers that the model does not have",
         "name the model's own linear layers, or apply_lora=False",
         r"Target modules .* not found in the base model", r"Please specify `target_modules`",
         r"Lora is not supported for", source=f"peft 0.21; {_ACFT}"),
    _row("model-unsupported", "AZFT-F047", "the component or its libraries do not know this model",
         "take a model of its list, or an image with newer libraries",
         r"does not recognize this architecture", r"is not supported, Supported model families",
         r"Given Model \[[^\]]*\] is not supported", r"doesn't support the current Task",
         source=f"transformers 5.17; {_ACFT}"),
    _row("weights-mismatch", "AZFT-F048", "the weights do not fit the model",
         "use base model and tokenizer of one version",
         r"size mismatch for \S+: copying a param", r"Error\(s\) in loading state_dict",
         r"You set `ignore_mismatched_sizes` to `False`", source="torch 2.13; transformers 5.17"),
    _row("weights-broken", "AZFT-F049", "a file of weights is broken or cut",
         "fetch it again; a file of a few bytes is a Git LFS pointer",
         r"SafetensorError", r"HeaderTooLarge", r"MetadataIncompleteBuffer",
         r"incomplete metadata, file not fully covered", r"PytorchStreamReader failed",
         source="transformers 27923 (2023); safetensors 0.8"),
    _row("deepspeed-settings", "AZFT-F050", "the settings of DeepSpeed contradict each other",
         "change what the line names; azft's plan finds the known ones before",
         r"Deep Speed cannot be coupled", r"Deep Speed stage3 doesn't work", r"Invalid deepspeed config file",
         r"stage3_gather_16bit_weights_on_model_save should be", source=_ACFT),
    _row("parameter", "AZFT-F051", "a parameter has a value that the component does not take",
         "change what the line names",
         r"Invalid value set for \S+:", r"Error while validating parameters", r"Possible prefixes for",
         r"error: unrecognized arguments:", r"are not used by the HfArgumentParser", source=_ACFT),
    _row("overflow", "AZFT-F052", "the numbers overflow in 16 bit",
         "bf16 on a GPU that has it, a smaller learning_rate, or precision 32",
         r"loss scale already at minimum", r"Try with fp32 precision", source=_ACFT),
    _row("tracking", "AZFT-F053", "MLflow's client and the service do not fit together",
         "pin mlflow and azureml-mlflow to a pair that is known to work; the model may lie in the outputs",
         r"unexpected keyword argument 'tracking_uri'", r"logged-models failed with error code 404",
         r"azureml_artifacts_builder\(\)", source="azure-sdk-for-python 43661 (2025)"),
    _row("package-missing", "AZFT-F054", "a package is missing or has another version than the code expects",
         "add it to the environment, pinned",
         r"ModuleNotFoundError: No module named", r"ImportError: cannot import name",
         source="CPython 3.11"),
    _row("gpu-broken", "AZFT-F055", "the GPU itself failed",
         "submit it again, on another node; then tell Azure's support",
         r"uncorrectable ECC error", r"NVRM: Xid", r"Potential temporary hardware failure",
         source=f"{_ACFT}; NVIDIA's list of Xid errors"),
    _row("index-error", "AZFT-F056", "a token or label lies outside the model's range",
         "use the tokenizer of the same model; resize its embeddings where tokens were added",
         r"device-side assert triggered", r"IndexError: index out of range in self", source="torch 2.13"),
    _row("endpoint-probe", "AZFT-F070", "the container was not ready in time",
         "raise probe_delay= for a large model; if its log shows an error, that is the cause",
         r"[Ll]iveness probe failed", r"LivenessProbeFailed", r"[Rr]eadiness probe failed", r"ReadinessProbeFailed",
         source="mlops-v2 120 (2023), azureml-examples 3444 (2024)"),
    _row("endpoint-download", "AZFT-F071", "the endpoint could not fetch the model",
         "give its identity the role 'Storage Blob Data Reader'; check the registered path",
         r"Unable to download user model", r"Model download failed", source="azureml-examples 1595 (2022)"),
    _row("endpoint-crash", "AZFT-F072", "the container crashed", "read its log: the first error there is the cause",
         r"[Uu]ser container has crashed or terminated", r"UserScriptInitFailed", r"UserScriptImportError",
         r"container exited before it was ready", r"CrashLoopBackOff", source=_ENDPOINTS),
    _row("nccl-network", "AZFT-F080", "the machines could not reach each other",
         "look at the other node's log first; the network interface, blocked ports, or InfiniBand",
         r"ncclSystemError", r"ncclRemoteError", r"No route to host", r"unhandled system error \(run with NCCL_DEBUG",
         source="NVIDIA/nccl 1016; RecBole 2069 (2024)"),
    _row("rendezvous", "AZFT-F081", "not all machines of the job came together in time",
         "as many nodes as the launcher expects; look at the log of the one that is missing",
         r"client socket has timed out after", r"clients joined\.", r"failed to listen on any local network address",
         source="torch 2.13"),
    _row("nccl-timeout", "AZFT-F082", "a process waited in vain for the others",
         "find the rank that does not print this line, or failed earlier: it has the cause",
         r"Watchdog caught collective operation timeout", r"taking the entire process down",
         source="LlamaFactory 6269 (2024)", exits=(-6,)),
    _row("command", "AZFT-F083", "the command of the step cannot be run",
         "check its name and its arguments in the image",
         r"command not found", source="shell; argparse", exits=(126, 127, 2)),
    _row("crash", "AZFT-F084", "a native library crashed",
         "use wheels that were built for each other (torch, CUDA, flash-attn)",
         r"Segmentation fault", source="POSIX signals", exits=(-11,)),
    _row("service", "AZFT-F085", "the service itself failed",
         "submit it again once; then open a ticket with the run's id",
         r"\bServiceError\b", r"\bInternalServerError\b", r"\bTransientError\b",
         source="getindata/kedro-azureml 6 (2022)"),
    _row("exception", "AZFT-F086", "the program raised an exception",
         "the line says which; the lines above it say where",
         r"^(?:\[rank\d+\]: ?)?[A-Za-z_][\w.]*(?:Error|Exception): \S", source="CPython's tracebacks", exits=(1,)),
)  # fmt: skip
_WRAPPERS = tuple(
    re.compile(words)
    for words in (
        r"(?i)pipeline has failed child jobs",
        r"PipelineHasStepJobFailed",
        r"User errors were found in at least one of the child runs",
        r"User process '[^']*' exited with status code",
        r"torch\.distributed\.elastic\.multiprocessing\.errors\.ChildFailedError",
        r"Sending process \d+ closing signal SIGTERM",
        r"death signal, shutting down workers",
        r"SignalException: Process \d+ got signal: 15",
        r"subprocess\.CalledProcessError",
        r"it was not possible to extract the structured error",
    )
)
"""What only points elsewhere, or follows from the cause (failures of Azure ML and of torch's launcher)."""
_STDERR = re.compile(r'last_stderr: Some\("((?:[^"\\]|\\.)*)"\)')
_EXIT = re.compile(r"(?:exited with status code|failed with status code|exitcode\s*:|return code =)\s*`?(-?\d+)")
_COMPILED = tuple((cause, tuple(re.compile(words) for words in cause.words)) for cause in CAUSES)
_SHELL = 128


def diagnosed(message: str, lines: Sequence[str] = (), *, step: str = "", exit_code: int | None = None) -> Diagnosis:
    """Return the cause of a failure: from what the service says of it, its log, and how its process ended.

    >>> diagnosed("Pipeline has failed child jobs.", ["x", "torch.OutOfMemoryError: CUDA out of memory."]).cause
    'cuda-memory'
    >>> diagnosed("", ["nothing known"], exit_code=137).cause, diagnosed("odd").cause
    ('host-memory', 'unknown')
    """
    said = [line.strip() for line in _unwrapped(message) if line.strip()]
    log = [line.strip() for line in lines if line.strip()]
    found = _first(said, early=True) or _first(log, early=True) or _first([*said, *log], early=False)
    ended = exit_code if exit_code is not None else _exit_of([*said, *log])
    specific = found is not None and found[0].name != "exception"
    if not specific and ended is not None and ended != 0:
        by_exit = next((cause for cause in CAUSES if _signal(ended) in cause.exits and cause.name != "exception"), None)
        if by_exit is not None and (found is None or _signal(ended) < 0):
            found = by_exit, f"the process ended with {_told(ended)}"
    shown = tuple(line[:LONGEST] for line in log[-LINES:])
    if found is None:
        fix = "its last lines are above; the whole log is where the run's outputs are"
        return Diagnosis(UNKNOWN, "AZFT-F099", "it failed, and azft does not know why", "", fix, step, message, shown)
    cause, evidence = found
    return Diagnosis(cause.name, cause.code, cause.title, evidence[:LONGEST], cause.fix, step, message, shown)


def _first(lines: Sequence[str], *, early: bool) -> tuple[Cause, str] | None:
    """Return the first row of the table that a line proves; of a log the line nearest to its end."""
    for cause, patterns in _COMPILED:
        if cause.early is not early:
            continue
        for line in reversed(lines):
            wrapper = cause.name == "exception" and any(pattern.search(line) for pattern in _WRAPPERS)
            if not wrapper and any(pattern.search(line) for pattern in patterns):
                return cause, line
    return None


def _unwrapped(message: str) -> Iterator[str]:
    """Yield what a message says, with what a wrapper has swallowed as lines of its own."""
    for found in _STDERR.finditer(message):
        yield from found[1].replace("\\n", "\n").replace('\\"', '"').splitlines()
    yield from message.splitlines()


def _exit_of(lines: Sequence[str]) -> int | None:
    codes = [int(found[1]) for line in lines for found in _EXIT.finditer(line)]
    return next((code for code in codes if _signal(code) not in {0, 1, -15}), codes[0] if codes else None)


def _signal(code: int) -> int:
    """Return 128 and more, as a shell gives a signal, the way Python does: below 0."""
    return _SHELL - code if _SHELL < code < _SHELL + 65 else code


def _told(code: int) -> str:
    return f"signal {-_signal(code)}" if _signal(code) < 0 else f"exit code {code}"
