# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Words for the offline model: sentences, stems, and the terms that a question turns on.

Two rules. Nothing here looks at more than it is handed, and every function is a pure function of its text. A term
carries the beginnings by which it may appear, so that a scan can pass over a text with substring tests alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

READ_CHARS: Final = 4000
"""How much of one message is analysed; the rest is kept in the log and not looked at."""

_WORD: Final = re.compile(r"\w[\w.@-]*\w|\w")
_SENTENCE_END: Final = re.compile(
    r"(?<!\b[Dd]r\.)(?<!\b[Pp]rof\.)(?<!\b[Mm]r\.)(?<!\b[Mm]rs\.)(?<!\b[Mm]s\.)(?<!\b[Ss]t\.)(?<!\be\.g\.)(?<!\bi\.e\.)"
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"”’')]))\s+|(?<=[。！？])\s*|\n+"
)
_POSSESSIVE: Final = re.compile(r"['’]s\b|(?<=s)['’](?=\s|$)")
_WEAK: Final = "like love hate prefer enjoy want need go number use call get take make name start begin"
_CATEGORY: Final = """city town country place kind sort type time day date year month hour color person people language
    brand version breed"""
_ALIKE: Final = """
favourite favorite fave fav best most prefer like; color colour; name call called named; mother mum mom mommy
father dad daddy; child kid; son boy; daughter girl; birthday born birth birthdate birthplace; phone telephone mobile
bicycle bike; television tv; buy purchase; flat apartment house home live
live home reside move stay based; age old years turn; allergic allergy
work job profession occupation employer career company firm startup; car vehicle; begin start; end finish
boss manager report; cost price pay expensive fee rent; doctor gp doc; appointment visit; fly flight plane
trip travel journey holiday vacation
teach teacher; learn study; study student; book novel; film movie; own owner belong; responsible charge handle own
wife spouse husband; run running jog; email mail e-mail; password passcode
pin code; medication medicine pill; origin from; game match
exam test; parked park; hobby enjoy collect; dislike hate stand detest; surname last
tall height high; weigh weight heavy kilo kg; earn salary income wage; size big large; owe debt
support fan; due deadline
"""
"""Words that may stand for one another. Kept short on purpose: a wrong synonym is worse than a search."""
_WIDER: Final[dict[str, str]] = {
    "pet": "dog cat rabbit hamster parrot horse fish", "child": "son daughter twin boy girl", "parent": "mother father",
    "sibling": "sister brother", "spouse": "wife husband", "relative": "sister brother mother father aunt uncle cousin",
    "family": "sister brother mother father wife husband son daughter child", "drive": "car",
    "car": "drive", "bicycle": "ride", "cat": "kitten tabby",
    "dog": "puppy beagle terrier labrador lab retriever poodle collie spaniel dachshund husky bulldog pitbull mutt",
}  # fmt: skip
"""What a question's word may also be called by in a statement."""
_FRAME: Final = re.compile(
    r"^\W*(?:(?:and|so|hey|ok|okay|hi|hello|please|wait)\b[\s,]*)*(?:(?:can|could|would|will) you\s+)?(?:please\s+)?"
    r"(?:(?:tell|remind|show|give|find|list|summari[sz]e|recap|search|look up|look for)\b(?:\s+(?:me|us|for|out|about"
    r"|of))*"
    r"|(?:do|did) you (?:still )?(?:know|remember|recall|think)\b|i (?:forgot|forget)\b)?",
    re.I,
)
"""What only leads to the question. A word such as search counts where it stands inside of it."""
_MEASURE: Final = re.compile(r"\bhow (?:old|long|far|tall|big|large|high|heavy|late|early|soon)\b", re.I)
_SPECIAL: Final = (
    (re.compile(r"\bcall me\b", re.I), "call"),
    (re.compile(r"\bwhere\b.*\b(?:i|we)\b.*\bfrom\b", re.I), "from"),
    (
        re.compile(r"\bwho am i\W*$|\bwhat am i called\b|\bmy (?:full |first |last |real )?name\b(?! of)", re.I),
        "name",
    ),
)
_SORT: Final = re.compile(
    r"(?i)\W*(?:what|which) (?!(?:is|are|was|were|do|does|did|can|have|has|should|am"
    r"|will)\b)(?:[\w'’-]+ ){0,2}?([\w'’-]+) (?:is|are|was|were|do|does|did|can|have|has|should|am|will)\b"
    r"|\W*where (?:are|do|will) (?:i|we) (?:go|going|travel\w*|fly\w*|head\w*) .*\b(vacation|holidays?|trip)\W*$"
)
"""What sort of thing is asked for ("which car do I drive?"): an answer need not name it."""
_OWNER: Final = re.compile(r"(\w[\w-]*)(?:['’]s|(?<=s)['’])\s+\w", re.I)
WORK: Final = re.compile(
    r"\bwhat(?:['’]s| is| do(?:es)?| did| are)\b.{1,40}?\b(?:do(?: for (?:a living|work)| before .+)?"
    r"|job|profession)\W*$",
    re.I,
)


