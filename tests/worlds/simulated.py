"""A seeded world: the real decide, evolve, fold caches and log, driven by a scheduler that loves accidents.

One random generator makes every choice, so a seed is a run: a failing seed replays. Parts are dropped at any point
between two of their actions (a crash), answers of the log get lost after the commit, workers come in any order, clients
send again, models fail, babble, stall or answer twice.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable

import msgspec

from palimpsest.events.codec import answer, decode, draft
from palimpsest.events.counting import compared
from palimpsest.events.envelope import Draft, Envelope, answer_key
from palimpsest.events.errors import Fenced
from palimpsest.events.formats import NEWBORN, PARTS
from palimpsest.events.inference import InferenceDesk, Job, job, sent
from palimpsest.events.lifecycle import reinstating, retiring
from palimpsest.events.memory_manager import FOREIGN, MemoryManager
from palimpsest.events.position import FIRST_PARTITION, Position
from palimpsest.events.prompts import newborn
from palimpsest.events.types import (
    AlertRaised,
    Event,
    FunctionCalled,
    FunctionReturned,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    Server,
    Settings,
    SettingsChanged,
    SourceAttached,
    SourceDetached,
    StopRequested,
    Timer,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TimeZoneSet,
    TitleChanged,
    ToolCall,
    UploadFinished,
    Usage,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import Opens
from palimpsest.store.logs.contract import MUST_EXIST, Append, Appended
from palimpsest.store.logs.in_memory import InMemoryLog, Volume
from palimpsest.store.logs.states import load, snapshot_of
from palimpsest.store.times.zones import offset_s
from tests.simulation.promises import Watch

START_MS = 1_763_800_000_000


def count(_encoding: str, text: str) -> int:
    """A tokenizer of the simulation's own: four characters a token."""
    return (len(text) + 3) // 4


FALLBACKS = (Server(model="other"), Server(model="small", window_tokens=3600, encoding="other"))
"""Of which an agent has none, one or both."""

ACCIDENTS = (
    "a part crashed",
    "the manager",
    "an LLM processor",
    "the log's writer",
    "everybody but the log",
    "a client sent again",
    "a client stopped a turn",
    "a client stopped whatever ran",
    "a client's stop came too late",
    "a client cancelled a timer",
    "a client retired an agent",
    "a client took an agent back",
    "an input came to a retired agent",
    "the manager died before its append",
    "the manager died after its append",
    "a dead manager's append arrived",
    "the log's answer got lost",
    "a plan was overtaken",
    "what followed from an answer was overtaken",
    "an inference was cancelled",
    "a cancelled inference went on",
    "a model was slow",
    "a timer was late",
    "a model failed",
    "a model answers once more",
    "an answer came twice, or too late",
)
"""All that goes wrong on purpose in a world, by the names under which it is counted."""

Model = Callable[[Job], InferenceCompleted | InferenceFailed]


