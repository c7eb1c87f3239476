"""Batch endpoints and schedules on the emulator, asked by the unmodified SDK."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, load_component
from azure.ai.ml.constants import BatchDeploymentOutputAction, TimeZone
from azure.ai.ml.dsl import pipeline
from azure.ai.ml.entities import (
    BatchEndpoint,
    CodeConfiguration,
    CronTrigger,
    Environment,
    JobSchedule,
    Model,
    ModelBatchDeployment,
    ModelBatchDeploymentSettings,
    PipelineComponentBatchDeployment,
    RecurrencePattern,
    RecurrenceTrigger,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from hypothesis import given
from hypothesis import strategies as st

from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.triggers import MOST, due
from azft.testing.emulator.wire import WireError
from azft.testing.emulator.world import CONTAINER
from tests.lasting import lasting_client, lasting_emulator
from tests.workspaces import CURATED

__all__ = ["lasting_client", "lasting_emulator"]
DAY = 86_400


def waited(client: MLClient, name: str, *, seconds: float = 60) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = client.jobs.get(name).status
        status = str(getattr(found, "value", found))
        if status in {"Completed", "Failed", "Canceled"}:
            return status
        time.sleep(0.2)
    raise AssertionError(f"{name} has not ended after {seconds} s")


def endpoint(client: MLClient, name: str) -> Any:
    return client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=name)).result()


class TestBatchEndpoints:
    # First, as the SDK sends the deployment that was named once with every later call of the process.
    def test_what_cannot_be_is_refused(self, client: MLClient) -> None:
        made = endpoint(client, "nothing-to-run")
        with pytest.raises(Exception, match="no default deployment"):
            client.batch_endpoints.invoke(
                made.name, input=Input(type="uri_folder", path="azureml://datastores/x/paths/a")
            )
        made.defaults.deployment_name = "nobody"
        with pytest.raises(HttpResponseError, match="nobody"):
            client.batch_endpoints.begin_create_or_update(made).result()

    def test_a_model_scores_files_in_mini_batches(
        self, client: MLClient, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        made = endpoint(client, "lengths-of-words")
        assert made.defaults.deployment_name is None
        (tmp_path / "code").mkdir()
        (tmp_path / "code/score.py").write_text(
            dedent(
                """
                import os
                from pathlib import Path

                def init():
                    global more
                    more = int(next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*.txt")).read_text())

                def run(mini_batch):
                    print("batch of", len(mini_batch))
                    return [f"{Path(path).name} {len(Path(path).read_text()) + more}" for path in mini_batch]
                """
            ),
            encoding="utf-8",
        )
        (tmp_path / "model").mkdir()
        (tmp_path / "model/more.txt").write_text("100", encoding="utf-8")
        deployment = ModelBatchDeployment(
            name="words",
            endpoint_name=made.name,
            model=Model(path=str(tmp_path / "model")),
            environment=Environment(image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04"),
            code_configuration=CodeConfiguration(code=str(tmp_path / "code"), scoring_script="score.py"),
            compute="cpu-cluster",
            settings=ModelBatchDeploymentSettings(
                mini_batch_size=2,
                output_action=BatchDeploymentOutputAction.APPEND_ROW,
                output_file_name="lengths.csv",
            ),
        )
        client.batch_deployments.begin_create_or_update(deployment).result()
        made = client.batch_endpoints.get(made.name)
        made.defaults.deployment_name = "words"
        client.batch_endpoints.begin_create_or_update(made).result()
        data = tmp_path / "data"
        data.mkdir()
        for word in ("a", "bb", "ccc"):
            (data / f"{word}.txt").write_text(word, encoding="utf-8")
        job = client.batch_endpoints.invoke(made.name, input=Input(type="uri_folder", path=str(data)))
        assert waited(client, job.name) == "Completed"
        (child,) = client.jobs.list(parent_job_name=job.name)
        assert child.display_name == "batchscoring"
        client.jobs.download(job.name, download_path=tmp_path / "got", output_name="score")
        (found,) = (tmp_path / "got").rglob("lengths.csv")
        assert found.read_text(encoding="utf-8") == "a.txt 101\nbb.txt 102\nccc.txt 103\n"
        assert [one.name for one in client.batch_endpoints.list_jobs(made.name)] == [job.name]
        # An output may go elsewhere (azure-ai-ml, BatchEndpointOperations.invoke).
        path = "azureml://datastores/workspaceblobstore/paths/scored/here/"
        job = client.batch_endpoints.invoke(
            made.name,
            input=Input(type="uri_folder", path=str(data)),
            outputs={"score": Output(type="uri_folder", path=path)},
        )
        assert waited(client, job.name) == "Completed"
        assert emulator.world.blobs.names(CONTAINER, "scored/here/lengths.csv")
        assert [one.name for one in client.batch_deployments.list(made.name)] == ["words"]
        client.batch_endpoints.begin_delete(made.name).result()
        with pytest.raises(ResourceNotFoundError):
            client.batch_endpoints.get(made.name)

    def test_a_pipeline_is_invoked_with_its_inputs(self, client: MLClient, tmp_path: Path) -> None:
        (tmp_path / "say.yml").write_text(
            f"name: say\nversion: 1\ntype: command\nenvironment: {CURATED}\n"
            "inputs: {word: {type: string, default: hello}}\noutputs: {said: {type: uri_folder}}\n"
            "command: echo ${{inputs.word}} > ${{outputs.said}}/word.txt\n",
            encoding="utf-8",
        )
        say = load_component(source=tmp_path / "say.yml")

        def talk(word: str = "hello") -> dict[str, Any]:
            return {"said": say(word=word).outputs.said}

        dsl: Any = pipeline
        component = client.components.create_or_update(dsl(talk)().component)
        made = endpoint(client, "talking-pipeline")
        deployment = PipelineComponentBatchDeployment(
            name="talk", endpoint_name=made.name, component=component, settings={"default_compute": "cpu-cluster"}
        )
        client.batch_deployments.begin_create_or_update(deployment).result()
        for inputs, said in (({}, "hello"), ({"word": Input(type="string", default="good-bye")}, "good-bye")):
            job = client.batch_endpoints.invoke(made.name, deployment_name="talk", inputs=inputs)
            assert waited(client, job.name) == "Completed"
            client.jobs.download(job.name, download_path=tmp_path / job.name, output_name="said")
            (found,) = (tmp_path / job.name).rglob("word.txt")
            assert found.read_text(encoding="utf-8") == f"{said}\n"


@pytest.fixture
def echo(tmp_path: Path) -> Any:
    (tmp_path / "echo.yml").write_text(
        f"name: echo\nversion: 1\ntype: command\nenvironment: {CURATED}\ncommand: echo hello\n", encoding="utf-8"
    )
    component: Any = load_component(source=tmp_path / "echo.yml")

    def whole() -> None:
        component()

    dsl: Any = pipeline
    job = dsl(whole)()
    job.settings.default_compute = "cpu-cluster"
    return job


class TestSchedules:
    def test_the_clock_fires_it(self, emulator: AzureMLEmulator, client: MLClient, echo: Any) -> None:
        emulator.script(Outcome(seconds=0), always=True)
        trigger = CronTrigger(expression="15 10 * * *", time_zone="UTC")
        made = client.schedules.begin_create_or_update(
            JobSchedule(name="daily", trigger=trigger, create_job=echo)
        ).result()
        assert made.is_enabled
        assert [one.name for one in client.schedules.list()] == ["daily"]
        emulator.clock.advance(2 * DAY)
        emulator._services.schedules.look()
        jobs = [job.name for job in client.jobs.list() if job.name.startswith("daily_")]
        assert len(jobs) == 2
        assert all(name.endswith("101500") for name in jobs)
        client.schedules.begin_disable("daily").result()
        assert list(client.schedules.list()) == []
        emulator.clock.advance(2 * DAY)
        emulator._services.schedules.look()
        assert len([job.name for job in client.jobs.list() if job.name.startswith("daily_")]) == 2
        client.schedules.begin_delete("daily").result()
        with pytest.raises(ResourceNotFoundError):
            client.schedules.get("daily")
        emulator.jobs.forget_scripts()

    def test_one_that_is_enabled_is_not_deleted(self, client: MLClient, echo: Any) -> None:
        trigger = RecurrenceTrigger(
            frequency="day", interval=1, schedule=RecurrencePattern(hours=10, minutes=[0, 30]), time_zone=TimeZone.UTC
        )
        made = client.schedules.begin_create_or_update(
            JobSchedule(name="twice", trigger=trigger, create_job=echo)
        ).result()
        assert (made.trigger.frequency, made.trigger.schedule.minutes) == ("day", [0, 30])
        with pytest.raises(HttpResponseError, match="disable it first"):
            client.schedules.begin_delete("twice").result()

    @pytest.mark.parametrize(
        ("trigger", "said"),
        [
            (CronTrigger(expression="99 10 * * *"), "is no cron expression"),
            (CronTrigger(expression="0 10 * * *", time_zone="Middle Earth Time"), "is no time zone of Windows"),
        ],
    )
    def test_a_trigger_that_cannot_fire_is_refused(self, client: MLClient, echo: Any, trigger: Any, said: str) -> None:
        with pytest.raises(HttpResponseError, match=said):
            client.schedules.begin_create_or_update(JobSchedule(name="bad", trigger=trigger, create_job=echo)).result()


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


class TestTriggers:
    def test_windows_names_of_zones_know_summer_time(self) -> None:
        cron = {"triggerType": "Cron", "expression": "15 10 * * *", "timeZone": "Eastern Standard Time"}
        assert due(cron, at(2026, 1, 10), at(2026, 1, 11)) == [at(2026, 1, 10, 15, 15)]
        assert due(cron, at(2026, 7, 10), at(2026, 7, 11)) == [at(2026, 7, 10, 14, 15)]

    def test_a_start_and_an_end_bound_it(self) -> None:
        cron = {
            "triggerType": "Cron",
            "expression": "0 0 * * *",
            "startTime": "2026-03-02 00:00:00",
            "endTime": "2026-03-04T12:00:00",
        }
        found = due(cron, at(2026, 3, 1), at(2026, 3, 31))
        assert [datetime.fromtimestamp(one, UTC).day for one in found] == [2, 3, 4]

    def test_a_week_has_its_days_and_hours(self) -> None:
        weekly = {
            "triggerType": "Recurrence",
            "frequency": "week",
            "interval": 1,
            "schedule": {"weekDays": ["monday", "friday"], "hours": [8, 20], "minutes": [30]},
            "startTime": "2026-06-01T00:00:00",
        }
        found = [datetime.fromtimestamp(one, UTC) for one in due(weekly, at(2026, 6, 1), at(2026, 6, 8))]
        assert [(one.strftime("%a"), one.hour, one.minute) for one in found] == [
            ("Mon", 8, 30),
            ("Mon", 20, 30),
            ("Fri", 8, 30),
            ("Fri", 20, 30),
        ]

    def test_one_leap_fires_a_bounded_number(self) -> None:
        minutely = {"triggerType": "Recurrence", "frequency": "minute", "interval": 1}
        assert len(due(minutely, at(2026, 1, 1), at(2027, 1, 1))) <= MOST

    @given(
        st.integers(0, 59),
        st.integers(0, 23),
        st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1)),
        st.integers(1, 30),
    )
    def test_a_daily_cron_fires_once_a_day(self, minute: int, hour: int, begin: datetime, days: int) -> None:
        cron = {"triggerType": "Cron", "expression": f"{minute} {hour} * * *"}
        start = begin.replace(tzinfo=UTC, microsecond=0)
        found = due(cron, start.timestamp(), (start + timedelta(days=days)).timestamp())
        assert len(found) == days
        assert {(datetime.fromtimestamp(one, UTC).hour, datetime.fromtimestamp(one, UTC).minute) for one in found} == {
            (hour, minute)
        }

    def test_what_is_no_trigger_is_refused(self) -> None:
        for trigger in ({"triggerType": "Recurrence", "frequency": "year", "interval": 1}, {"triggerType": "Moon"}):
            with pytest.raises(WireError):
                due(trigger, 0, 1)