def vocabulary(text: str) -> frozenset[str]:
    """The words of a text, as a set: for the word lists below and in the sibling modules."""
    return frozenset(text.split())


STOP: Final = vocabulary(
    """a an the this that these those i me my mine myself we us our ours you your yours he him his she her hers it
    its they them their theirs is are was were be been being am do does did doing done have has had having will
    would shall should can could may might must not no nor and or but if then else so as at by for from in into
    of off on onto out over to up down with without about what which who whom whose where when why how there
    here again ever any anything some something thing things tell told tells telling say said says remember
    recall know knew known mention mentioned please just also too very really now still s t m re ve ll d don
    didn isn wasn doesn won shouldn couldn wouldn aren weren hasn haven hadn
    let hi hello hey ok okay well oh yes earlier before previously already because since
    than until while got currently actually exactly many much often lot used anymore user whats wheres
    whos hows happened become another other else dont doesnt didnt isnt wasnt arent werent im ive havent hasnt"""
)

KIN: Final = vocabulary(
    """sister brother mother father mom mum dad parents wife husband partner girlfriend boyfriend fiancee fiance
    son daughter child kid kids children baby aunt uncle cousin niece nephew grandmother grandfather grandma
    grandpa friend boss manager colleague neighbour neighbor roommate flatmate teacher doctor dentist landlord twin
    twins sisters brothers sons daughters dog cat puppy kitten rabbit hamster parrot horse fish bird pet pets
    dogs cats"""
)
_FORMS: Final = vocabulary(
    """went:go gone:go bought:buy brought:bring sold:sell ran:run met:meet saw:see seen:see ate:eat eaten:eat
    drank:drink drove:drive driven:drive wrote:write written:write spoke:speak spoken:speak taught:teach
    learnt:learn began:begin begun:begin broke:break broken:break flew:fly flown:fly grew:grow kept:keep left:leave
    lost:lose paid:pay sang:sing slept:sleep spent:spend stood:stand swam:swim swum:swim took:take taken:take
    thought:think threw:throw wore:wear won:win built:build caught:catch chose:choose chosen:choose fell:fall
    found:find gave:give given:give got:get heard:hear held:hold hid:hide hidden:hide led:lead made:make rode:ride
    going:go sent:send sat:sit stole:steal stolen:steal told:tell woke:wake children:child wives:wife knives:knife
    people:person men:man women:woman feet:foot teeth:tooth mice:mouse lives:live dying:die died:die"""
)
"""Forms that no rule of endings gives."""


def sentences(text: str) -> list[str]:
    """The sentences of a text, stripped, none empty."""
    if "\n" not in text and ". " not in text and "? " not in text and "! " not in text:
        alone = text.strip()
        if alone.isascii():
            return [alone] if alone else []
    return [part for part in (raw.strip() for raw in _SENTENCE_END.split(text)) if part]


def words(text: str) -> list[str]:
    return _WORD.findall(_POSSESSIVE.sub(" ", text))


