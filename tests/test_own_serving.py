"""Endpoints with one's own scoring script or MLflow model, and data by address, as azureml-examples write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import mlflow.sklearn
import pytest
import requests
from azure.ai.ml import Input, MLClient, command
from azure.ai.ml.entities import (
    CodeConfiguration,
    Data,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
)
from azure.ai.ml.exceptions import MlException
from azure.core.exceptions import HttpResponseError
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

from azft import ConfigurationError
from azft.testing.emulator import AzureMLEmulator
from azft.waiting import wait_until
from tests.lasting import lasting_client, lasting_emulator
from tests.workspaces import CURATED

__all__ = ["lasting_client", "lasting_emulator"]
SIZE = "Standard_DS3_v2"


@pytest.fixture
def endpoint(client: MLClient, request: pytest.FixtureRequest) -> Iterator[str]:
    name = "ep-" + request.node.name.replace("_", "-").replace("test-", "")[:24].strip("-")
    client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode="key")).result()
    yield name
    client.online_endpoints.begin_delete(name).result()


def environment() -> Environment:
    return Environment(image="mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference:latest")


def scoring(folder: Path, text: str) -> CodeConfiguration:
    folder.mkdir(exist_ok=True)
    (folder / "score.py").write_text(dedent(text), encoding="utf-8")
    return CodeConfiguration(code=str(folder), scoring_script="score.py")


def deployed(client: MLClient, endpoint: str, name: str = "blue", **more: Any) -> Any:
    deployment = ManagedOnlineDeployment(
        name=name, endpoint_name=endpoint, instance_type=SIZE, instance_count=1, **more
    )
    return client.online_deployments.begin_create_or_update(deployment).result()


def asked(client: MLClient, endpoint: str, body: Any, tmp_path: Path, deployment: str = "blue") -> Any:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    said = client.online_endpoints.invoke(endpoint, deployment_name=deployment, request_file=str(path))
    return json.loads(said)


ADDS = """
    import json, os
    from pathlib import Path

    def init():
        global more
        place = Path(os.environ["AZUREML_MODEL_DIR"])
        found = next(path for path in place.rglob("*.txt"))
        more = int(found.read_text())
        print("model at", found.relative_to(place))

    def run(data):
        numbers = json.loads(data)["data"]
        print("asked for", numbers)
        return [number + more for number in numbers]
