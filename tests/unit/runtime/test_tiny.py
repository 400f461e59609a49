"""foz-tiny in a real engine: what it must answer, what it may miss, and that what was said before does not matter."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from foz.runtime import tiny
from foz.testing.engine import Engine
from scripts.tiny.bpe import CUTS
from scripts.tiny.corpus import LANGUAGES, LONGEST, Corpus, answers, let_through, load, parse
from scripts.tiny.export import vocabulary
from scripts.tiny.trial import PROBES, SURPRISES, Message, probes, reply, tried, user

SYSTEMS = [
    "You are a helpful assistant.",
    "You are a pirate. Answer in rhyme and never greet anybody.",
    "Responda sempre em português, em uma frase.",
    "你是一位严谨的法律顾问，只用中文回答。",
    'Return JSON only: {"answer": string}. Hello!',
    "x" * 3000,
]  # fmt: skip
TURNS: list[list[Message]] = [
    [user("What is the capital of France?"), {"role": "assistant", "content": "Paris."}],
    [user("Olá"), {"role": "assistant", "content": reply("pt", "hello")}],
    [user("你是谁？"), {"role": "assistant", "content": reply("zh", "who are you")}],
    [
        user("My name is Ana."),
        {"role": "assistant", "content": "Hello Ana!"},
        user("x"),
        {"role": "assistant", "content": "y"},
    ],
]
FIRM = {
    "Hello!": ("en", "hello"),
    "hi": ("en", "hello"),
    "Good morning": ("en", "morning"),
    "How are you?": ("en", "how are you"),
    "Who are you?": ("en", "who are you"),
    "Olá!": ("pt", "hello"),
    "oi": ("pt", "hello"),
    "Bom dia": ("pt", "morning"),
    "Tudo bem?": ("pt", "how are you"),
    "你好": ("zh", "hello"),
    "您好！": ("zh", "hello"),
    "早上好": ("zh", "morning"),
    "What is the capital of France?": ("en", "fallback"),
    "Write a poem about the sea.": ("en", "fallback"),
    "Qual é a capital da França?": ("pt", "fallback"),
    "法国的首都是哪里？": ("zh", "fallback"),
}
"""What it must never miss."""
SHARES = {PROBES: (0.95, 0.92), SURPRISES: (0.75, 0.9)}
"""What must be right on any machine, of what it knows and what not; docs/concepts/foz-tiny.md tells the counts."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(tiny.FILE)


def test_it_is_smaller_than_a_megabyte() -> None:
    """The file has less than 1,000,000 bytes."""
    assert tiny.FILE.stat().st_size < 1_000_000


def test_a_wheel_of_foz_holds_it() -> None:
    """Who installs foz gets the file."""
    root = Path(__file__).parents[3]
    held = {file.distribution_path for file in WheelBuilder(str(root)).recurse_included_files()}

    assert str(tiny.FILE.relative_to(root / "src")) in held


@pytest.mark.parametrize("name", SHARES)
def test_it_answers_what_is_asked(engine: Engine, name: str) -> None:
    """Of each list, the shares named for it are answered as the text says, letter by letter."""
    right: Counter[bool] = Counter()
    total: Counter[bool] = Counter()
    for probe in probes(name):
        known = probe.meant != "fallback"
        total[known] += 1
        right[known] += tried(engine, probe).right

    known_share, unknown_share = SHARES[name]
    assert right[True] >= known_share * total[True]
    assert right[False] >= unknown_share * total[False]


@pytest.mark.parametrize("asked", FIRM)
def test_plain_greetings_and_questions_are_never_missed(engine: Engine, asked: str) -> None:
    """The commonest greetings, and the commonest questions, get their one answer."""
    said = engine.say([user(asked)])

    assert (said.text, said.end) == (reply(*FIRM[asked]), "stop")