def clip(text: str, chars: int) -> str:
    """`text` on one line, in at most `chars` characters, cut at a word where one ends near."""
    flat = " ".join(text[: chars * 4].split())
    if len(flat) <= chars:
        return flat
    cut = flat[: chars - 1]
    at_word = cut.rfind(" ")
    return (cut[:at_word] if at_word > chars * 2 // 3 else cut) + "…"


def plain(text: str) -> str:
    """`text` without case and punctuation: two texts that differ in neither are the same."""
    return " ".join(_WORD.findall(text.lower()))


_BASE: Final = dict(pair.split(":") for pair in _FORMS)


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The stem of a lower-case word: endings and irregular forms taken off."""
    return _stripped(_BASE.get(word, word))


def _stripped(word: str) -> str:
    if len(word) <= 3 or not word.isalpha():
        return word
    for suffixes in ((("ies", 5), ("es", 5), ("s", 4)), (("ing", 6), ("ed", 5), ("ly", 6), ("ic", 7))):
        for suffix, least in suffixes:
            if word.endswith(suffix) and len(word) >= least and not word.endswith("ss"):
                word = word[: -len(suffix)]
                break
    if len(word) > 3 and (word[-1] == "y" or word.endswith("ie")):
        word = word.removesuffix("ie").removesuffix("y")
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


@lru_cache(maxsize=1)
def _alike() -> dict[str, frozenset[str]]:
    """Each stem's other names: those of its groups."""
    groups = [frozenset(map(stem, group.split())) for group in re.split(r"[;\n]", _ALIKE)]
    return {each: frozenset[str]().union(*(g for g in groups if each in g)) for group in groups for each in group}


@lru_cache(maxsize=20_000)
def alike(each: str) -> str:
    """One name for a stem and all that may stand for it, or for one of those."""
    held = {each}
    while more := {near for one in held for near in _alike().get(one, ())} - held:
        held |= more
    return min(held)


@lru_cache(maxsize=1024)
def stems(text: str) -> frozenset[str]:
    return frozenset([stem(word) for word in words(text.lower())])


_NARROWER: Final = {stem(word): stems(narrower) for word, narrower in _WIDER.items()}


class Term(msgspec.Struct, frozen=True):
    """A word that a question turns on. `stem` is it, `near` may stand for it; `starts`: how its surface forms begin."""

    word: str
    stem: str
    near: frozenset[str]
    starts: tuple[str, ...]
    weight: float
    required: bool = False

    def found(self, held: frozenset[str]) -> float:
        """How much of the term is among the stems: all, most of it by another name, or nothing."""
        return 1.0 if self.stem in held else 0.8 if not self.near.isdisjoint(held) else 0.0


def term(word: str, weight: float = 1.0, required: bool = False, also: frozenset[str] = frozenset()) -> Term:
    main = stem(word.lower())
    same = _alike().get(main, frozenset()) | {main}
    near = same.union(also, *(_NARROWER.get(each, frozenset()) for each in same)) - {main}
    surfaces = [main, *near, *(form for form, base in _BASE.items() if stem(base) == main or stem(base) in near)]
    return Term(word.lower(), main, near, tuple(dict.fromkeys(surfaces)), weight, required)


def terms(question: str, names: Mapping[str, frozenset[str]]) -> tuple[Term, ...]:
    """The terms of a question, in its order: content words, weighed by how much each says. `names`: by which other
    stems somebody goes ("sister": "ana")."""
    for pattern, word in _SPECIAL:
        if pattern.search(question):
            return (term(word),)
    asked = _MEASURE.sub(" ", _FRAME.sub("", question, count=1))
    owners = {owner.lower() for owner in _OWNER.findall(asked)} - STOP - {"what", "who", "where", "let", "that"}
    shouted, sort = question.isupper(), _SORT.match(asked)
    kind = (sort[1] or sort[2]).lower() if sort else ""
    kept: dict[str, Term] = {}
    for position, word in enumerate(words(asked)):
        low = word.lower()
        if low in STOP or stem(low) in kept or (len(low) == 1 and low.isascii() and not low.isdigit()):
            continue
        proper = not shouted and ((position > 0 and word[0].isupper()) or any(c.isdigit() for c in word))
        weight = 0.05 if low == kind and not proper else _weight(low, proper, low in owners)
        also = "fly drive travel book" if sort and sort[2] else "shift" if low == "work" and "hours" in asked else ""
        kept[stem(low)] = term(low, weight, low in owners, names.get(stem(low), frozenset()) | stems(also))
    if WORK.search(question):
        kept = {each: t for each, t in kept.items() if "work" not in t.near and each not in ("work", "liv")}
        kept = kept or {"work": term("work")}
    if re.search(r"\bwhere\b.*\bfrom\W*$", question, re.I):
        kept["from"] = term("from")
    measured = _MEASURE.search(question)
    if not kept and measured:
        kept["measure"] = term(measured[0].split()[-1])
    found = tuple(kept.values())
    best = not _alike()["favourit"].isdisjoint(kept)  # the favourite what, is asked then
    most = max((t.weight for t in found), default=1.0)
    return tuple(msgspec.structs.replace(t, weight=max(t.weight / min(most, 1.0), best)) for t in found)


def _weight(low: str, proper: bool, owner: bool) -> float:
    weight = 0.05 if stem(low) in stems(_CATEGORY) else 0.5 if stem(low) in stems(_WEAK) else 1.0
    return 2.0 if proper else 1.5 if owner else weight
