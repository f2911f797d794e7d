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

from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from harness.base.errors import MachineError, S2EvalError, UsageError
from harness.results.history import schema
from harness.results.history.location import VARIABLE

WAIT_SECONDS = 60  # for another writer
CONNECT_SECONDS = 10
# Rows of an index that ANALYZE reads: that takes a millisecond; without it, the query for flaky
# observations takes half a second at a million observations.
ANALYSIS_ROWS = 400
WRITES = "s2eval_writes"
LOCK_NUMBER = 0x7332_6576  # "s2ev": of PostgreSQL's advisory lock
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class DamagedError(MachineError):
    """The file is no SQLite database, or parts of it are not readable."""


class Database:
    """One database, opened when it is first used. `read()` and `write()` are transactions.

    Both raise DamagedError for a damaged file, UsageError for a file that is no history of ours or
    not accessible, MachineError for a lock that is not released, a full disk or a server.
    """

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
        """Yield a connection that sees one state of the data, whatever others write meanwhile."""
        with self._user_errors(), self._open().connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield the connection of the only writer; its transaction is committed at the end."""
        with self._user_errors(), self._open().connect() as connection, _only_writer(connection):
            yield connection
            if self._sqlite:  # PostgreSQL analyzes by itself
                connection.exec_driver_sql(f"PRAGMA analysis_limit = {ANALYSIS_ROWS}")
                connection.exec_driver_sql("ANALYZE")

    def close(self) -> None:
        """Close all connections; the next use opens the database again."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def set_aside(self) -> Path | None:
        """Move a damaged SQLite file away, with its journal, and return its new path.

        Return None where there is nothing to move: another process did, or this is PostgreSQL.
        """
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
        """Return the engine; the first call makes it and brings the schema up to date."""
        if self._engine is None:
            engine = create_engine(self.url, connect_args=self._connect_args())
            if self._sqlite:
                event.listen(engine, "connect", _set_up_sqlite)
                event.listen(engine, "begin", _begin_sqlite)
            self._engine = engine
            self._bring_up_to_date(engine)
        return self._engine

    def _connect_args(self) -> dict[str, int]:
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
                with engine.connect() as connection, _only_writer(connection):
                    schema.upgrade(connection)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def _user_errors(self) -> Iterator[None]:
        """Raise errors of the database as one line that names the database and the way out."""
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
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        problem = f"the history in {self}: {lines[0]}"
        if "database is locked" in lines[0]:
            return MachineError(f"{problem}: another process has not let go of it: try again")
        if "disk is full" in lines[0] or "No space left" in lines[0]:
            return MachineError(f"{problem}: free some space")
        if self._sqlite:
            return UsageError(f"{problem}: set {VARIABLE} to a database you can read and write")
        return MachineError(f"{problem}: is the server up, is {VARIABLE} right?")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in schema.DIALECTS:
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
    """Return SQLite's primary error code; 0 for other errors."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _file_lock(file: Path) -> FileLock:
    return FileLock(file.with_name(f".{file.name}.lock"), timeout=WAIT_SECONDS)


def _is_damaged(file: Path) -> bool:
    """Tell whether SQLite finds an error in the file, all of which it reads."""
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=WAIT_SECONDS)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        if _code(error) in DAMAGED:
            return True
        raise


def _let_read_while_written(file: Path) -> None:
    """Switch to a write-ahead log; a file system without shared memory has none."""
    with contextlib.closing(sqlite3.connect(file, timeout=WAIT_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Set up a new connection; SQLAlchemy, not Python's sqlite3, begins its transactions."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")  # enough with a write-ahead log


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _only_writer(connection: Connection) -> Iterator[None]:
    """Hold a transaction that begins when no other writer's is open."""
    connection.execution_options(**{WRITES: True})
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})"))
        yield
