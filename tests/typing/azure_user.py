"""What somebody writes who runs on Azure ML; both type checkers take it as it stands."""

from pathlib import Path

import azft

backend: azft.Backend = azft.connect("azureml", workspace="mine", resource_group="ours", subscription_id="0")
session = azft.FineTuneSession("Phi-4", backend=backend, compute="gpu-cluster", budget=50.0, prices={"X": 1.5})
advice: azft.Advice = session.suggest()
best: azft.SizeOffer | None = advice.best
models: azft.ModelList = session.models()
names: list[str] = [offer.name for offer in models]
plan = session.plan()
job: azft.Job = session.build(plan)
Path("submit.py").write_text(job.to_sdk(), encoding="utf-8")
made: azft.Compute = session.create_compute("gpu-cluster", "Standard_NC24ads_A100_v4", max_nodes=2)
run = session.submit(plan, accept=["AZFT-C005"], again=True)
try:
    result = session.watch(run, timeout=3600.0, queue_timeout=600.0)
except azft.RunFailedError as error:
    cause: azft.Diagnosis | None = error.diagnosis
runs: azft.Runs = session.runs()
left: azft.Leftovers = session.leftovers()
prices: list[float] = [item.price for item in left if item.price is not None]
swept: azft.SweepReport = azft.sweep(backend, delete=False)
written: Path = session.to_file("finetune.yaml")
again: azft.FineTuneSession = azft.FineTuneSession.from_file(written)
