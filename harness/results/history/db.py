# SPDX-License-Identifier: GPL-2.0-only
"""The history's database: which one, how it is opened, and what its errors mean to a user.

SQLite (the default) and PostgreSQL take the same schema. Writers take turns on either: with one
at a time nothing is counted twice and nothing deadlocks.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from harness.base.errors import MachineError, S2EvalError, UsageError
from harness.results.history import schema
from harness.results.history.location import VARIABLE

WAIT_SECONDS = 60  # for another writer
CONNECT_SECONDS = 10
# Rows of an index that SQLite looks at to learn how to use it: that takes a millisecond; without
# it, to find what is flaky takes half a second at a million observations.
LOOKED_AT = 400
WRITES = "s2eval_writes"
LOCK_NUMBER = 0x7332_6576  # "s2ev": of PostgreSQL's advisory lock
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class DamagedError(MachineError):
    """The SQLite file is none, or parts of it are not readable."""


class Database:
    """One database, opened when it is first used. `read()` and `write()` are transactions."""

    def __init__(self, url: str) -> None:
        self.url = _parse(url)
        self._engine: Engine | None = None

    @property
    def file(self) -> Path | None:
        """Return SQLite's file; None for PostgreSQL."""
        return Path(self.url.database or "") if self._sqlite else None

    @property
    def _sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def __str__(self) -> str:
        return str(self.file or self.url.render_as_string(hide_password=True))

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give one view of the data, whatever others write meanwhile."""
        with self._said(), self._open().connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction of the only writer."""
        with self._said(), self._open().connect() as connection, _alone(connection):
            yield connection
            if self._sqlite:  # PostgreSQL does that by itself
                connection.exec_driver_sql(f"PRAGMA analysis_limit = {LOOKED_AT}")
                connection.exec_driver_sql("ANALYZE")

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def set_aside(self) -> Path | None:
        """Move a damaged SQLite file away, with its journal; None when another process has."""
        file = self.file
        if file is None:
            return None
        self.close()
        with _file_lock(file):
            if not _is_damaged(file):
                return None
            aside = file.with_name(f"{file.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
            for end in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    file.with_name(file.name + end).rename(aside.with_name(aside.name + end))
            file.rename(aside)
            return aside

    def _open(self) -> Engine:
        """The engine; the first time, the schema is brought up to date."""
        if self._engine is None:
            engine = create_engine(self.url, connect_args=self._connect_args())
            if self._sqlite:
                event.listen(engine, "connect", _set_up_sqlite)
                event.listen(engine, "begin", _begin_sqlite)
            self._engine = engine
            self._bring_up_to_date(engine)
        return self._engine

    def _connect_args(self) -> dict[str, Any]:
        if self._sqlite:
            return {"timeout": WAIT_SECONDS}
        return {"connect_timeout": CONNECT_SECONDS}

    def _bring_up_to_date(self, engine: Engine) -> None:
        try:
            with contextlib.ExitStack() as stack:
                if self.file is not None:
                    self.file.parent.mkdir(parents=True, exist_ok=True)
                with engine.connect() as connection, connection.begin():
                    ready = schema.version(connection) == len(schema.steps())
                if ready:
                    return
                if self.file is not None:
                    stack.enter_context(_file_lock(self.file))
                    _let_read_while_written(self.file)
                with engine.connect() as connection, _alone(connection):
                    schema.upgrade(connection)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Errors of the database as one line that names it and the way out."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if _code(cause) in DAMAGED:
                raise DamagedError(str(cause)) from error
            raise self._user_error(cause) from None
        except ModuleNotFoundError as error:
            raise UsageError(f"{self}: the module {error.name} is missing: pip install "
                             "'psycopg[binary]'") from None  # fmt: skip
        except OSError as error:
            raise UsageError(f"{self}: {error.strerror or error}: set {VARIABLE}") from None

    def _user_error(self, cause: BaseException | None) -> S2EvalError:
        said = str(cause).strip().splitlines() or [type(cause).__name__]
        words = f"the history in {self}: {said[0]}"
        if "database is locked" in said[0]:
            return MachineError(f"{words}: another process has not let go of it: try again")
        if "disk is full" in said[0] or "No space left" in said[0]:
            return MachineError(f"{words}: free some space")
        if self._sqlite:
            return UsageError(f"{words}: set {VARIABLE} to a database you can read and write")
        return MachineError(f"{words}: is the server up, is {VARIABLE} right?")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in schema.WORDS:
            raise ArgumentError
        if parsed.drivername == "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
            raise ArgumentError
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise UsageError(
            f"{url.partition('://')[0]}: no database of a history: "
            "sqlite:////FOLDER/FILE or postgresql://USER@HOST/NAME"
        ) from None
    return parsed


def _code(error: object) -> int:
    """SQLite's primary error code."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _file_lock(file: Path) -> FileLock:
    return FileLock(file.with_name(f".{file.name}.lock"), timeout=WAIT_SECONDS)


def _is_damaged(file: Path) -> bool:
    """Whether SQLite finds something wrong; it reads the whole file."""
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=WAIT_SECONDS)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        if _code(error) in DAMAGED:
            return True
        raise


def _let_read_while_written(file: Path) -> None:
    """A write-ahead log. File systems without shared memory refuse, and do without."""
    with contextlib.closing(sqlite3.connect(file, timeout=WAIT_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Each new connection; transactions begin where SQLAlchemy says, not where Python guesses."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")  # enough with a write-ahead log


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """A transaction that waits until no other of this kind is open."""
    connection.execution_options(**{WRITES: True})
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})"))
        yield
