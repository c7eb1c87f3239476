"""What the SDK says is kept, found again and refused as Azure Machine Learning does, and nothing of it is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import mlflow
import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl
from azure.ai.ml.constants import ListViewType
from azure.ai.ml.entities import (
    AccountKeyConfiguration,
    AmlCompute,
    AzureBlobDatastore,
    BuildContext,
    Data,
    Environment,
    IdentityConfiguration,
    JobSchedule,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    RecurrenceTrigger,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.services.deployments import _drawn
from tests.lasting import CPU_CLUSTER, lasting_client, lasting_emulator
from tests.workspaces import CURATED

__all__ = ["lasting_client", "lasting_emulator"]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    def written(text: str) -> str:
        path = tmp_path / f"{text}.txt"
        path.write_text(text)
        return str(path)

    return written


def echo(text: str, **more: Any) -> Any:
    more.setdefault("environment", CURATED)
    return command(command=f"echo {text}", compute=CPU_CLUSTER, **more)


class TestJobs:
    def test_lists_are_filtered(self, client: MLClient) -> None:
        """Canceling by a tag cancels what a list of that tag holds (azure-ai-ml, JobOperations.begin_cancel)."""
        one = client.jobs.create_or_update(echo("a", tags={"team": "a"})).name
        other = client.jobs.create_or_update(echo("b", tags={"team": "b", "other": "1"})).name
        names = {job.name for job in client.jobs.list(tag="team=a")}
        assert (one in names, other in names) == (True, False)
        assert {job.name for job in client.jobs.list(tag="other")} == {other}
        assert not list(client.jobs.list(tag="nobody"))
        assert {one, other}.isdisjoint(job.name for job in client.jobs.list(job_type="Pipeline"))
        assert {one, other} <= {job.name for job in client.jobs.list(job_type="Command")}
        assert not list(client.jobs.list(scheduled_job_name="nothing"))

    def test_a_name_is_one_jobs(self, client: MLClient) -> None:
        """azure-docs 122250: the same job again is the same job, another one is refused."""
        first = client.jobs.create_or_update(echo("one", name="the-one", experiment_name="same"))
        assert client.jobs.create_or_update(echo("one", name="the-one", experiment_name="same")).name == first.name
        with pytest.raises(HttpResponseError, match=r"already exists.*command cannot be changed"):
            client.jobs.create_or_update(echo("two", name="the-one", experiment_name="same"))
        with pytest.raises(HttpResponseError, match="experimentName cannot be changed"):
            client.jobs.create_or_update(echo("one", name="the-one", experiment_name="other"))

    def test_services_that_were_asked_for_stay(self, client: MLClient) -> None:
        from azure.ai.ml.entities import JupyterLabJobService

        made = client.jobs.create_or_update(echo("x", services={"lab": JupyterLabJobService()}))
        assert {"lab", "Tracking", "Studio"} <= set(client.jobs.get(made.name).services)

    def test_mlflow_knows_when_a_job_ran_and_what_it_is_called(self, client: MLClient) -> None:
        made = client.jobs.create_or_update(echo("x", experiment_name="times", display_name="before"))
        client.jobs.stream(made.name)
        time.sleep(1.5)
        tracked = mlflow.MlflowClient(client.workspaces.get(client.workspace_name).mlflow_tracking_uri)
        run = tracked.get_run(made.name)
        ended = run.info.end_time
        assert ended is not None
        assert run.info.start_time <= ended < (time.time() - 1) * 1000
        tracked.update_run(made.name, name="after")
        assert tracked.get_run(made.name).info.run_name == "after"
        assert client.jobs.get(made.name).display_name == "after"
        assert tracked.get_run(made.name).info.end_time == ended
        for asked in (f"attributes.run_id = '{made.name}'", f"attributes.run_id IN ('{made.name}')"):
            found = tracked.search_runs([run.info.experiment_id], asked)
            assert [one.info.run_id for one in found] == [made.name]
        assert not tracked.search_runs([run.info.experiment_id], "attributes.run_id = 'no-run'")

    def test_one_jobs_tags_keep_nobody_from_mlflow(self, client: MLClient) -> None:
        """MLflow takes fewer characters in the names of tags than a job does, and a job fewer tags than MLflow."""
        tags = {"who@where": "1", "a=b": "2", "../up": "3", "plain": "4"}
        made = client.jobs.create_or_update(echo("x", experiment_name="tags", tags=tags))
        client.jobs.stream(made.name)
        tracked = mlflow.MlflowClient(client.workspaces.get(client.workspace_name).mlflow_tracking_uri)
        assert tracked.get_run(made.name).data.tags["plain"] == "4"
        assert "who@where" not in tracked.get_run(made.name).data.tags
        tracked.set_tag(made.name, "long", "x" * 2000)
        tracked.set_tag(made.name, "root_run_id", made.name)
        assert set(client.jobs.get(made.name).tags) == {*tags, "root_run_id"}
        client.jobs.archive(made.name)
        place = tracked.get_run(made.name).info.experiment_id
        assert [one.info.run_id for one in tracked.search_runs([place], f"tags.root_run_id = '{made.name}'")] == [
            made.name
        ]


class TestNamedOutputs:
    """azure.ai.ml.Output: "A name can be set without setting a version"; the type decides between data and model."""

    def test_of_a_command(self, client: MLClient) -> None:
        job = command(
            command="echo 1 > ${{outputs.table}}/t.txt; echo 2 > ${{outputs.net}}/n.txt",
            outputs={
                "table": Output(type="uri_folder", name="made-data", version="7"),
                "net": Output(type="custom_model", name="made-model"),
            },
            environment=CURATED,
            compute=CPU_CLUSTER,
        )
        for turn in ("1", "2"):
            made = client.jobs.create_or_update(job)
            client.jobs.stream(made.name)
            read = echo(
                "read", inputs={"table": Input(type="uri_folder", path=f"azureml:made-data:{6 + int(turn)}")}
            )  # Nobody has asked for the asset before.
            client.jobs.stream(client.jobs.create_or_update(read).name)
            assert client.models.get("made-model", turn).job_name == made.name
            job.outputs["table"].version = "8"
        assert {one.version for one in client.data.list("made-data")} == {"7", "8"}
        client.models.download("made-model", "1", download_path="down")
        assert [path.read_text().strip() for path in Path("down").rglob("n.txt")] == ["2"]
        before = client.data.get("made-data", "8").path
        client.jobs.stream(client.jobs.create_or_update(job).name)
        assert client.data.get("made-data", "8").path == before  # A version that is there is nobody else's.
        assert client.models.get("made-model", "3")

    def test_names_are_checked_when_the_job_is_submitted(self, client: MLClient) -> None:
        outputs = {"o": Output(type="uri_folder", name="named", version="no version")}
        with pytest.raises(HttpResponseError, match="no version"):
            client.jobs.create_or_update(echo("x", outputs=outputs))

    def test_of_a_scripted_pipeline(self, client: MLClient, emulator: AzureMLEmulator) -> None:
        writes = command(
            name="scripted", command="echo 1", outputs={"o": Output(type="uri_folder")}, environment=CURATED
        )

        @dsl.pipeline(default_compute=CPU_CLUSTER)  # type: ignore[call-overload, untyped-decorator]
        def one() -> None:
            node = cast(Any, writes())
            node.outputs.o.name = "of-a-script"

        emulator.script(Outcome(seconds=0))
        made = client.jobs.create_or_update(one())
        while client.jobs.get(made.name).status != "Completed":
            time.sleep(0.1)
        assert [one.version for one in client.data.list("of-a-script")] == ["1"]

    def test_of_a_pipeline_and_its_nodes(self, client: MLClient) -> None:
        writes = command(
            name="writes",
            command="echo 1 > ${{outputs.o}}/o.txt",
            outputs={"o": Output(type="uri_folder")},
            environment=CURATED,
        )

        @dsl.pipeline(default_compute=CPU_CLUSTER)  # type: ignore[call-overload, untyped-decorator]
        def two() -> dict[str, Any]:
            first, second = cast(Any, writes()), cast(Any, writes())
            first.outputs.o.name, first.outputs.o.version = "of-a-node", "1"
            return {"last": second.outputs.o}

        job = two()
        job.outputs.last.name = "of-a-pipeline"
        made = client.jobs.create_or_update(job)
        client.jobs.stream(made.name)
        assert client.data.get("of-a-node", "1").path
        assert [one.version for one in client.data.list("of-a-pipeline")] == ["1"]

    def test_of_a_job_that_fails_nothing(self, client: MLClient) -> None:
        outputs = {"o": Output(type="uri_folder", name="never")}
        made = client.jobs.create_or_update(
            command(command="exit 1", outputs=outputs, environment=CURATED, compute=CPU_CLUSTER)
        )
        while client.jobs.get(made.name).status not in {"Completed", "Failed"}:
            time.sleep(0.1)
        with pytest.raises(ResourceNotFoundError):
            client.data.get("never", "1")


class TestVersions:
    def test_another_environment_is_another_version(self, client: MLClient) -> None:
        """azure-sdk-for-python 38590: another image makes a version, another description does not."""
        made = client.environments.create_or_update(Environment(name="own", image="image:1"))
        assert made.version == "1"
        again = client.environments.create_or_update(Environment(name="own", image="image:1", description="said"))
        assert (again.version, again.description) == ("1", "said")
        assert client.environments.create_or_update(Environment(name="own", image="image:2")).version == "2"
        assert client.environments.get("own", "1").image == "image:1"
        with pytest.raises(HttpResponseError, match="already registered and cannot be changed"):
            client.environments._version_operations.create_or_update(  # The SDK itself goes on to the next version.
                client.resource_group_name,
                str(client.workspace_name),
                "own",
                "1",
                body=Environment(name="own", version="1", image="image:3")._to_rest_object(),
            )
        client.environments.archive("own", "1")
        client.environments.restore("own", "1")
        assert client.environments.get("own", label="latest").version == "2"

    def test_anonymous_environments_are_what_their_version_says(self, client: MLClient, tmp_path: Path) -> None:
        """The SDK's digest leaves out the name of the folder, and the address of what it uploads has it."""
        names = set()
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "Dockerfile").write_text("FROM scratch")
            made = Environment(build=BuildContext(path=str(tmp_path / folder)))
            names.add(client.jobs.get(client.jobs.create_or_update(echo("x", environment=made)).name).environment)
        assert len(names) == 1

    def test_the_next_version_is_a_free_one(self, client: MLClient, file: Callable[[str], str]) -> None:
        for version in ("3", "2", "final"):
            client.data.create_or_update(Data(name="counted", version=version, path=file(version), type="uri_file"))
        made = client.data.create_or_update(Data(name="counted", path=file("more"), type="uri_file"))
        assert made.version == "4"

    def test_what_points_elsewhere_exists_already(self, client: MLClient, file: Callable[[str], str]) -> None:
        client.data.create_or_update(Data(name="fixed", version="1", path=file("a"), type="uri_file"))
        with pytest.raises(HttpResponseError, match="data version with this name and version already exists"):
            client.data.create_or_update(Data(name="fixed", version="1", path=file("b"), type="uri_file"))

    def test_data_may_be_written_later(self, client: MLClient) -> None:
        """As the SDK registers where an endpoint is going to collect (azure-ai-ml)."""
        path = "azureml://datastores/workspaceblobstore/paths/later/"
        assert (
            client.data.create_or_update(Data(name="later", version="1", path=path, type="uri_folder")).version == "1"
        )

    def test_a_component_can_be_described_anew(self, client: MLClient) -> None:
        """`az ml component update` takes a description and a display name."""
        made = client.components.create_or_update(echo("x", name="said").component, version="1")
        made.description = "said later"
        client.components.create_or_update(made)
        assert client.components.get(made.name, "1").description == "said later"
        more = command(name="said", command="echo x", environment=CURATED, inputs={"a": Input(type="string")})
        with pytest.raises(HttpResponseError, match="another one"):
            client.components.create_or_update(more.component, version="1")

    def test_whole_assets_are_archived(self, client: MLClient, file: Callable[[str], str]) -> None:
        client.data.create_or_update(Data(name="shelved", version="1", path=file("s"), type="uri_file"))
        client.models.create_or_update(Model(name="shelved", version="1", path=file("m"), type="custom_model"))
        client.environments.create_or_update(Environment(name="shelved", image="image:1"))
        for assets in (client.data, client.models, client.environments):
            assets.archive("shelved")
            assert "shelved" not in {one.name for one in assets.list()}
            away = {one.name for one in assets.list(list_view_type=ListViewType.ARCHIVED_ONLY)}
            assert away == {"shelved"}
            assets.restore("shelved")
            assert "shelved" in {one.name for one in assets.list()}

    def test_a_models_tags_are_those_that_were_said_last(self, client: MLClient, file: Callable[[str], str]) -> None:
        given = Model(name="tagged", version="1", path=file("t"), type="custom_model", tags={"a": "1", "b": "2"})
        made = client.models.create_or_update(given)
        made.tags = {"a": "3"}
        client.models.create_or_update(made)
        assert client.models.get("tagged", "1").tags == {"a": "3"}

    @pytest.mark.filterwarnings("ignore:.*deprecated since 2.9.0:FutureWarning")  # Stages, which Azure has.
    def test_a_models_stage_is_one(self, client: MLClient, file: Callable[[str], str]) -> None:
        for version, stage in (("1", "Production"), ("2", None)):
            given = Model(name="staged", version=version, path=file("st"), type="custom_model", stage=stage)
            client.models.create_or_update(given)
        tracked = mlflow.MlflowClient(client.workspaces.get(client.workspace_name).mlflow_tracking_uri)
        assert tracked.get_model_version("staged", "1").current_stage == "Production"
        assert [one.version for one in client.models.list("staged", stage="Production")] == ["1"]
        tracked.transition_model_version_stage("staged", "1", "Staging")
        assert client.models.get("staged", "1").stage == "Staging"