"""


def test_a_script_answers_with_a_model_that_is_a_file(client: MLClient, endpoint: str, tmp_path: Path) -> None:
    model = tmp_path / "add.txt"
    model.write_text("10", encoding="utf-8")
    made = deployed(
        client,
        endpoint,
        model=Model(path=str(model)),
        code_configuration=scoring(tmp_path / "code", ADDS),
        environment=environment(),
    )
    assert made.provisioning_state == "Succeeded"
    assert asked(client, endpoint, {"data": [1, 2]}, tmp_path) == [11, 12]
    said = client.online_deployments.get_logs("blue", endpoint, lines=50)
    assert "model at add.txt" in said
    assert "asked for [1, 2]" in said
    with pytest.raises(MlException, match="KeyError: 'data'"):
        asked(client, endpoint, {"nothing": 1}, tmp_path)
    assert "KeyError: 'data'" in client.online_deployments.get_logs("blue", endpoint, lines=50)


def test_two_deployments_share_the_traffic(client: MLClient, endpoint: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, more in (("blue", "1"), ("green", "2")):
        (folder / "add.txt").write_text(more, encoding="utf-8")
        deployed(
            client,
            endpoint,
            name,
            model=Model(path=str(folder)),
            code_configuration=scoring(tmp_path / "code", ADDS),
            environment=environment(),
        )
    assert asked(client, endpoint, {"data": [1]}, tmp_path, "blue") == [2]
    assert asked(client, endpoint, {"data": [1]}, tmp_path, "green") == [3]
    # A model that was a folder keeps the folder's name.
    assert "model at model/add.txt" in client.online_deployments.get_logs("green", endpoint, lines=50)
    found = client.online_endpoints.get(endpoint)
    found.traffic = {"blue": 0, "green": 100}
    client.online_endpoints.begin_create_or_update(found).result()
    key = client.online_endpoints.get_keys(endpoint).primary_key
    answer = requests.post(
        found.scoring_uri, json={"data": [5]}, headers={"Authorization": f"Bearer {key}"}, timeout=20
    )
    assert (answer.json(), answer.headers["azureml-model-deployment"]) == ([7], "green")
    found.mirror_traffic = {"blue": 50}
    client.online_endpoints.begin_create_or_update(found).result()
    for _time in range(20):  # None is copied once in a million.
        requests.post(found.scoring_uri, json={"data": [77]}, headers={"Authorization": f"Bearer {key}"}, timeout=20)
    assert wait_until(lambda: "asked for [77]" in client.online_deployments.get_logs("blue", endpoint, lines=90), 30)
    with pytest.raises(HttpResponseError, match="still has traffic"):
        client.online_deployments.begin_delete("blue", endpoint).result()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('no weights')\n", "ValueError: no weights"),
        ("def init(): pass\n", "has no function run()"),
        ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name'"),
    ],
)
def test_a_script_that_cannot_start_fails_with_its_log(
    client: MLClient, endpoint: str, tmp_path: Path, text: str, said: str
) -> None:
    model = tmp_path / "add.txt"
    model.write_text("1", encoding="utf-8")
    with pytest.raises(HttpResponseError, match="exited before it was ready"):
        deployed(
            client,
            endpoint,
            model=Model(path=str(model)),
            code_configuration=scoring(tmp_path / "code", text),
            environment=environment(),
        )
    assert said in client.online_deployments.get_logs("blue", endpoint, lines=50)


@pytest.mark.filterwarnings("ignore:.*type hint is inferred:UserWarning")
def test_an_mlflow_model_answers_without_a_script(client: MLClient, endpoint: str, tmp_path: Path) -> None:
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    mlflow.sklearn.save_model(model, tmp_path / "doubles")
    deployed(client, endpoint, model=Model(path=str(tmp_path / "doubles"), type="mlflow_model"))
    table = {"columns": ["x"], "index": [0, 1], "data": [[1.0], [4.0]]}
    assert asked(client, endpoint, {"input_data": table}, tmp_path) == pytest.approx([2, 8])


class TestDataByAddress:
    ADDRESS = "https://example.org/data/numbers%20of%20mine.csv"

    def test_it_is_taken_by_reference_and_read_where_it_was_provided(
        self, emulator: AzureMLEmulator, client: MLClient, tmp_path: Path
    ) -> None:
        made = client.data.create_or_update(Data(name="numbers", version="1", path=self.ADDRESS, type="uri_file"))
        assert client.data.get("numbers", version="1").path == self.ADDRESS

        def job(path: str) -> Any:
            return command(
                command="cat '${{inputs.numbers}}' && basename '${{inputs.numbers}}'",
                environment=CURATED,
                compute="cpu-cluster",
                inputs={"numbers": Input(type="uri_file", path=path)},
            )

        with pytest.raises(HttpResponseError, match=r"provide\(ADDRESS, PATH\)"):
            client.jobs.create_or_update(job(made.id))
        (tmp_path / "mine.csv").write_text("1,2,3\n", encoding="utf-8")
        emulator.provide(self.ADDRESS, tmp_path / "mine.csv")
        for path in (made.id, self.ADDRESS):
            found = client.jobs.create_or_update(job(path))
            client.jobs.stream(found.name)
            client.jobs.download(found.name, download_path=tmp_path / found.name, all=True)
            (log,) = (tmp_path / found.name).rglob("std_log.txt")
            assert log.read_text(encoding="utf-8") == "1,2,3\nnumbers of mine.csv\n"

    def test_a_folder_stands_for_what_is_below_an_address(
        self, emulator: AzureMLEmulator, client: MLClient, tmp_path: Path
    ) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep/a.txt").write_text("below", encoding="utf-8")
        emulator.provide("wasbs://c@account.blob.core.windows.net/dir", tmp_path)
        found = client.jobs.create_or_update(
            command(
                command="cat ${{inputs.a}}",
                environment=CURATED,
                compute="cpu-cluster",
                inputs={"a": Input(type="uri_file", path="wasbs://c@account.blob.core.windows.net/dir/deep/a.txt")},
            )
        )
        client.jobs.stream(found.name)
        assert client.jobs.get(found.name).status == "Completed"

    def test_what_cannot_be_provided_is_said(self, emulator: AzureMLEmulator, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="there is no"):
            emulator.provide("https://example.org/a", tmp_path / "nothing")
        with pytest.raises(ConfigurationError, match="is in the workspace's store"):
            emulator.provide("azureml://datastores/workspaceblobstore/paths/a", tmp_path)
