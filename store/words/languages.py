# ruff: noqa: RUF001 (letters of other scripts that look like Latin ones)
"""Which language a text is in, told by its script and its stop words; and what is known of each language.

Rules. (1) It is a function of the text alone. (2) A text that shows none of these is taken for English, as a document;
a query that shows none is looked for in all. (3) Words that are English too tell nothing: a name or a title in an
English text does not make it Spanish. (4) A change here changes what is indexed: raise `projection.SCHEMA`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

ENGLISH: Final = "english"
LOOKED_AT: Final = 400
"""So much of a text is looked at."""


class Language(msgspec.Struct, frozen=True):
    """Its stop words; the endings by which words of one root differ beyond what a stemmer takes off; whom its pronouns
    mean; its months and days of the week, from January and Monday on."""

    stops: frozenset[str]
    endings: str = ""
    user: frozenset[str] = frozenset()
    assistant: frozenset[str] = frozenset()
    calendar: tuple[str, ...] = ()
    compounds: bool = False


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _calendar(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LANGUAGES: Final = {
    ENGLISH: Language(
        frozenset(),
        "ications? ications? iages? iers? ies ied ations? ators? ments? nesses ness ities ity ances? ences? "
        "ists? ical "
        "ic ous ions? ors? ers? ages? als? able ible ive ful ing ed y",
        _words("i me my mine"),
        _words("you your yours"),
    ),
    "german": Language(
        _words(
            "der die das den dem des ein eine einen einem einer eines und oder aber nicht kein keine keinen ich "
            "mich mir "
            "mein meine meinen meinem meiner du dich dir dein deine er sie es wir uns unser unsere ihr ihre sein "
            "seine "
            "ist sind war waren bin bist sei wird werden wurde hat haben habe hatte kann muss soll will in im an "
            "am auf "
            "aus bei mit nach von vom vor zu zum zur für fuer über um durch als wie wo wann wer was warum "
            "welche welcher welches welchen so auch noch nur schon sehr hier da dort dass wenn weil denn sich "
            "man jeden "
            "etwas gegen seit bis darf dürfen können müssen sollen wieviel wieviele viel viele wen wem wessen"
        ),
        "ischen ischer ische isch ungen ung innen in ien ie lichen lich keiten keit heit ern er en em es e te "
        "ten st t n",
        _words("ich mich mir mein meine meinen meinem meiner meins"),
        _words("du dich dir dein deine deinen deinem deiner"),
        _calendar(
            "januar februar märz april mai juni juli august september oktober november dezember "
            "montag dienstag mittwoch donnerstag freitag samstag sonntag"
        ),
        compounds=True,
    ),
    "spanish": Language(
        _words(
            "el la los las un una unos unas y o pero no ni yo me mí mi mis tú te ti tu tus su sus se le les lo "
            "nos nuestro nuestra es son era fue ser está están estoy estar hay ha han he tenía tengo tiene "
            "soy de del a al en con por para sin sobre desde hasta que qué quien quién cuando cuándo "
            "donde dónde como cómo cual cuál cuáles cuanto cuánto cuánta cuantos cuántos cuántas porque si sí muy más "
            "puedo puede pueden podemos debo debe deben debemos hace hacer quiénes "
            "también ya este esta esto ese esa eso"
        ),
        "aciones acion amientos amiento imiento mente istas ista icos icas ico ica adores ador adora eros ero "
        "era ectos "
        "ecto ectura idades idad ias ia ando iendo adas ados ada ado idas idos ido ida aron ieron amos emos ar "
        "er ir os "
        "as es o a e",
        _words("yo me mí mi mis mío mía conmigo tengo soy estoy vivo trabajo"),
        _words("tú te ti tu tus contigo dijiste"),
        _calendar(
            "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
            "lunes martes miércoles jueves viernes sábado domingo"
        ),
    ),
    "french": Language(
        _words(
            "le la les l un une des du de d et ou mais ne pas n ni je j me m moi mon ma mes tu t te toi ton ta "
            "tes il elle "
            "on nous notre nos vous votre vos ils elles leur leurs se s sa son ses ce cet cette ces c est sont "
            "était "
            "suis es être été ai as a avons ont avait avoir fait faites à au aux en dans par pour sur "
            "avec sans chez depuis que qu qui quoi quel quelle quels quelles quand où comment combien pourquoi si "
            "peut peux peuvent pouvons dois doit doivent faut quoi laquelle lequel "
            "très plus aussi y"
        ),
        "issements ements ement ations ation iques ique istes iste eurs eur euses euse ages age ies ie ees ee es "
        "er ez "
        "ent ons ais ait is it e s",
        _words("je j me moi mon ma mes suis ai"),
        _words("tu te toi ton ta tes vous votre vos"),
        _calendar(
            "janvier février mars avril mai juin juillet août septembre octobre novembre décembre "
            "lundi mardi mercredi jeudi vendredi samedi dimanche"
        ),
    ),
    "arabic": Language(
        _words(
            "في من إلى عن على مع ما "
            "ماذا أين متى كيف هل لماذا "
            "أي هو هي أنا أنت هذا هذه "
            "ذلك الذي التي كان لا لم "
            "و أو ثم قد عندي يوم دون بدون"
        ),
        "اتي ات تي ها هم نا ين ون ان ة ي ه ك",
        _words("أنا عندي لي"),
        _words("أنت لك"),
    ),
    "hindi": Language(
        _words(
            "है हैं हूँ हूं था थी थे "
            "का की के को में से पर ने और "
            "या यह वह मैं मुझे मेरा मेरी "
            "मेरे हमारा हमारी हमारे हमने "
            "हम आप तुम क्या कहाँ कहां कब "
            "कौन क्यों कैसे कितना किस सी "
            "एक भी ही नहीं तो रहा रही रहे "
            "पास केलिए लिए साथ"
        ),
        "ियों ियाँ ियां ओं ों ें ता ती ते ना ने ी ा े ो ि ु ू",
        _words("मैं मुझे मेरा मेरी मेरे"),
        _words("आप तुम आपका आपकी"),
    ),
    "chinese": Language(
        _words(
            "我 你 您 他 她 它 我们 你们 的 了 是 在 有 和 "
            "也 都 很 吗 呢 吧 啊 什么 哪里 哪儿 哪 哪个 谁 "
            "何时 多少 怎么 几 这 那 一 个 寶 不 没 要 去 就 "
            "最 对 时候 里 会 正在 叫 放"
        ),
        user=_words("我"),
        assistant=_words("你 您"),
    ),
    "japanese": Language(
        _words(
            "の は が を に で と も へ か ね よ た だ です "
            "ます まし ました い いる います ある あり "
            "あります し して て から まで どこ いつ 誰 何 "
            "どの どんな 私 僕 俺 あなた この その こと "
            "いう という な"
        ),
        user=_words("私 僕 俺 わたし"),
        assistant=_words("あなた"),
    ),
}

LIGHT: Final = _words(
    "mean stand matter wrong problem trouble issue right okay keep store find lie locate put place set go come make "
    "use work turn happen hit check look see deal complain want need take get give let able possible please new one "
    "after during between through under against other another same long mr mrs ms dr "
    "herr frau finden liegen legen machen señor señora dejar poner guardar encontrar mettre trouver laisser ranger"
)
"""Words that may be asked of any thing: what answers seldom has them."""
_SCRIPTS: Final = (
    ("japanese", re.compile("[\u3040-\u30ff]")),
    ("chinese", re.compile("[\u3400-\u9fff]")),
    ("arabic", re.compile("[\u0600-\u06ff]")),
    ("hindi", re.compile("[\u0900-\u097f]")),
)
LATIN: Final = ("german", "spanish", "french")
_ENGLISH_TOO: Final = _words(
    "die am an in so was hat bin war man will des on me no son a as la is it es sie l d t s m n y o i e pour "
    "sans tu sur do us he hier du mi se den dem per te par plus ha ton ta fait ti les sa si ser son ma tus sus "
    "han le de el los las ya"
)
_TELLING: Final = {name: LANGUAGES[name].stops - _ENGLISH_TOO for name in LATIN}
_WEAK: Final = {name: LANGUAGES[name].stops & _ENGLISH_TOO for name in LATIN}
_ENGLISH: Final = _words(
    "the a an and or of to in is are was were be it that this i my you your he she we they have has had do "
    "does did not with for on at from what when where who how which would could can will about me there"
)
_TOKEN: Final = re.compile(r"(?:[^\W\d_](?=['\u2019][^\W\d_])|[^\W\d_]{2,}|[aioy\u00e0])(?![^\W\d_])")
"""A word; one letter is none, as a unit is (m), but for those that are, and where it is short for one (s'appelle)."""
UNKNOWN_SCRIPT: Final = re.compile("[^\\W\\d_\u0000-\u024f\u1e00-\u1eff]")
"""A letter that is no Latin one: an embedder of English texts knows no words of it."""


def language_of(text: str) -> str:
    """A text's language ("": it shows none)."""
    head = text[:LOOKED_AT]
    if not head.isascii():
        for name, script in _SCRIPTS:
            if script.search(head):
                return name
    words = _TOKEN.findall(head.lower())
    english = sum(word in _ENGLISH for word in words)
    if english * 5 > len(words):
        return ENGLISH
    scores = {name: _score(name, words) for name in LATIN}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] > english:
        return best
    if "\u00df" in head:
        return "german"
    return "spanish" if "\u00bf" in head or "\u00a1" in head else ENGLISH if english else ""


def _score(name: str, words: list[str]) -> float:
    """A word that is English too counts half, and only beside another. In a table, a place or two
    called so tell nothing: of what is written in a language, an eighth are such words."""
    told = sum(word in _TELLING[name] for word in words)
    weak = sum(word in _WEAK[name] for word in words)
    score = told + weak / 2 if told or weak > 1 else 0.0
    return score if score * 8 >= len(words) else 0.0
