"""The stored origin of a run, and changes of it within a transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, select

from netloom.store.database import NotFoundError
from netloom.store.run_summary import RunOrigin
from netloom.store.schema import runs


def merged_about(connection: Connection, run_id: str, facts: RunOrigin, *, without: Sequence[str] = ()) -> str:
    """Return the stored origin of a run with further facts and `without` some keys, as JSON. Keys that this version
    does not know remain.

    Raises:
        NotFoundError: there is no such run.
    """
    stored = connection.execute(select(runs.c.about).where(runs.c.id == run_id).with_for_update()).scalar()
    if stored is None:
        raise NotFoundError("There is no such run; it may have been deleted.")
    remaining = {key: value for key, value in json.loads(stored).items() if key not in without}
    return json.dumps({**remaining, **facts.as_json()})
