"""Where the commands that look into the data directory find it, and what they say when they cannot."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import click

from foz.cli.settings import read_settings
from foz.store.database import StoreError, connect, connect_reader, prepare


def data_directory(config: Path | None) -> Path:
    """The data directory of the settings, made and brought up to date."""
    data = read_settings(config).data
    try:
        prepare(data)
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    return data


@contextmanager
def writing(data: Path) -> Iterator[apsw.Connection]:
    """A connection in one transaction; what is written is kept where nothing was raised."""
    connection = connect(data)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@contextmanager
def reading(data: Path) -> Iterator[apsw.Connection]:
    """A connection that sees one moment of the database."""
    connection = connect_reader(data)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def now() -> int:
    """UTC in milliseconds."""
    return time.time_ns() // 1_000_000
