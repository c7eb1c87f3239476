"""The promises of a check: a policy that adds findings to plans."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import ClassVar, get_args

from attrs import evolve

from azft.discovery import load_plugins
from azft.domain.component import Component
from azft.domain.compute import Compute
from azft.domain.findings import Finding, Severity
from azft.domain.model import Model
from azft.domain.parameters import Parameters
from azft.domain.pipelines import PipelineTrainer
from azft.domain.plan import Plan
from azft.domain.specs import DatasetSpec, ModelSpec
from azft.domain.trainers import Trainer
from azft.flow.plan import Planner
from azft.plugins.catalogue import Catalogue

SAMPLE = DatasetSpec("contract", "sample://ultrachat", train_split="train_sft", test_split="test_sft")


@cache
def sample_plans() -> dict[str, Plan]:
    """Return plans of several kinds by what they are: small, unknown, large, offline, of another pipeline."""
    from azft.discovery import connect

    plugins = load_plugins()
    with tempfile.TemporaryDirectory(prefix="azft-kit-") as folder:
        backend = connect("local", plugins=plugins, folder=Path(folder))
        naming = Catalogue(plugins).naming_schemes.pick("tutorial")
        small = Planner(backend, plugins).plan(ModelSpec("Phi-4"), SAMPLE, naming=naming)
    small = evolve(small, findings=())
    other = Trainer.of(PipelineTrainer("text_classification_pipeline", "text-classification", "text_classification"))
    return {
        "a small plan": small,
        "a plan whose data nobody has looked at": evolve(small, look=None, forecast=None),
        "a plan on a machine that nobody knows": evolve(small, compute=Compute("mine", "unknown", state="unknown")),
        "a plan for a model of which nothing is known": evolve(small, model=Model("mine"), memory=None),
        "a plan on eight GPUs": evolve(small, compute=Compute("gpus", "Standard_ND96isr_H100_v5", gpus=8, max_nodes=4)),
        "a plan for another pipeline": evolve(
            small,
            trainer=other,
            component=Component("text_classification_pipeline", "1", ()),
            parameters=Parameters(()),
            look=None,
            forecast=None,
            memory=None,
        ),
    }


class CheckKit:
    """Set `check`, a function of a plan as `azft_check` is, and `finds`: a plan that it has something to say about.

    `own` is what its codes begin with.
    """

    check: ClassVar[Callable[[Plan], Iterable[Finding]]]
    finds: ClassVar[Callable[[], Plan] | None] = None
    own: ClassVar[str] = ""

    def test_it_returns_findings_for_every_plan(self) -> None:
        """A list of `Finding`, empty where nothing is wrong; whatever is missing in a plan, it answers."""
        for said, plan in self._plans().items():
            for finding in self._found(said, plan):
                assert isinstance(finding, Finding), f"{said}: {finding!r} is no Finding"

    def test_it_says_the_same_of_the_same_plan(self) -> None:
        """A plan is compared with an earlier one."""
        for said, plan in self._plans().items():
            assert self._found(said, plan) == self._found(said, plan), f"{said}: two answers for one plan"

    def test_the_plan_is_left_as_it_is(self) -> None:
        """Other checks look at it too."""
        for said, plan in self._plans().items():
            before = plan.to_json()
            self._found(said, plan)
            assert plan.to_json() == before, f"{said} was changed"

    def test_its_severities_are_azfts(self) -> None:
        """An error stops a submit, a warning and a note are printed."""
        for _said, finding in self._findings():
            assert finding.severity in get_args(Severity), f"severity {finding.severity!r}"

    def test_its_codes_are_its_own(self) -> None:
        """AZFT-... is azft's; a code is what a user accepts a finding by."""
        for _said, finding in self._findings():
            assert finding.code.strip() == finding.code != "", f"code {finding.code!r}"
            assert " " not in finding.code, f"code {finding.code!r} has a space"
            if self.own != "AZFT-":
                assert not finding.code.upper().startswith("AZFT-"), f"{finding.code} is one of azft's codes"
            assert finding.code.startswith(self.own), f"{finding.code} does not begin with {self.own}"

    def test_a_finding_names_the_thing_and_what_was_found(self) -> None:
        """In plain words: a subject, and what is wrong with it."""
        for _said, finding in self._findings():
            assert str(finding.subject).strip(), f"{finding.code} has no subject"
            assert str(finding.found).strip(), f"{finding.code} says nothing"

    def test_an_error_says_what_to_do(self) -> None:
        """It stops a submit, so it has a way out."""
        for _said, finding in self._findings():
            if finding.severity == "error":
                assert finding.fix or finding.expected, f"{finding.code} stops a submit and names no way out"

    def test_one_thing_is_said_once(self) -> None:
        """Two findings that are the same are one."""
        for said, plan in self._plans().items():
            found = self._found(said, plan)
            assert len(found) == len(dict.fromkeys(found)), f"{said}: a finding stands twice"

    def test_it_finds_what_it_is_for(self) -> None:
        """The plan that was named has something wrong with it."""
        named = self._named()
        if named is not None:
            assert self._found("the plan that was named", named()), "nothing was found"

    def test_findings_are_texts(self) -> None:
        """They are printed, and written into a plan's JSON."""
        for _said, finding in self._findings():
            for text in (finding.subject, finding.found, finding.expected, finding.fix):
                assert isinstance(text, str), f"{finding.code}: {text!r} is no text"

    def _named(self) -> Callable[[], Plan] | None:
        # Of the class: a function is no method of this one.
        found: Callable[[], Plan] | None = getattr(type(self), "finds", None)
        return found

    def _plans(self) -> dict[str, Plan]:
        named = self._named()
        return {**sample_plans(), **({"the plan that was named": named()} if named is not None else {})}

    def _found(self, said: str, plan: Plan) -> list[Finding]:
        try:
            found = type(self).check(plan)
            assert found is not None, f"{said}: the check returned None, expected a list"
            return list(found)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{said}: {type(error).__name__}: {error}") from error

    def _findings(self) -> list[tuple[str, Finding]]:
        return [(said, finding) for said, plan in self._plans().items() for finding in self._found(said, plan)]
