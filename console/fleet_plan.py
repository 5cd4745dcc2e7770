"""What it takes to have a fleet as it is wished: which agents are made, which are changed, and what is left alone.

It works over a log of this process or a running system's, and prints nothing.

Rules. (1) All of it is planned before anything is written, and every wrong entry is found. (2) What an agent may have
changed itself (core memory), and what cannot be changed (its system text), is left, and told. (3) What a file does not
say is left too: a fleet takes nothing away. (4) Applied again, a plan is empty.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from shlex import quote
from typing import Final, Literal

import msgspec

from palimpsest.actors.links.calls import StreamLog
from palimpsest.actors.models.hosted.window import ServedWindow
from palimpsest.actors.parts.process import now_ms
from palimpsest.actors.requests import births, formats, sources, zones
from palimpsest.actors.requests.births import Birth
from palimpsest.actors.requests.lifecycle import check_title, titling
from palimpsest.actors.requests.zones import AlarmLog
from palimpsest.console.settings import Flags, changes_in_words, check_change, settings_changed
from palimpsest.console.wishes import Wish, birth
from palimpsest.events.codec import draft
from palimpsest.events.context import Count
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput, UnknownSource, WindowTooSmall
from palimpsest.events.formats import BRIEF
from palimpsest.events.prompts import fitting, unborn
from palimpsest.events.servers import chosen
from palimpsest.events.state import State
from palimpsest.events.types import Settings, SettingsChanged
from palimpsest.store.logs.contract import MUST_EXIST, Append
from palimpsest.store.times.zones import named

AT_ONCE: Final = 200

Served = Callable[[Flags], Awaitable[ServedWindow]]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one agent: what is `said` to change, and what differs and is `left`, with what to do."""

    agent: str
    did: Literal["made", "changed", "unchanged"]
    said: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class FleetPlan(msgspec.Struct, frozen=True):
    """What is to be done, by agent (`attached`: by source), and what is `wrong` with the wishes, by agent."""

    births: list[Birth]
    settings: dict[str, Settings]
    plain: list[str]
    """Agents whose window is large enough for more than few words."""
    titles: dict[str, str]
    zones: dict[str, str]
    attached: dict[str, list[str]]
    done: list[Done]
    wrong: dict[str, str]


async def planned(
    log: StreamLog, wishes: Sequence[Wish], environ: Mapping[str, str], count: Count, served: Served
) -> FleetPlan:
    """What it takes to have these agents. Nothing is written."""
    planning = _Planning(log, environ, count, served)
    await planning.look_at_sources(wishes)
    left = iter(wishes)
    while part := list(islice(left, AT_ONCE)):
        states = await log.states({wish.agent: None for wish in part})
        for wish in part:
            await planning.take(wish, states.get(wish.agent))
    return planning.plan


