"""Where the commands that look into the data directory find it, and what they say when they cannot."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import click

from foz.config.load import load, process_environment
from foz.config.refusal import ConfigError
from foz.store.database import StoreError, connect, connect_reader, prepare


def data_directory() -> Path:
    """The data directory of the settings, made and brought up to date."""
    try:
        data = load(process_environment(), Path.cwd()).data
        prepare(data)
    except (ConfigError, StoreError) as error:
        raise click.ClickException(str(error)) from error
    return data


@contextmanager
def writing() -> Iterator[apsw.Connection]:
    """A connection in one transaction; what is written is kept where nothing was raised."""
    connection = connect(data_directory())
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@contextmanager
def reading() -> Iterator[apsw.Connection]:
    """A connection that sees one moment of the database."""
    connection = connect_reader(data_directory())
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def now() -> int:
    """UTC in milliseconds."""
    return time.time_ns() // 1_000_000