def sound_model(asked: Job) -> InferenceCompleted | InferenceFailed:
    """A model whose answer hangs on nothing but the request: talk, edits, searches, inserts, timers, failures."""
    dice = random.Random(hashlib.sha256(asked.request).digest())
    if asked.purpose == "summary":
        return _summary(dice, asked)
    found = compared(asked.parts, [len(t) // 5 + 1 for part in asked.parts for t in part.texts], asked.held_tokens)
    if found and found.tokens * asked.margin > asked.budget_tokens:
        return InferenceFailed(error="overflow", detail="the server counts more", counted=found)
    roll = dice.random()
    if roll < 0.03:
        return InferenceFailed(error="overflow", detail="the context is too long", sent=sent(asked))
    if roll < 0.05:
        return InferenceFailed(error="server_error", detail="the server fell over", sent=sent(asked))
    if roll < 0.09:
        part = dice.choice(PARTS).name
        return InferenceFailed(error="bad_request", detail="not so", sent=sent(asked), mended_by=(part,))
    calls, content = _answer(dice)
    return InferenceCompleted(content=content, calls=calls, usage=_usage(asked), sent=sent(asked), counted=found)


_NO_TURN = (SettingsChanged, TimeZoneSet, SourceAttached, SourceDetached, TitleChanged)
ZONES = ("America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata")
MODELS = ("offline", "counts", "cuts")
"""The last two say what they counted: one more than we do, one never more than so many tokens."""


def _usage(asked: Job) -> Usage:
    most = {"counts": len(asked.request) // 3, "cuts": 450}
    return Usage(prompt=most.get(asked.model, 0))


def _summary(dice: random.Random, asked: Job) -> InferenceCompleted | InferenceFailed:
    roll = dice.random()
    if roll < 0.15:
        return InferenceFailed(error="timeout", detail="no answer", sent=sent(asked))
    text = "" if roll < 0.25 else "word " * 2000 if roll < 0.35 else f"I talked about {dice.randrange(1000)}."
    return InferenceCompleted(content=text, sent=sent(asked))


def _answer(dice: random.Random) -> tuple[tuple[ToolCall, ...], str]:
    def call(name: str, /, **arguments: object) -> ToolCall:
        id = "" if dice.random() < 0.05 else f"c{dice.randrange(1000)}"
        return ToolCall(id=id, name=name, arguments=msgspec.json.encode(arguments).decode())

    say = call("send_message", message="words " * dice.randrange(1, 60))
    roll = dice.random()
    if roll < 0.05:
        return (), "" if dice.random() < 0.5 else "Just plain text."
    if roll < 0.10:
        return (ToolCall(id="x", name="send_message", arguments='{"message": "cut'),), ""
    if roll < 0.14:
        return (call("fly_to_the_moon", when="now"), say), ""
    if roll < 0.24:
        return (call("core_memory_append", name="human", content=f"Fact {dice.randrange(99)}."), say), "I keep this."
    if roll < 0.28:
        return (call("core_memory_replace", name="human", old_content="Fact", new_content=""),), ""
    if roll < 0.38:
        return (call("conversation_search", query="words", request_heartbeat=True),), "I look."
    if roll < 0.44:
        return (call("archival_memory_insert", content="long " * dice.randrange(1, 900)), say), ""
    if roll < 0.50:
        return (call("set_timer", note="tea", in_minutes=5, request_heartbeat=True), say), ""
    if roll < 0.52:
        return (call("pause_heartbeats", minutes=360), say), ""
    if roll < 0.56:
        return (call("list_timers"), call("cancel_timer", timer=f"beat-{dice.randrange(8)}"), say), ""
    if roll < 0.62:
        return (call("grep_documents", text="words", request_heartbeat=True),), "I look it up."
    return (say,), "I answer."


def searched(log: InMemoryLog, asked: Envelope, call: FunctionCalled) -> FunctionReturned:
    """A plain search of what was said before."""
    said = [
        e
        for e in log.read(asked.stream, to=asked.seq)
        if e.kind in {"UserMessageReceived", "MessageSent"} and e.seq not in call.hidden
    ]
    result = f"Showing {min(5, len(said))} of {len(said)} results" + " found" * 50
    return FunctionReturned(call=call.call, result=result[: call.max_chars], total=len(said))


def timer_of(asked: Envelope, call: FunctionCalled) -> Timer:
    return Timer(id=f"t{call.number or asked.seq}", due_ms=call.time_ms, note=str(call.arguments["note"]))


class World:
    """A partition with its parts, and a handful of agents with scripted inputs.

    `calm` leaves out every accident: the run that the others are held against.
    """

    def __init__(self, seed: int, *, agents: int = 3, inputs: int = 8, calm: bool = False, model: Model = sound_model):
        self.random = random.Random(seed)
        self.calm = calm
        self.model = model
        self.watch = Watch()
        self.accidents: Counter[str] = Counter()
        """What went wrong on purpose, and how often."""
        self.memory = Volume()
        self.log = InMemoryLog(self.memory)
        self.log.open_epoch()
        self.names = [f"agent-{i}" for i in range(agents)]
        self.now_ms = START_MS
        script = random.Random(seed)
        self.scripts = {name: self._script(script, name, inputs) for name in self.names}
        self.acknowledged: list[tuple[str, str]] = []
        self.manager = self._manager()
        self.desks = [self._desk(), self._desk()]
        self.jobs: list[tuple[Job, int]] = []
        self.late: list[Append] = []
        """Appends of managers that died: they may arrive after the next one has begun."""
        for number, name in enumerate(self.names):
            others = (Server(model="other"), Server(model="small", window_tokens=3600, encoding="other"))[
                : (seed + number) % 3
            ]
            born = newborn(
                Settings(
                    model=MODELS[(seed // 3 + number) % 3],
                    window_tokens=script.choice((3600, 4096, 6000)),
                    reserve_tokens=400,
                    encoding="server:vllm" if (seed + number) % 5 == 1 else "o200k_base",
                    fallbacks=others,
                )
            )
            born = msgspec.structs.replace(born, parts=script.choice(((), NEWBORN)))
            self._append(draft(name, START_MS, born, key="create"), expected=0)

    def _script(self, script: random.Random, name: str, inputs: int) -> list[Draft]:
        """What one agent's clients send, each with its time and the message id that its client gave it."""
        made = []
        for number in range(inputs):
            time_ms = START_MS + 60_000 * (number + 1)
            event = self._sent(script, number, time_ms)
            opens: Opens = "alarm" if isinstance(event, TimerSet) else "" if isinstance(event, _NO_TURN) else "turn"
            made.append(draft(name, time_ms, event, key=f"in:{number}", opens=opens))
        return made

    def _sent(self, script: random.Random, number: int, time_ms: int) -> Event:
        size = 12_000 if script.random() < 0.05 else script.randrange(1, 300)
        text = f"{number}: " + "hello words " * (size // 4 + 1)
        roll = script.random()
        if roll < 0.05:
            return AlertRaised(text="Disk almost full.")
        if roll < 0.08:
            return UserLoggedIn(last_login="yesterday")
        if roll < 0.12:
            return UploadFinished(source="notes.txt", detail=text)
        if roll < 0.18:
            return TimerSet(timer=Timer(id=f"beat-{number}", due_ms=time_ms + 60_000, heartbeat=True))
        if roll < 0.20:
            return SettingsChanged(settings=Settings(window_tokens=5000, reserve_tokens=500, encoding="other"))
        if roll < 0.23:
            return SourceAttached(source=f"shelf-{number}")
        if roll < 0.25:
            return SourceDetached(source=f"shelf-{number - 1}")
        if roll < 0.28:
            zone = ZONES[number % len(ZONES)]
            return TimeZoneSet(zone=zone, offset_s=offset_s(zone, time_ms))
        if roll < 0.30:
            return TitleChanged(title=f"Title {number}")
        return UserMessageReceived(text=text)

    # --- the parts

    def _manager(self) -> MemoryManager:
        """A memory manager that has just started: it reads its cursor, and what is owed."""
        manager = MemoryManager(count, offset_s, capacity=2, snapshot_every=12)
        manager.position = self.log.cursor("memory", FIRST_PARTITION)
        for agent in dict.fromkeys(envelope.stream for envelope in self.log.open_requests("turn", FIRST_PARTITION)):
            state = load(self.log, agent)
            assert state is not None, "promise 1: an open input has a stream"
            manager.owe(state)
        return manager

    def _desk(self) -> tuple[InferenceDesk, list[Position]]:
        return InferenceDesk(capacity=2), [self.log.position(FIRST_PARTITION)]

    def _append(self, *drafts: Draft, expected: int | None = None) -> list[Appended]:
        wanted = {} if expected is None else {draft.stream: expected for draft in drafts}
        return self.log.append([Append(drafts, wanted)])[0]

    def _chance(self, share: float, accident: str) -> bool:
        """Whether an accident happens; it is counted."""
        if self.calm or self.random.random() >= share:
            return False
        self.accidents[accident] += 1
        return True

    # --- steps

    def step(self) -> bool:
        """One action of one part, picked by chance; False if nothing at all was left to do."""
        if self.late and self.random.random() < 0.5:
            self.log.append([self.late.pop()])
        actions = [self._client, self._manage, self._serve, self._think, self._store, self._ring]
        self.random.shuffle(actions)
        self.now_ms += 0 if self.calm else self.random.randrange(5000)
        if self._chance(0.03, "a part crashed"):
            self._crash()
        return any(action() for action in actions)

    def run(self) -> None:
        """Step until the world is quiet, and check the promises after every step."""
        steps = 0
        while self.step():
            steps += 1
            assert steps < 20_000, "the world does not come to rest: something is owed and nobody does it"
            self.watch.look(self.log)
            assert not self.manager.broken, f"an agent was set aside: {self.manager.broken}"
            assert not any(desk.broken for desk, _ in self.desks), "an agent was set aside"

    def _crash(self) -> None:
        """A part dies and starts again, knowing only the log. With the log's writer, a new epoch."""
        victim = self.random.randrange(4)
        self.accidents[("the manager", "an LLM processor", "the log's writer", "everybody but the log")[victim]] += 1
        if victim == 0:
            self.manager = self._manager()
        elif victim == 1:
            self._restart_desk(self.random.randrange(2))
        elif victim == 2:
            old, self.log = self.log, InMemoryLog(self.memory)
            self.log.open_epoch()
            self._check_fenced(old)
        else:
            self.manager = self._manager()
            for index in range(2):
                self._restart_desk(index)

    def _restart_desk(self, index: int) -> None:
        """An LLM processor comes back: what was in flight there is gone, and what is open is run again."""
        self.desks[index] = self._desk()
        self.jobs = [(job, owner) for job, owner in self.jobs if owner != index]
        for envelope in self.log.open_requests("inference", FIRST_PARTITION):
            self._take_up(envelope, index)

    def _take_up(self, envelope: Envelope, index: int) -> None:
        state = load(self.log, envelope.stream, to=envelope.seq)
        event = decode(envelope)
        assert state is not None and isinstance(event, InferenceRequested), "an open inference has its request"
        self.jobs.append((job(state, envelope, event), index))

    def _check_fenced(self, old: InMemoryLog) -> None:
        late = draft(self.names[0], self.now_ms, StopRequested(), key="late")
        try:
            old.append([Append((late,))])
        except Fenced:
            return
        raise AssertionError("section 3: a writer that was replaced could append")

    def _client(self) -> bool:
        """A client sends its next input, or one again; in a calm or sequential world only when the last turn ended."""
        ready = [name for name in self.names if self.scripts[name]]
        if self.acknowledged and self._chance(0.05, "a client sent again"):
            agent, key = self.random.choice(self.acknowledged)
            envelope = self.log.find(agent, key)
            assert envelope is not None, "promise 1: what was acknowledged is there"
            again = draft(agent, self.now_ms, decode(envelope), key=key, opens="turn")
            assert self._append(again)[0].outcome == "duplicate", "promise 3: a client's retry was taken twice"
        alarms = self.log.open_requests("alarm", FIRST_PARTITION) if self.stops else []
        if alarms and self._chance(0.05, "a client cancelled a timer"):
            self._cancel(self.random.choice(alarms))
        ready = [name for name in ready if self._may_send(name)]
        if not ready:
            return False
        name = self.random.choice(ready)
        if self.stops and self._retires(name):
            return True
        made = self.scripts[name].pop(0)
        if self.stops:
            self._stop(name, made.key)
        self._append(made, expected=MUST_EXIST)
        if made.opens == "turn":
            self.acknowledged.append((name, made.key))
        return True

    def _retires(self, name: str) -> bool:
        """A client retires the agent, or takes it back; or sends to a retired one what the door did not see, which
        cannot be a timer. Whether it did either."""
        state = load(self.log, name)
        assert state is not None, "promise 1: the stream is there"
        if state.retired is None:
            if not self._chance(0.04, "a client retired an agent"):
                return False
            opened = {envelope.key for envelope in self.log.open_requests_of(name, "alarm")}
            drafts = retiring(state, self.now_ms, opened=opened)
        elif self.scripts[name][0].opens == "turn" and self._chance(0.5, "an input came to a retired agent"):
            return False
        else:
            self.accidents["a client took an agent back"] += 1
            timers = [msgspec.structs.replace(timer, due_ms=self.now_ms) for timer in state.retired.timers]
            drafts = reinstating(state, self.now_ms, timers)
        outcomes = {answer.outcome for answer in self._append(*drafts, expected=state.seq)}
        assert outcomes == {"appended"}, f"the state was read a moment ago: {outcomes}"
        return True

    def _stop(self, name: str, key: str) -> None:
        """A client stops the turn that it sees, whatever runs, or a turn that has ended by the time."""
        owed = self.log.open_requests_of(name, "turn")
        ended = list(self.watch.streams[name].ended) if name in self.watch.streams else []
        if owed and self._chance(0.05, "a client stopped a turn"):
            meant = self.random.choice(owed).seq
        elif self._chance(0.03, "a client stopped whatever ran"):
            meant = 0
        elif ended and self._chance(0.05, "a client's stop came too late"):
            meant = self.random.choice(ended)
        else:
            return
        stop = StopRequested(reason="enough", input=meant)
        self._append(draft(name, self.now_ms, stop, key=f"stop:{key}"))

    def _cancel(self, alarm: Envelope) -> None:
        event = decode(alarm)
        assert isinstance(event, TimerSet), "an alarm is a timer that was set"
        gone = TimerCancelled(timer_id=event.timer.id)
        self._append(draft(alarm.stream, self.now_ms, gone, key=f"cancel:{alarm.key}", closes=alarm.key))

    stops = True
    """Whether clients sometimes stop the turn that runs, or cancel a timer."""

    sequential = False
    """Whether each client waits for its turn's end before it sends the next input."""

    def _may_send(self, name: str) -> bool:
        return not self.sequential or not self.log.open_requests_of(name, "turn")

    def _manage(self) -> bool:
        """The memory manager tails, folds, decides and appends; it may die, or lose its answer, between any two."""
        manager = self.manager
        limit = 1000 if self.calm else self.random.randrange(1, 12)
        kinds = FOREIGN if not self.calm and self.random.random() < 0.5 else None
        came, position = self.log.tail(manager.position, limit, kinds)
        envelopes = manager.concerning(came)
        for agent, to in manager.missing(envelopes).items():
            state = load(self.log, agent, to=to)
            if state:
                manager.states.put(state)
        due = manager.take(envelopes, position)
        snapshots = tuple(snapshot_of(each.state, each.chain) for each in due)
        plan = manager.plan(self.now_ms)
        if plan is None:
            return bool(came)
        append = Append(plan.drafts, plan.expected, ("memory", plan.position), snapshots)
        if self._chance(0.02, "the manager died before its append"):
            if self._chance(0.5, "a dead manager's append arrived"):
                self.late.append(append)
            self.manager = self._manager()
            return True
        answers = self.log.append([append])[0]
        if self._chance(0.03, "the manager died after its append"):
            self.manager = self._manager()
            return True
        if self._chance(0.03, "the log's answer got lost"):
            answers = self.log.append([append])[0]
        for agent in manager.settle([(d.stream, a.outcome) for d, a in zip(plan.drafts, answers, strict=True)]):
            self.accidents["a plan was overtaken"] += 1
            state = load(self.log, agent)
            assert state is not None, "promise 1: a stream that was appended to is there"
            manager.owe(state)
        return True

    def _serve(self) -> bool:
        """An LLM processor tails the log for what it is asked."""
        index = self.random.randrange(len(self.desks))
        desk, cursor = self.desks[index]
        envelopes, position = self.log.tail(cursor[0], 1000 if self.calm else self.random.randrange(1, 20))
        for agent, to in desk.missing(envelopes).items():
            state = load(self.log, agent, to=to)
            if state:
                desk.states.put(state)
        jobs, cancelled = desk.take(envelopes)
        cursor[0] = position
        self.jobs += [(job, index) for job in jobs]
        self.accidents["an inference was cancelled"] += len(cancelled)
        if not (cancelled and self._chance(0.5, "a cancelled inference went on")):
            gone = set(cancelled)
            self.jobs = [(job, owner) for job, owner in self.jobs if (job.agent, job.key) not in gone]
        return bool(envelopes)

    def _think(self) -> bool:
        """A model answers one of the jobs, in any order; sometimes twice, sometimes late."""
        if not self.jobs:
            return False
        if self._chance(0.2, "a model was slow"):
            return True
        done, owner = self.jobs.pop(self.random.randrange(len(self.jobs)))
        assert sent(done) == done.asked, "promise 2: two folds of one log rendered different bytes"
        event = self.model(done)
        if isinstance(event, InferenceFailed):
            self.accidents["a model failed"] += 1
        made = answer(done, event, self.now_ms)
        drafts, expected = self.desks[owner][0].followed(made, event, self.now_ms)
        outcome = self._append(*drafts, expected=expected)[0].outcome
        if outcome == "conflict":
            self.accidents["what followed from an answer was overtaken"] += 1
            outcome = self._append(made)[0].outcome
        assert outcome in {"appended", "duplicate"}, f"an answer was refused: {outcome}"
        if outcome == "duplicate":
            self.accidents["an answer came twice, or too late"] += 1
        if self._chance(0.1, "a model answers once more"):
            self.jobs.append((done, owner))
        return True

    def _store(self) -> bool:
        """The storage actor answers an open function: a plain search of what was said before."""
        open_ = self.log.open_requests("storage", FIRST_PARTITION)
        if not open_:
            return False
        asked = self.random.choice(open_)
        call = decode(asked)
        assert isinstance(call, FunctionCalled), "storage is asked by FunctionCalled"
        self._answer(asked, searched(self.log, asked, call))
        return True

    def _ring(self) -> bool:
        """The timer actor sets what it is asked to, and fires one that is due when nothing else happens."""
        for asked in self.log.open_requests("timer", FIRST_PARTITION):
            call = decode(asked)
            assert isinstance(call, FunctionCalled), "the timer is asked by FunctionCalled"
            timer = timer_of(asked, call)
            setting = draft(asked.stream, self.now_ms, TimerSet(timer=timer), key=f"set:{timer.id}", opens="alarm")
            self._answer(asked, FunctionReturned(call=call.call, result=f"Timer {timer.id} is set."), setting)
            return True
        for alarm in self.log.open_requests("alarm", FIRST_PARTITION):
            if self.sequential and (self.scripts[alarm.stream] or self.log.open_requests_of(alarm.stream, "turn")):
                continue
            if self._chance(0.7, "a timer was late"):
                return True
            event = decode(alarm)
            assert isinstance(event, TimerSet), "an alarm is a timer that was set"
            key = answer_key(alarm.key)
            fired = draft(
                alarm.stream, event.timer.due_ms, TimerFired(timer=event.timer), key=key, opens="turn", closes=alarm.key
            )
            self._append(fired)
            return True
        return False

    def _answer(self, asked: Envelope, event: FunctionReturned, *more: Draft) -> None:
        self._append(answer(asked, event, self.now_ms), *more)
