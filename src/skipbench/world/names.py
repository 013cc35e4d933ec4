"""Names and words of the closed world: invented proper names, ordinary common nouns.

Proper names are put together from syllables, so no answer can be known from anywhere else.
"""

from random import Random

PROFESSIONS = (
    "baker", "carpenter", "dentist", "farmer", "florist", "glazier", "goldsmith", "jeweller",
    "judge", "lawyer", "librarian", "mason", "nurse", "painter", "pilot", "plumber", "potter",
    "printer", "sailor", "sculptor", "shepherd", "surgeon", "tailor", "teacher", "vet", "weaver",
    "welder", "waiter", "cook", "miner",
)  # fmt: skip
INSTRUMENTS = (
    "banjo", "bassoon", "cello", "clarinet", "cornet", "drum", "fiddle", "flute", "gong", "guitar",
    "harp", "horn", "lute", "lyre", "piano", "sitar", "trombone", "trumpet", "tuba", "zither",
)  # fmt: skip
ANIMALS = (
    "badger", "beaver", "cat", "crow", "dog", "donkey", "duck", "ferret", "fox", "goat", "goose",
    "hamster", "hare", "heron", "horse", "lizard", "parrot", "pigeon", "rabbit", "raven", "snake",
    "spider", "swan", "toad", "tortoise", "weasel",
)  # fmt: skip
PRODUCTS = (
    "bells", "boots", "bricks", "brooms", "candles", "carpets", "chairs", "clocks", "combs",
    "engines", "forks", "gloves", "kettles", "ladders", "lamps", "lenses", "mirrors", "needles",
    "paints", "pumps", "ropes", "sails", "soaps", "tents", "tiles", "toys",
)  # fmt: skip
GENRES = (
    "ballad", "comedy", "diary", "drama", "fable", "farce", "hymn", "memoir", "mystery", "novel",
    "opera", "parody", "poem", "romance", "satire", "tragedy",
)  # fmt: skip
FOODS = (
    "beans", "bread", "cake", "carrots", "cheese", "figs", "honey", "lentils", "noodles", "pears",
    "plums", "rice", "salad", "soup", "stew", "walnuts",
)  # fmt: skip
COLOURS = (
    "black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_ONSETS = "b br c ch d dr f fl g gr h j k l m n p pr qu r s sh st t th tr v w y z".split()
_VOWELS = "a e i o u ae ei io ou".split()
_CODAS = "l m n r s sk th nd rn x ll ss".split()
_ENDINGS = {
    "first": ("a", "o", "en", "is", "el"),
    "last": ("berg", "kin", "son", "dale", "wick", "mar"),
    "city": ("ford", "ville", "port", "holm", "gard", "minster"),
    "country": ("ia", "land", "mark", "stan"),
    "river": ("ow", "ern", "une"),
    "company": ("co", "tek", "works", "corp", "line"),
    "work": ("ade", "iad", "ance", "ety"),
}


def invented(kind: str, count: int, rng: Random, taken: set[str]) -> tuple[str, ...]:
    """`count` new capitalised names of one kind, none of them in `taken` (which grows)."""
    names: list[str] = []
    while len(names) < count:
        stem = rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
        name = (stem + rng.choice(_ENDINGS[kind])).capitalize()
        if name not in taken:
            taken.add(name)
            names.append(name)
    return tuple(names)
