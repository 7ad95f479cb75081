"""A reader of FlatBuffers that trusts nothing: every offset is checked before it is followed.

Binary format: https://flatbuffers.dev/internals/ . Little-endian; a table is a signed offset to its vtable, then its
fields; the vtable holds the two sizes and, for each field id, its place in the table or 0.
"""

from __future__ import annotations

import struct
from typing import Any, List, Optional, Tuple

from artifacts.errors import BmodelError

# A file may let many offsets point to one large table; without a limit on the work, a small file could ask for hours.
# A sound file of the compiler, read from end to end twice, takes less than 4 for each byte.
_WORK_PER_BYTE = 12
_WORK_BASE = 1 << 16
_WORK_PER_TABLE = 64


class _Buffer:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self._work_left = _WORK_BASE + _WORK_PER_BYTE * len(data)

    def unpack(self, code: str, position: int) -> Tuple[Any, ...]:
        layout = struct.Struct("<" + code)
        if position < 0 or position + layout.size > len(self.data):
            raise BmodelError(f"its flatbuffer points to byte {position} of {len(self.data)}")
        return layout.unpack_from(self.data, position)

    def follow(self, position: int) -> int:
        return position + int(self.unpack("I", position)[0])

    def vector(self, position: int, item_bytes: int) -> Tuple[int, int]:
        """Return the place of the first item and the count of the vector at this position."""
        (count,) = self.unpack("I", position)
        if position + 4 + count * item_bytes > len(self.data):
            raise BmodelError(f"its flatbuffer has a vector of {count} items at byte {position} of {len(self.data)}")
        self.spend(count * item_bytes)
        return position + 4, count

    def spend(self, work: int) -> None:
        self._work_left -= work
        if self._work_left < 0:
            raise BmodelError("its flatbuffer refers to the same bytes so often that reading it would not end soon")


class Table:
    """One table of a FlatBuffer; fields are asked for by their id in the schema, and an absent one is its default."""

    def __init__(self, buffer: _Buffer, position: int) -> None:
        self._buffer = buffer
        self._position = position
        (to_vtable,) = buffer.unpack("i", position)
        vtable = position - to_vtable
        vtable_bytes, self._table_bytes = buffer.unpack("HH", vtable)
        if vtable_bytes < 4 or vtable_bytes % 2 or self._table_bytes < 4:
            raise BmodelError(f"its flatbuffer has no valid vtable at byte {vtable}")
        self._fields = buffer.unpack(f"{(vtable_bytes - 4) // 2}H", vtable + 4)
        buffer.spend(_WORK_PER_TABLE)

    @property
    def field_count(self) -> int:
        """One more than the highest field id that the table's vtable has room for."""
        return len(self._fields)

    def place(self, field: int, size: int) -> Optional[int]:
        """Return where in the buffer a field of this many bytes lies, or None when the table has no such field."""
        offset = self._fields[field] if field < len(self._fields) else 0
        if offset == 0:
            return None
        if offset < 4 or offset + size > self._table_bytes:
            raise BmodelError(f"field {field} of the table at byte {self._position} lies outside the table")
        return self._position + int(offset)

    def number(self, field: int, code: str, default: float = 0) -> Any:
        """Return a scalar field; `code` is its `struct` format character."""
        place = self.place(field, struct.calcsize("<" + code))
        return default if place is None else self._buffer.unpack(code, place)[0]

    def inline(self, field: int, code: str) -> Optional[Tuple[Any, ...]]:
        """Return an inline struct field as a tuple, or None when it is absent."""
        place = self.place(field, struct.calcsize("<" + code))
        return None if place is None else self._buffer.unpack(code, place)

    def span(self, field: int) -> Optional[Tuple[int, int]]:
        """Return place and length, in bytes, of a string or byte vector; None when it is absent."""
        place = self.place(field, 4)
        return None if place is None else self._buffer.vector(self._buffer.follow(place), 1)

    def raw(self, field: int) -> bytes:
        """Return a byte vector, empty when it is absent."""
        start, length = self.span(field) or (0, 0)
        return self._buffer.data[start : start + length]

    def text(self, field: int) -> str:
        """Return a string, empty when it is absent.

        Raises:
            BmodelError: It is not UTF-8.
        """
        try:
            return self.raw(field).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BmodelError(f"field {field} of the table at byte {self._position} is no text: {error}") from error

    def numbers(self, field: int, code: str) -> Tuple[Any, ...]:
        """Return a vector of scalars, empty when it is absent."""
        place = self.place(field, 4)
        if place is None:
            return ()
        start, count = self._buffer.vector(self._buffer.follow(place), struct.calcsize("<" + code))
        return self._buffer.unpack(f"{count}{code}", start)

    def inlines(self, field: int, code: str) -> List[Tuple[Any, ...]]:
        """Return a vector of inline structs, empty when it is absent."""
        place = self.place(field, 4)
        if place is None:
            return []
        size = struct.calcsize("<" + code)
        start, count = self._buffer.vector(self._buffer.follow(place), size)
        return [self._buffer.unpack(code, start + size * index) for index in range(count)]

    def table(self, field: int) -> Optional[Table]:
        """Return a child table, or None when it is absent."""
        place = self.place(field, 4)
        return None if place is None else Table(self._buffer, self._buffer.follow(place))

    def tables(self, field: int) -> List[Table]:
        """Return a vector of child tables, empty when it is absent."""
        place = self.place(field, 4)
        if place is None:
            return []
        start, count = self._buffer.vector(self._buffer.follow(place), 4)
        return [Table(self._buffer, self._buffer.follow(start + 4 * index)) for index in range(count)]


def root_table(data: bytes) -> Table:
    """Return the root table of a FlatBuffer.

    Args:
        data: The whole buffer, from its first byte.

    Raises:
        BmodelError: The buffer's first offsets lead outside of it. The methods of `Table` raise it likewise.
    """
    buffer = _Buffer(data)
    return Table(buffer, buffer.follow(0))
