"""What plugins offer by name: models, datasets, readers, recipes, naming schemes, backends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import Attribute, field, frozen

from azft.domain.mappings import copied
from azft.domain.parameters import ParameterValue
from azft.domain.rows import Part
from azft.domain.trainers import Trainer
from azft.errors import ConfigurationError

if TYPE_CHECKING:
    from azft.domain.model import Model

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")


def _legal_name(instance: object, attribute: Attribute[str], value: str) -> None:
    """Refuse names that could not be a registry name; they end up in file names and tags."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or ".." in value:
        raise ConfigurationError(
            f"{type(instance).__name__} {attribute.name} is {value!r}",
            hint="use letters, digits, '.', '_', '-' and '/', starting with a letter or digit, at most 255",
        )


def _legal_source(instance: object, attribute: Attribute[str], value: str) -> None:
    if value and "://" not in value:
        raise ConfigurationError(
            f"{type(instance).__name__} {attribute.name} is {value!r}, expected SCHEME://REST",
            hint=f"for a local file write 'file://{value}'",
        )
    if not value.isprintable() or any("\ud800" <= character <= "\udfff" for character in value):
        shown = value.encode("utf-8", "backslashreplace").decode()
        raise ConfigurationError(
            f"{type(instance).__name__} {attribute.name} is {shown!r}: its name cannot be written as text",
            hint="rename the file: letters, digits, spaces and signs of UTF-8",
        )


@frozen
class ModelSpec:
    """A model by name in a registry; `weights` (a folder or a hub id) gives the local backend the real thing.

    `version` pins one version; without it the registry's latest is meant. `defaults` are model defaults that
    stand in the same layer as those a registry would give. `trust_remote_code` lets the model's own code run. `weights`
    may be a GGUF file too, which is dequantised once. `chat_template` (a file, or the template itself) takes the place
    of the tokenizer's own.
    """

    name: str = field(validator=_legal_name)
    registry: str = "azureml"
    version: str = ""
    weights: str = ""
    defaults: Mapping[str, ParameterValue] = field(converter=copied, factory=dict)
    trust_remote_code: bool = False
    chat_template: str = ""


@frozen(eq=False)
class OwnRows:
    """Rows in memory, by split: `read(split)` yields them, `content` is a digest of them all."""

    read: Callable[[str], Iterable[Any]]
    counts: Mapping[str, int]
    content: str


@frozen
class DatasetSize:
    """How large a source elsewhere is known to be, so that a first plan can tell the work: rows, tokens of a row."""

    train_rows: int
    test_rows: int = 0
    tokens: float = 0.0


@frozen
class DatasetSpec:
    """A chat dataset by name: where it is, and which of its splits to train and test on.

    `source` is `scheme://rest`, read by the reader of that scheme. An empty `test_split` means the source has
    none, so a test set is cut from the training rows. `label` is the short name used in display names.
    `stand_in` names the source that takes its place when the model itself is a stand-in. `converter` names what makes
    messages of a row; empty, it is detected. `columns` maps the source's own column names to those a converter knows,
    such as `{"Frage": "instruction", "Antwort": "output"}`. `leave_out` names codes of faults that the dataset is known
    to have: such rows are left out, and said, whatever `on_bad` is. `rows` are those of a source in memory. `size` is
    how large it is known to be.
    """

    name: str = field(validator=_legal_name)
    source: str = field(validator=_legal_source)
    train_split: str = "train"
    test_split: str = ""
    label: str = ""
    stand_in: str = field(default="", validator=_legal_source)
    converter: str = ""
    columns: Mapping[str, str] = field(converter=copied, factory=dict)
    leave_out: tuple[str, ...] = ()
    rows: OwnRows | None = field(default=None, eq=False, repr=False)
    size: DatasetSize | None = None


@frozen
class Reader:
    """Rows for one source scheme: `read(rest, split)` yields rows (mappings), in order, every time it is called.

    `count(rest, split)` returns the number of rows if that is known without reading them; it saves a pass.
    `near` says that reading takes no network, so that a plan may look at the first rows. `parts(rest, split)` takes
    the place of both for a source that can be read in pieces.
    """

    scheme: str
    read: Callable[[str, str], Iterable[Any]] | None = None
    count: Callable[[str, str], int | None] | None = None
    near: bool = False
    parts: Callable[[str, str], Sequence[Part]] | None = None

    def __attrs_post_init__(self) -> None:
        if self.read is None and self.parts is None:
            raise ConfigurationError(f"Reader {self.scheme!r} reads nothing", hint="give it read= or parts=")

    def rows(self, rest: str, split: str) -> Iterable[Any]:
        """Yield rows one by one, from a reader that reads them so."""
        return self.read(rest, split) if self.read else ()


def _sees_needed(row: Mapping[str, Any], needs: Sequence[tuple[str, ...]]) -> str:
    for columns in needs:
        if all(row.get(column) is not None for column in columns):
            return " and ".join(map(repr, columns))
    return ""


@frozen
class Converter:
    """Makes messages of a dataset's rows: `convert(row)` returns them, or raises `ValueError` with the reason.

    It may also return an object with `messages` and `tools`. `needs` are sets of columns, of which one must be there.
    `detects(row)` returns what it recognises a row by, such as "'instruction' and 'output'", or nothing; without it the
    needed columns tell. `reads` names the columns that it looks at, where it can tell; the others are left unread.
    `quick` may do the same for rows that need no care: what it returns is taken only if it is sound as it is.
    """

    name: str = field(validator=_legal_name)
    convert: Callable[[Mapping[str, Any]], Any]
    detects: Callable[[Mapping[str, Any]], str] | None = None
    reads: tuple[str, ...] = ()
    needs: tuple[tuple[str, ...], ...] = ()
    quick: Callable[[Mapping[str, Any]], Any] | None = None

    def sees(self, row: Mapping[str, Any]) -> str:
        """Return what it recognises the row by, or nothing."""
        return self.detects(row) if self.detects is not None else _sees_needed(row, self.needs)

    def may_read(self, columns: Iterable[str]) -> bool:
        """Return whether rows with these columns could be for it, as far as it says."""
        return bool(self.detects) if not self.needs else any(set(needed) <= set(columns) for needed in self.needs)


@frozen
class Recipe:
    """A set of parameters by name; the user's own win over it, and it wins over the model's defaults."""

    name: str = field(validator=_legal_name)
    values: Mapping[str, ParameterValue] = field(converter=copied, factory=dict)


@frozen
class NamingContext:
    """What a naming scheme may look at."""

    model: Model
    dataset: DatasetSpec
    parameters: Mapping[str, ParameterValue]
    gpus_per_node: int = 1
    timestamp: int = 0
    trainer: Trainer = field(factory=Trainer)


@frozen
class NamingScheme:
    """Two functions of one context: the job's display name, and the name the tuned model is registered under."""

    name: str = field(validator=_legal_name)
    display_name: Callable[[NamingContext], str]
    model_name: Callable[[NamingContext], str]


@frozen
class BackendSpec:
    """A place to run: `connect(**settings)` returns an object that implements the ports."""

    name: str = field(validator=_legal_name)
    connect: Callable[..., Any]
