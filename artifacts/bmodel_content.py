"""What a bmodel's FlatBuffer says, apart from how its writer happened to lay it out.

FlatBuffers leaves out a field that equals its default, so one uninitialised word that happens to be 0 moves
everything after it: two compilations of the same model for BM1684 can differ in hundreds of bytes. Comparing what is
said, field by field, is not fooled by that.

Schema: ``bmodel.fbs`` of tpu-mlir 1.30.2, whose text is part of its ``model_tool``.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

from artifacts.flatbuffer import Table

# By table, the type of each field in the order of ids. "I" is a scalar by its struct code, with its default when that
# is not 0 (floats by their bits); "(QQ)" an inline struct; "[..]" a vector; a capitalised word a table.
SCHEMA: Dict[str, Tuple[str, ...]] = {
    "Shape": ("[Q]",),
    "CmdGroup": ("I", "I", "(QQ)", "(QQ)", "I", "I", "[(III)]"),
    "CoreCommands": ("[CmdGroup]", "[(QQ)]", "[(QQ)]", "[(QQ)]"),
    "StageIR": ("I", "i", "i", "i", "i"),
    "Location": ("text", "Q", "Q"),
    "CoeffMem": ("Q", "[B]", "(QQ)", "[Location]", "i", "Q"),
    "Tensor": ("text", "I", "i", "Q", "Q", "[Shape]", "I", "I=1065353216", "I", "I", "i", "i", "i", "(III)"),
    "CpuConst": ("text", "(QQ)", "[B]"),
    "CpuParam": ("i", "(QQ)", "[CpuConst]", "i"),
    "OutputFrom": ("[i]",),
    "MergeParam": ("[OutputFrom]",),
    "SwitchParam": ("[i]", "[i]"),
    "SubNet": (
        "i", "[CmdGroup]", "[CpuParam]", "[Tensor]", "[Tensor]", "i", "I", "I", "i", "i", "i=-1", "[i]", "MergeParam",
        "SwitchParam", "[CoreCommands]", "I",
    ),
    "NetStatic": (),
    "NetDynamic": (),
    "NetParameter": (
        "[Tensor]", "[Tensor]", "Q", "Q", "CoeffMem", "i", "i", "i", "[CmdGroup]", "(QQ)", "[StageIR]", "(QQ)",
        "[SubNet]", "I", "[Q]", "(QQ)", "I", "Q", "Q", "(QQ)", "Q", "Q", "Q",
    ),
    "Cascade": ("I", "I", "text"),
    "Net": ("text", "[NetStatic]", "[NetDynamic]", "[NetParameter]", "Cascade", "i"),
    "KernelModule": ("text", "(QQ)", "i"),
    "CpuopModule": ("text", "(QQ)"),
    "Model": ("text", "text", "text", "text", "[Net]", "Q", "KernelModule", "I", "CpuopModule", "I", "(QQ)"),
}  # fmt: skip

_SCALAR = re.compile(r"(?P<code>[iIQ])(=(?P<default>-?\d+))?")


def content_of(table: Table, name: str = "Model") -> Dict[str, Any]:
    """Return what a table says, as JSON values: field id to value, defaults and empty vectors left out.

    Args:
        table: The table; by default the root.
        name: Its name in SCHEMA.

    Returns:
        Equal values for tables that say the same, however they are laid out. Of a field that is newer than SCHEMA only
        its presence is told, under ``newer``: its type is not known.

    Raises:
        BmodelError: The FlatBuffer is damaged.
    """
    schema = SCHEMA[name]
    values = {str(field): _value(table, field, kind) for field, kind in enumerate(schema)}
    values["newer"] = [field for field in range(len(schema), table.field_count) if table.place(field, 0) is not None]
    return {field: value for field, value in values.items() if value not in (None, [], "")}


def _value(table: Table, field: int, kind: str) -> Optional[Any]:
    scalar = _SCALAR.fullmatch(kind)
    if scalar is not None:
        default = int(scalar["default"] or 0)
        value = table.number(field, scalar["code"], default)
        return None if value == default else value
    if kind == "text":
        return table.text(field)
    if kind.startswith("("):
        return table.inline(field, kind[1:-1])
    if kind.startswith("["):
        return _vector(table, field, kind[1:-1])
    child = table.table(field)
    return None if child is None else content_of(child, kind)


def _vector(table: Table, field: int, item: str) -> List[Any]:
    if item in SCHEMA:
        return [content_of(child, item) for child in table.tables(field)]
    if item.startswith("("):
        return list(table.inlines(field, item[1:-1]))
    return list(table.numbers(field, item))