class TestEndpoints:
    def test_traffic_is_shared(self, client: MLClient) -> None:
        drawn = [_drawn({"blue": 10, "green": 90, "none": 0}) for _time in range(2000)]
        assert 100 < drawn.count("blue") < 320  # 200 expected; seven standard deviations are 94.
        assert drawn.count("none") == 0
        assert _drawn({"blue": 0}) == ""

    def test_mirrored_traffic_goes_to_one_that_is_there(self, client: MLClient) -> None:
        """Up to 50 percent, to one deployment without live traffic (how-to-safely-rollout-online-endpoints)."""
        client.online_endpoints.begin_create_or_update(
            ManagedOnlineEndpoint(name="ep-mirror", auth_mode="key")
        ).result()
        for mirror, said in (
            ({"ghost": 10}, "no deployment"),
            ({"ghost": 80}, "from 0 to 50"),
            ({"a": 1, "b": 1}, "one"),
        ):
            with pytest.raises(HttpResponseError, match=said):
                client.online_endpoints.begin_create_or_update(
                    ManagedOnlineEndpoint(name="ep-mirror", auth_mode="key", mirror_traffic=mirror)
                ).result()

    def test_identities_are_filled_in(self, client: MLClient) -> None:
        made = client.online_endpoints.begin_create_or_update(
            ManagedOnlineEndpoint(name="ep-known", auth_mode="key")
        ).result()
        assert made.identity.principal_id
        assert client.online_endpoints.get("ep-known").identity.principal_id == made.identity.principal_id
        cluster = AmlCompute(
            name="known", size="Standard_DS3_v2", identity=IdentityConfiguration(type="system_assigned")
        )
        client.compute.begin_create_or_update(cluster).result()
        assert client.compute.get("known").identity.principal_id

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"model": "azureml://registries/azureml/models/Phi-3-mini-4k-instruct/versions/1"}, "not emulated|exist"),
            ({"environment": Environment(name="serves", version="1", image="nginx")}, "without a model"),
            ({"environment": "azureml:nobody:1"}, "nobody"),
        ],
    )
    def test_what_cannot_be_served_says_why(self, client: MLClient, more: dict[str, Any], said: str) -> None:
        client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="ep-else", auth_mode="key")).result()
        deployment = ManagedOnlineDeployment(
            name="blue", endpoint_name="ep-else", instance_type="Standard_DS3_v2", instance_count=1, **more
        )
        with pytest.raises(HttpResponseError, match=said):
            client.online_deployments.begin_create_or_update(deployment).result()


