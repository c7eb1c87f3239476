"""What a client of MLflow 2 does with artifacts and models; arguments: the tracking URI and a folder to work in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient


def main() -> None:
    """Log, list, download and register, and print what was found as JSON."""
    uri, folder = sys.argv[1], Path(sys.argv[2])
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("mlflow-2")
    saved = folder / "saved"
    (saved / "data").mkdir(parents=True)
    (saved / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    (saved / "data" / "weights.txt").write_text("weights")
    (folder / "note.txt").write_text("a note")
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 0.5)
        mlflow.log_artifact(str(folder / "note.txt"), "notes")
        mlflow.log_artifacts(str(saved), "model")
    client = MlflowClient()
    found = {
        "address": run.info.artifact_uri,
        "top": sorted(entry.path for entry in client.list_artifacts(run.info.run_id)),
        "model": sorted(entry.path for entry in client.list_artifacts(run.info.run_id, "model")),
    }
    down = folder / "down"
    mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model", dst_path=str(down))
    client.create_registered_model("logged")
    client.create_model_version("logged", f"{run.info.artifact_uri}/model", run.info.run_id)
    client.create_registered_model("uploaded")
    client.create_model_version("uploaded", saved.as_uri())
    found["registered"] = sorted(model.name for model in client.search_registered_models())
    found["places"] = {name: client.get_model_version_download_uri(name, "1") for name in ("logged", "uploaded")}
    for name in ("logged", "uploaded"):
        mlflow.artifacts.download_artifacts(f"models:/{name}/1", dst_path=str(down / name))
    files = (path for path in down.rglob("*") if path.is_file())
    found["files"] = {path.relative_to(down).as_posix(): path.read_text() for path in files if path.suffix == ".txt"}
    sys.stdout.write(f"found {json.dumps(found)}\n")


if __name__ == "__main__":
    main()
