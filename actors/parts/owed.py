"""How a part appends the answers that it owes: it waits while the log cannot write, and drops what no log can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.parts.process import until_taken
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput


async def append_owed(client: LogClient, groups: Sequence[Sequence[Draft]], logger: Any) -> int:
    """Append groups of drafts in one call; how many drafts were settled.

    Where the log refuses that as BadInput it is done group by group, and only the group that is bad is dropped, with an
    error line. Raises Fenced, and ActorLost where the log has ended for good.
    """
    drafts = [draft for group in groups for draft in group]
    if not drafts:
        return 0
    try:
        return len(await until_taken(lambda: client.append_drafts(drafts), logger, "append"))
    except BadInput as error:
        if len(groups) > 1:
            return sum([await append_owed(client, [group], logger) for group in groups])
        keys = [draft.key for draft in drafts]
        logger.error("answer dropped: the log cannot hold it", agent=drafts[0].stream, keys=keys, detail=str(error))
        return 0
