"""What is known of the data that a run will learn from: before it is prepared, and after."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

from attrs import frozen

from azft.domain.capabilities import EVERYTHING
from azft.domain.data import DataSettings, PreparedData
from azft.domain.findings import Finding
from azft.domain.forecast import DataLook, Forecast
from azft.domain.model import Model
from azft.domain.parameters import Parameters
from azft.domain.row_formats import RowFormat
from azft.domain.specs import DatasetSpec
from azft.gate.as_is import findings_of
from azft.gate.reading import Convert
from azft.lookups.rows import Looking, look_at, look_back
from azft.lookups.tokenizers import OwnTokenizers
from azft.plugins.catalogue import Catalogue
from azft.ports import Backend
from azft.rules.forecast import Rows, forecast, pack_length, sequence_limit, steps_of

AZUREML = "azureml"
"""The backend on whose machines runs cost money, and whose pipeline has a least number of rows."""


@frozen
class KnownData:
    """What is known of the data: its look, the steps that its rows make, and what is wrong with it."""

    look: DataLook | None
    forecast: Forecast | None
    findings: tuple[Finding, ...]


@frozen
class DataLooks:
    """Looks at data for a backend on a day; `convert` is the user's own function of a row."""

    backend: Backend
    catalogue: Catalogue
    tokenizers: OwnTokenizers
    convert: Convert | None
    day: date

    def known(
        self,
        dataset: DatasetSpec,
        settings: DataSettings,
        model: Model,
        parameters: Parameters,
        prepared: PreparedData | None,
        *,
        devices: int,
        own: bool,
        rows: RowFormat,
    ) -> KnownData:
        """Return what every row says where the data is prepared, and the first ones otherwise."""
        if rows.as_is:
            return KnownData(None, None, tuple(findings_of(dataset)))
        day = _template_day(parameters, self.day)
        tokenizer, said = self.tokenizers.findings(model, day) if rows.chats else (None, ())
        how = Looking(
            rows,
            self.convert,
            tokenizer,
            EVERYTHING if own else _taken(self.backend),
            sequence_limit(model, parameters),
            self.backend.name == AZUREML and not own,
            pack_length(parameters),
        )
        same = prepared is not None and (prepared.source, prepared.settings) == (dataset.source, settings)
        if prepared is not None and same and not prepared.train.as_is:
            look, findings = look_back(prepared, how)
            rows_of = (prepared.train.rows, prepared.validation.rows)
            steps = steps_of(*rows_of, parameters, devices=devices, packs=look.packs, test=prepared.test.rows)
            return KnownData(look, steps, (*said, *findings))
        first, findings = look_at(dataset, settings, self.catalogue, how)
        split = bool(dataset.test_split)
        known = Rows(first.train_rows, first.test_rows if split else None, split) if first else Rows(None, None)
        ahead = forecast(known, settings, parameters, devices=devices, packs=first.packs if first else 1.0)
        return KnownData(first, ahead, (*said, *findings))


def _taken(backend: Backend) -> Collection[str]:
    """Return what the backend's training takes beside plain turns; one that does not say takes those alone."""
    return getattr(backend, "takes", frozenset())


def _template_day(parameters: Parameters, day: date) -> datetime:
    """Return the date that a chat template is told, the plan's unless it is set."""
    name = "template_date"
    said = parameters.text(name) if name in parameters else ""
    return datetime.fromisoformat(said or day.isoformat())
