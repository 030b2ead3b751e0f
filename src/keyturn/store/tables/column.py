"""What all tables share: how their parts are named, and the types of their columns."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, MetaData, String, Text, TypeDecorator

from keyturn.core.instant import Instant, from_micros, to_micros

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[Instant]):
    """An instant as BIGINT microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Instant | None, dialect: Dialect) -> int | None:  # noqa: ARG002  # SQLAlchemy's interface
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Instant | None:  # noqa: ARG002  # as above
        return None if value is None else from_micros(value)


class Texts(TypeDecorator[tuple[str, ...]]):
    """A tuple of strings as a JSON array."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # as above
        return None if value is None else json.dumps(list(value), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002  # as above
        return None if value is None else tuple(json.loads(value))


class Document(TypeDecorator[Mapping[str, Any]]):
    """A JSON object as text: written whole, read whole, never searched in."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # as above
        return None if value is None else json.dumps(value, separators=(",", ":"), sort_keys=True)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, Any] | None:  # noqa: ARG002  # as above
        return None if value is None else json.loads(value)


Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
Id = String(64)
Name = String(200)