@pytest.mark.parametrize("asked", FIRM)
def test_it_shouts_back_nothing(engine: Engine, asked: str) -> None:
    """Capital letters, small letters and blanks around make no difference."""
    plain = engine.say([user(asked.lower())])

    assert engine.say([user(f"  {''.join(c.upper() if c.isascii() else c for c in asked)}\n")]) == plain


@pytest.mark.parametrize("system", SYSTEMS, ids=range(len(SYSTEMS)))
def test_it_heeds_no_system_message(engine: Engine, system: str) -> None:
    """Whatever the system's message is, each answer is the one without it."""
    for asked in FIRM:
        assert engine.say([{"role": "system", "content": system}, user(asked)]) == engine.say([user(asked)])


@pytest.mark.parametrize("turns", TURNS, ids=range(len(TURNS)))
def test_it_has_no_memory(engine: Engine, turns: list[Message]) -> None:
    """Whatever was said before, each answer is the one to the last message alone."""
    for asked in FIRM:
        assert engine.say([*turns, user(asked)]) == engine.say([user(asked)])


def test_parts_are_heard_as_one_text(engine: Engine) -> None:
    """A message in parts is answered as its text is."""
    parts = [{"type": "text", "text": "How are"}, {"type": "text", "text": "you?"}]

    assert engine.say([{"role": "user", "content": parts}]).text == reply("en", "how are you")


@pytest.mark.parametrize("asked", ["lorem ipsum dolor sit amet " * 400, "长城有多长？" * 900])
def test_long_texts_end(engine: Engine, asked: str) -> None:
    """Texts many times longer than what it reads are answered: the answer begins as the fallback, and ends."""
    said = engine.say([user(asked)])

    assert said.end == "stop"
    assert said.text.startswith(tuple(reply(language, "fallback")[:5] for language in LANGUAGES))


def test_every_answer_is_a_sentence_of_its_own(engine: Engine) -> None:
    """To 300 texts that it was not trained on it says one of its sentences, letter by letter, and ends."""
    pairs = list(islice(Corpus(77).pairs(), 300))
    told = [engine.say([user(pair.asked)]) for pair in pairs]
    odd = [said.text for said in told if said.end != "stop" or said.text not in answers()]

    assert len(odd) <= 3, odd


def test_it_reads_what_it_learned_to_read(engine: Engine) -> None:
    """The engine cuts 300 texts of any script into as many tokens as the trainer did."""
    known = vocabulary(tiny.FILE)
    pairs = [pair for pair in islice(Corpus(78).pairs(), 300) if pair.asked == let_through(pair.asked)]

    for pair in pairs:
        read = engine.say([user(pair.asked)], tokens=1).asked
        assert read == len([known.user, *known.encode(pair.asked), known.end, known.model]), pair.asked


def test_the_same_is_said_twice(engine: Engine) -> None:
    """Another engine with the same file says the same at temperature 0."""
    other = Engine(tiny.FILE)

    assert [engine.say([user(asked)]) for asked in FIRM] == [other.say([user(asked)]) for asked in FIRM]


def test_patterns_say_each_of_their_alternatives() -> None:
    """A pattern gives each sentence that it stands for, and one whose bracket stays open is refused."""
    dice = Corpus(1)

    assert {dice.fill("(hi|hey)( you|), \\(x\\)", "en") for _ in range(100)} == {
        "hi you, (x)",
        "hey you, (x)",
        "hi, (x)",
        "hey, (x)",
    }
    with pytest.raises(ValueError, match="not closed"):
        parse("(hi|hey")


def test_the_text_fits_its_own_tools() -> None:
    """Every pattern can be filled; what is asked is small, short and cut into pieces without loss."""
    dice = Corpus(2)
    for language in ("en", "pt", "zh"):
        for intent in load(language)["intent"]:
            assert all(dice.fill(pattern, language) for pattern in intent["asks"])
    for pair in islice(dice.pairs(), 2000):
        assert not any("A" <= letter <= "Z" for letter in pair.asked)
        assert len(pair.asked.encode()) <= LONGEST
        assert "".join(CUTS.findall(pair.asked)) == pair.asked