class _Planning:
    def __init__(self, log: StreamLog, environ: Mapping[str, str], count: Count, served: Served) -> None:
        self.plan = FleetPlan([], {}, [], {}, {}, {}, [], {})
        self._log = log
        self._environ = environ
        self._count = count
        self._ask = served
        self._windows: dict[tuple[str, str], ServedWindow] = {}
        self._unknown: dict[str, UnknownSource] = {}
        self._fitting: set[tuple[object, ...]] = set()

    async def look_at_sources(self, wishes: Iterable[Wish]) -> None:
        for name in dict.fromkeys(name for wish in wishes for name in wish.sources):
            try:
                await sources.known(self._log, name)
            except UnknownSource as error:
                self._unknown[name] = error

    async def take(self, wish: Wish, state: State | None) -> None:
        try:
            for name in wish.sources:
                if name in self._unknown:
                    raise self._unknown[name]
            window = await self._served(wish.flags)
            if state is None:
                self._make(wish, window)
            else:
                self._change(wish, state, window)
        except (BadInput, UnknownSource, WindowTooSmall) as error:
            self.plan.wrong[wish.agent] = str(error)

    async def _served(self, flags: Flags) -> ServedWindow:
        """What its server says of its window, asked once."""
        key = flags.base_url, flags.model
        if key not in self._windows:
            self._windows[key] = await self._ask(flags)
        return self._windows[key]

    def _make(self, wish: Wish, window: ServedWindow) -> None:
        made = birth(wish, self._environ, self._count, window)
        if made.sources:
            self._check_sources(unborn(made.born), made.sources)
        self.plan.births.append(made)
        self.plan.done.append(Done(agent=wish.agent, did="made"))

    def _check_sources(self, state: State, names: Sequence[str]) -> None:
        """Raises WindowTooSmall where the functions on documents do not fit."""
        key = state.settings, state.system, state.blocks, state.format, bool(state.sources)
        if key not in self._fitting:
            sources.check_window(state, names[0])
            self._fitting.add(key)

    # --- an agent that there is

    def _change(self, wish: Wish, state: State, window: ServedWindow) -> None:
        plan, said = self.plan, []
        if changed := self._settings(wish, state, window):
            plan.settings[wish.agent] = changed
            said.append(changes_in_words(chosen(state), changed))
            if BRIEF in state.format and BRIEF not in fitting(state.format, changed.window_tokens):
                plan.plain.append(wish.agent)
        if wish.title is not None and wish.title.strip() != state.title:
            check_title(wish.title.strip())
            plan.titles[wish.agent] = wish.title.strip()
            said.append(f"title “{wish.title.strip()}”" if wish.title.strip() else "no title")
        if wish.flags.timezone and named(wish.flags.timezone) != (state.zone or "UTC"):
            plan.zones[wish.agent] = named(wish.flags.timezone)
            said.append(f"time zone {plan.zones[wish.agent]}")
        had = state.sources if state.next_sources is None else state.next_sources
        if fresh := [name for name in wish.sources if name not in had]:
            self._check_sources(msgspec.structs.replace(state, settings=changed or chosen(state)), fresh)
            for name in fresh:
                plan.attached.setdefault(name, []).append(wish.agent)
            said.append(f"sources: {', '.join(fresh)}")
        left = tuple(_left(wish, state))
        plan.done.append(Done(agent=wish.agent, did="changed" if said else "unchanged", said=tuple(said), left=left))

    def _settings(self, wish: Wish, state: State, window: ServedWindow) -> Settings | None:
        changed = settings_changed(chosen(state), wish.flags, self._environ, window)
        if changed:
            check_change(state, changed, self._count, window)
        return changed


def _left(wish: Wish, state: State) -> Iterable[str]:
    """What is otherwise than it is wished, and stays so."""
    blocks = {block.label: block for block in state.blocks}
    for label, section in wish.sections.items():
        if label not in blocks:
            fork = f"`fork {quote(state.agent)} --as NAME --set {label}=TEXT`"
            yield f"it has no section '{label}', and gets none: sections are made with the agent ({fork})"
        elif section.text is not None and section.text != blocks[label].value:
            yield f"its section '{label}' is otherwise by now: `blame {quote(state.agent)}` shows who wrote it"
    if wish.system is not None and wish.system != state.system:
        fork = f"`fork {quote(state.agent)} --set system=@FILE`"
        yield f"its system text is the one that it was made with: {fork} makes an agent with another"
    if state.retired:
        yield f"it is retired: `retire --undo {quote(state.agent)}` takes it back"


# --- doing it -----------------------------------------------------------------------------------------------------


async def apply(log: AlarmLog, plan: FleetPlan) -> None:
    """Carry out a plan. What another did meanwhile is not undone: given again, the rest is done."""
    if plan.wrong:
        raise BadInput("What is planned is wrong in places: nothing was made or changed.")
    await births.create(log, plan.births)
    key = uuid.uuid4().hex
    changed = [
        draft(agent, now_ms(), SettingsChanged(settings=settings), key=f"settings:{key}")
        for agent, settings in plan.settings.items()
    ]
    await _append(log, [*changed, *(titling(agent, title) for agent, title in plan.titles.items())])
    for agent in plan.plain:
        await formats.change(log, agent, remove=(BRIEF,))
    for agent, zone in plan.zones.items():
        await zones.change(log, agent, zone)
    for name, agents in plan.attached.items():
        await sources.attach(log, name, agents)


async def _append(log: StreamLog, drafts: Iterable[Draft]) -> None:
    left = iter(drafts)
    while part := tuple(islice(left, AT_ONCE)):
        await log.append(Append(part, {each.stream: MUST_EXIST for each in part}))
