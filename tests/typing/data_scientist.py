"""What a data scientist writes in a notebook; both type checkers take it as it stands."""

from pathlib import Path

import azft

session = azft.FineTuneSession(dataset=Path("tickets.csv"), sample="random", on_bad="drop", percent=20)
plan: azft.Plan = session.plan()
if plan.parameters.integer("num_train_epochs") > 3 and plan.parameters.flag("apply_lora"):
    rate: float = plan.parameters.number("learning_rate")
worst: list[azft.Finding] = [finding for finding in plan.findings if finding.severity == "error"]
findings: azft.Findings = azft.Findings(plan.findings)
ahead: azft.Forecast | None = plan.forecast
data: azft.PreparedDataset = session.prepare(plan)
page: Path = data.report().path
run: azft.Run = session.submit(plan)
result: azft.RunResult = session.watch(run, timeout=60.0)
losses: list[float] = [value for _step, value in result.curves.get("training", ())]
report: azft.EvaluationReport = session.evaluate(run)
better: bool = report.tuned.loss < report.base.loss
answers: list[azft.Answer] = list(report.answers)
model: azft.RegisteredModel = session.register(run)
with session.deploy(model) as endpoint:
    deployed: azft.DeployedModel = endpoint
    answer: str = endpoint.ask("What is LoRA?", max_tokens=40)
cleaned: azft.CleanupReport = session.cleanup()
