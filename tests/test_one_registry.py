"""One model registry for MLflow and the SDK, and what runs have logged as a model's source."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Model
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from azft.testing.emulator import AzureMLEmulator
from tests.workspaces import CURATED, client_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow's own, of its own type hints.
    import mlflow.pyfunc
    from mlflow.pyfunc.model import PythonModel

pytestmark = [
    pytest.mark.filterwarnings("ignore:::mlflow"),
    pytest.mark.filterwarnings("ignore:.*deprecated since 2.9.0:FutureWarning"),  # Stages, which Azure has.
]


class Doubled(PythonModel):
    """The smallest model that MLflow saves."""

    def predict(self, context: Any, model_input: list[int], params: Any = None) -> list[int]:
        return [2 * value for value in model_input]


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[AzureMLEmulator]:
    with AzureMLEmulator(tmp_path / "azure") as started:
        yield started


@pytest.fixture
def client(emulator: AzureMLEmulator) -> MLClient:
    return client_of(emulator)


@pytest.fixture
def tracked(client: MLClient) -> MlflowClient:
    mlflow.set_tracking_uri(client.workspaces.get(client.workspace_name).mlflow_tracking_uri)
    return MlflowClient()


def test_what_mlflow_registers_the_sdk_finds(client: MLClient, tracked: MlflowClient) -> None:
    mlflow.set_experiment("one-registry")
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="doubled", python_model=Doubled(), pip_requirements=[], registered_model_name="doubled"
        )
    found = client.models.get("doubled", "1")
    assert (found.type, set(found.flavors)) == ("mlflow_model", {"python_function"})
    assert [one.version for one in client.models.list("doubled")] == ["1"]
    assert client.models.get("doubled", label="latest").version == "1"
    again = mlflow.register_model(logged.model_uri, "doubled")
    assert str(again.version) == "2"
    assert mlflow.pyfunc.load_model("models:/doubled/2").predict([1, 2]) == [2, 4]
    assert [one.name for one in tracked.search_registered_models("name LIKE 'dou%'")] == ["doubled"]
    assert tracked.search_registered_models("name = 'other'") == []
    assert {str(one.version) for one in tracked.search_model_versions("name = 'doubled'")} == {"1", "2"}
    tracked.delete_model_version("doubled", "1")
    with pytest.raises(ResourceNotFoundError):
        client.models.get("doubled", "1")
    tracked.delete_registered_model("doubled")
    with pytest.raises(ResourceNotFoundError):
        client.models.get("doubled", "2")


def test_what_the_sdk_registers_mlflow_finds(client: MLClient, tracked: MlflowClient, tmp_path: Path) -> None:
    mlflow.pyfunc.save_model(tmp_path / "saved", python_model=Doubled(), pip_requirements=[])
    client.models.create_or_update(
        Model(name="from-sdk", version="7", path=tmp_path / "saved", type="mlflow_model", tags={"by": "sdk"})
    )
    found = tracked.get_model_version("from-sdk", "7")
    assert (found.status, dict(found.tags), found.current_stage) == ("READY", {"by": "sdk"}, "None")
    assert [one.version for one in tracked.get_registered_model("from-sdk").latest_versions] == ["7"]
    assert mlflow.pyfunc.load_model("models:/from-sdk/7").predict([3]) == [6]
    tracked.set_model_version_tag("from-sdk", "7", "seen", "yes")
    tracked.update_model_version("from-sdk", "7", "twice")
    seen = client.models.get("from-sdk", "7")
    assert (seen.tags, seen.description) == ({"by": "sdk", "seen": "yes"}, "twice")
    tracked.delete_model_version_tag("from-sdk", "7", "seen")
    assert client.models.get("from-sdk", "7").tags == {"by": "sdk"}


def test_a_folder_is_uploaded_and_registered(client: MLClient, tracked: MlflowClient, tmp_path: Path) -> None:
    mlflow.pyfunc.save_model(tmp_path / "saved", python_model=Doubled(), pip_requirements=[])
    mlflow.register_model(f"file://{tmp_path / 'saved'}", "from-a-folder")
    assert client.models.get("from-a-folder", "1").type == "mlflow_model"
    assert mlflow.pyfunc.load_model("models:/from-a-folder/1").predict([4]) == [8]


def test_stages_and_tags_of_registered_models(tracked: MlflowClient, client: MLClient, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"1")
    for version in ("1", "2"):
        client.models.create_or_update(Model(name="staged", version=version, path=tmp_path / "weights.bin"))
    tracked.transition_model_version_stage("staged", "1", "Production")
    tracked.transition_model_version_stage("staged", "2", "production", archive_existing_versions=True)
    stages = {one.version: one.current_stage for one in tracked.search_model_versions("name = 'staged'")}
    assert stages == {"1": "Archived", "2": "Production"}
    assert [one.version for one in tracked.get_latest_versions("staged", ["Production"])] == ["2"]
    tracked.set_registered_model_tag("staged", "team", "a")
    tracked.update_registered_model("staged", "for tests")
    found = tracked.get_registered_model("staged")
    assert (found.tags, found.description) == ({"team": "a"}, "for tests")
    tracked.delete_registered_model_tag("staged", "team")
    assert tracked.get_registered_model("staged").tags == {}


def test_refusals_are_mlflows_own(tracked: MlflowClient) -> None:
    tracked.create_registered_model("known", tags={"a": "b"})
    assert tracked.get_registered_model("known").latest_versions == []
    with pytest.raises(MlflowException, match="already exists"):
        tracked.create_registered_model("known")
    with pytest.raises(MlflowException, match="not found"):
        tracked.get_registered_model("unknown")
    with pytest.raises(MlflowException, match="not found"):
        tracked.get_model_version("known", "3")
    with pytest.raises(MlflowException, match="Invalid model version source"):
        tracked.create_model_version("known", "azureml://artifacts/LocalUpload/nothing/there", None)
    with pytest.raises(MlflowException, match="Invalid"):
        tracked.search_registered_models("colour = 'red'")
    with pytest.raises(MlflowException, match="not emulated"):
        tracked.set_registered_model_alias("known", "champion", "1")


def test_an_artifact_of_a_job_becomes_a_model(emulator: AzureMLEmulator, tmp_path: Path) -> None:
    client = client_of(emulator, cluster="cpu-cluster")
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(
        "import mlflow\n"
        "with open('weights.txt', 'w') as file:\n    file.write('1')\n"
        "mlflow.log_artifact('weights.txt', 'model')\n"
    )
    job = client.jobs.create_or_update(
        command(command="python train.py", code=str(code), environment=CURATED, compute="cpu-cluster")
    )
    client.jobs.stream(job.name)
    path = f"azureml://jobs/{job.name}/outputs/artifacts/paths/model/"
    made = client.models.create_or_update(Model(name="of-a-job", path=path, type="custom_model"))
    client.models.download("of-a-job", made.version, download_path=tmp_path)
    assert [file.read_text() for file in tmp_path.glob("of-a-job/**/weights.txt")] == ["1"]
    with pytest.raises(Exception, match="has logged nothing there"):
        client.models.create_or_update(Model(name="of-nothing", path=path.replace("model/", "nowhere/")))


def test_an_artifact_that_is_logged_again_is_read_as_it_is_now(
    emulator: AzureMLEmulator, tracked: MlflowClient
) -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("one", "model/note.txt")
    path = f"azureml://jobs/{run.info.run_id}/outputs/artifacts/paths/model/"
    client = client_of(emulator)
    client.models.create_or_update(Model(name="noted", version="1", path=path, type="custom_model"))
    tracked.log_text(run.info.run_id, "two", "model/note.txt")
    client.models.create_or_update(Model(name="noted", version="2", path=path, type="custom_model"))
    client.models.download("noted", "2", download_path="down")
    assert [file.read_text() for file in Path("down").rglob("note.txt")] == ["two"]


def test_a_version_that_is_made_again_has_its_own_files(tracked: MlflowClient, tmp_path: Path) -> None:
    tracked.create_registered_model("again")
    for name in ("first", "second"):
        mlflow.pyfunc.save_model(tmp_path / name, python_model=Doubled(), pip_requirements=[])
        (tmp_path / name / f"{name}.txt").write_text(name)
        made = mlflow.register_model(f"file://{tmp_path / name}", "again")
        assert str(made.version) == "1"
        place = Path(str(tracked.get_model_version_download_uri("again", "1")).removeprefix("file://"))
        assert [file.name for file in place.rglob("*.txt") if file.stem in {"first", "second"}] == [f"{name}.txt"]
        tracked.delete_model_version("again", "1")


def test_a_source_that_leaves_mlflows_folder_is_refused(emulator: AzureMLEmulator, tracked: MlflowClient) -> None:
    tracked.create_registered_model("outside")
    world = emulator.world
    (world.state.folder / "secret").mkdir()
    (world.state.folder / "secret" / "key").write_text("k")
    token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
    answer = requests.post(
        f"https://{world.host}/mlflow/v2.0{world.id}/api/2.0/mlflow/model-versions/create",
        json={"name": "outside", "source": f"{world.local.home.artifacts.as_uri()}/../../secret"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=20,
    )
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