def test_a_cluster_keeps_its_size(client: MLClient) -> None:
    """azure-rest-api-specs 18889: a change of the size does not count, and is not refused."""
    for size, most in (("Standard_DS3_v2", 2), ("Standard_DS2_v2", 4)):
        client.compute.begin_create_or_update(AmlCompute(name="sized", size=size, max_instances=most)).result()
    found = client.compute.get("sized")
    assert (found.size.lower(), found.max_instances) == ("standard_ds3_v2", 4)


def test_each_trigger_is_a_job(client: MLClient) -> None:
    """Each is a submission with an id of its own (azure-ai-ml, TriggerRunSubmissionDto)."""
    says = command(name="says", command="echo 1", environment=CURATED)

    @dsl.pipeline(default_compute=CPU_CLUSTER)  # type: ignore[call-overload, untyped-decorator]
    def daily() -> None:
        says()

    schedule = JobSchedule(name="often", trigger=RecurrenceTrigger(frequency="day", interval=1), create_job=daily())
    client.schedules.begin_create_or_update(schedule).result()
    fired = [client.schedules.trigger("often").job_name for _time in range(3)]
    assert len(set(fired)) == 3
    assert {job.name for job in client.jobs.list(scheduled_job_name="often")} >= set(fired)


def test_other_datastores_are_known_by_name(
    client: MLClient, emulator: AzureMLEmulator, tmp_path: Path, file: Callable[[str], str]
) -> None:
    """As the first cells of azureml-examples' datastores notebook make them; their secrets are in memory alone."""
    given = AzureBlobDatastore(
        name="lake", account_name="a", container_name="c", credentials=AccountKeyConfiguration(account_key="c2VjcmV0")
    )
    assert client.datastores.create_or_update(given).name == "lake"
    assert client.datastores.get("lake").container_name == "c"
    assert client.datastores.get("lake", include_secrets=True).credentials.account_key == "c2VjcmV0"
    assert {"lake", "workspaceblobstore"} <= {store.name for store in client.datastores.list()}
    assert client.datastores.get_default().name == "workspaceblobstore"
    kept = b"".join(path.read_bytes() for path in emulator.world.state.folder.rglob("*.json"))
    assert b"c2VjcmV0" not in kept
    address = "azureml://datastores/lake/paths/table.csv"
    emulator.provide(address, file("row"))
    read = echo("x", inputs={"table": Input(type="uri_file", path=address)})
    read.command = "cat ${{inputs.table}}"
    client.jobs.stream(client.jobs.create_or_update(read).name)
    made = client.data.create_or_update(Data(name="of-lake", version="1", path=address, type="uri_file"))
    assert made.path == address
    elsewhere = Data(name="of-ocean", version="1", path="azureml://datastores/ocean/paths/a.csv", type="uri_file")
    with pytest.raises(HttpResponseError, match="datastore ocean does not exist"):
        client.data.create_or_update(elsewhere)
    client.datastores.delete("lake")
    with pytest.raises(ResourceNotFoundError):
        client.datastores.get("lake")


def test_workspaces_of_the_subscription_are_listed(client: MLClient) -> None:
    assert [one.name for one in client.workspaces.list(scope="subscription")] == ["ws-emulated"]
