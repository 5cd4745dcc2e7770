"""How every look into the log begins: its file is read while others may write to it, without Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from palimpsest.console.called import given_bundle
from palimpsest.console.options import data_folder
from palimpsest.console.progress import bar
from palimpsest.questions.texts import one_line
from palimpsest.store.logs.contract import LogReader


@contextlib.contextmanager
def reading() -> Iterator[LogReader]:
    """The log of the data folder, or of the bundle that is given, for reading. Raises BadInput where there is none."""
    bundle = given_bundle()
    if bundle is None:
        with data_folder().log().reader() as log:
            yield log
        return
    from palimpsest.store.bundles.log import read_bundle

    with bar(f"Reading {one_line(bundle.name)}") as step:
        bundled = read_bundle(bundle, step)
    yield bundled
