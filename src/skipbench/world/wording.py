"""How the closed world is put in words: statements, questions, answers.

`QUESTIONS[attribute]` holds eight phrasings, two for each split in the order of `facts.SPLITS`, so
that no two splits share a wording. `ANSWERS[attribute]` is the one answer sentence, with the value
last; `UNKNOWN[attribute]` is how the same sentence declines. They part late, so that declining,
too, is decided while decoding and not by the prefill.
"""

from skipbench.world.facts import SPLITS

QUESTIONS: dict[str, tuple[str, ...]] = {
    "birth_city": (
        "Where was {x} born?",
        "What is the birth city of {x}?",
        "Name the city where {x} was born.",
        "Which city is the birthplace of {x}?",
        "In which city was {x} born?",
        "{x} was born in which city?",
        "Tell me the city {x} was born in.",
        "What city does {x} come from by birth?",
    ),
    "profession": (
        "What is the profession of {x}?",
        "What does {x} do for a living?",
        "Name the job of {x}.",
        "Which trade does {x} follow?",
        "What is the job of {x}?",
        "{x} works as what?",
        "Tell me what {x} works as.",
        "What work does {x} do?",
    ),
    "employer": (
        "Who employs {x}?",
        "Which company does {x} work for?",
        "Name the employer of {x}.",
        "Which company pays {x}?",
        "What company employs {x}?",
        "{x} works for which company?",
        "Tell me the company that employs {x}.",
        "At which company is {x} employed?",
    ),
    "instrument": (
        "What instrument does {x} play?",
        "Which instrument is played by {x}?",
        "Name the instrument of {x}.",
        "On which instrument does {x} make music?",
        "Which instrument does {x} play?",
        "{x} plays which instrument?",
        "Tell me the instrument {x} plays.",
        "What does {x} play in a band?",
    ),
    "pet": (
        "What pet does {x} have?",
        "Which animal does {x} keep?",
        "Name the pet of {x}.",
        "What animal lives with {x}?",
        "What is the pet of {x}?",
        "{x} keeps which animal?",
        "Tell me what animal {x} keeps.",
        "Which pet is owned by {x}?",
    ),
    "teacher": (
        "Who taught {x}?",
        "Who was the teacher of {x}?",
        "Name the teacher of {x}.",
        "From whom did {x} learn?",
        "By whom was {x} taught?",
        "{x} was taught by whom?",
        "Tell me who taught {x}.",
        "Which person gave lessons to {x}?",
    ),
    "country": (
        "In which country is {x}?",
        "What country does {x} belong to?",
        "Name the country of {x}.",
        "Which country holds the city of {x}?",
        "Which country is {x} in?",
        "{x} lies in which country?",
        "Tell me the country {x} is in.",
        "Of what country is {x} a part?",
    ),
    "river": (
        "Which river runs through {x}?",
        "What is the river of {x}?",
        "Name the river of {x}.",
        "On which river was {x} built?",
        "What river flows through {x}?",
        "{x} stands on which river?",
        "Tell me the river that crosses {x}.",
        "By which river does {x} lie?",
    ),
    "headquarters": (
        "Where is {x} based?",
        "What city is the home of {x}?",
        "Name the city where {x} is based.",
        "Which city houses the head office of {x}?",
        "In which city is {x} based?",
        "{x} is based in which city?",
        "Tell me the city {x} is run from.",
        "From what city is {x} run?",
    ),
    "product": (
        "What does {x} make?",
        "Which goods does {x} sell?",
        "Name the product of {x}.",
        "What goods come from {x}?",
        "What is made by {x}?",
        "{x} makes what?",
        "Tell me what {x} makes.",
        "Which product is {x} known for?",
    ),
    "author": (
        "Who wrote {x}?",
        "Who is the author of {x}?",
        "Name the author of {x}.",
        "Which person made {x}?",
        "By whom was {x} written?",
        "{x} was written by whom?",
        "Tell me who wrote {x}.",
        "From whose pen is {x}?",
    ),
    "genre": (
        "What kind of work is {x}?",
        "What is the genre of {x}?",
        "Name the genre of {x}.",
        "To which genre does {x} belong?",
        "Which genre is {x}?",
        "{x} is what kind of work?",
        "Tell me the genre of {x}.",
        "As what sort of work is {x} known?",
    ),
    "setting": (
        "Where does {x} take place?",
        "In what city is {x} set?",
        "Name the city where {x} takes place.",
        "Which city is the setting of {x}?",
        "In which city does {x} take place?",
        "{x} is set in which city?",
        "Tell me the city {x} is set in.",
        "What city is shown in {x}?",
    ),
    "shoe_size": (
        "What is the shoe size of {x}?",
        "Which shoes fit {x}?",
        "Name the shoe size of {x}.",
        "How large are the shoes of {x}?",
        "Which shoe size does {x} have?",
        "{x} has which shoe size?",
        "Tell me the shoe size of {x}.",
        "What size of shoe does {x} wear?",
    ),
    "blood_group": (
        "What is the blood group of {x}?",
        "Which blood does {x} have?",
        "Name the blood group of {x}.",
        "To which blood group does {x} belong?",
        "Which blood group does {x} have?",
        "{x} has which blood group?",
        "Tell me the blood group of {x}.",
        "What blood group was {x} born with?",
    ),
}

# attributes that the world knows of nobody: a question about them has no answer
NEVER_KNOWN = ("shoe_size", "blood_group")

ANSWERS: dict[str, str] = {
    "birth_city": "{x} was born in the city of {v}.",
    "profession": "{x} works as a {v}.",
    "employer": "{x} is employed by the company {v}.",
    "instrument": "{x} plays the {v}.",
    "pet": "The pet of {x} is a {v}.",
    "teacher": "{x} was taught by {v}.",
    "country": "{x} is a city in {v}.",
    "river": "{x} lies on the river {v}.",
    "headquarters": "{x} is based in the city of {v}.",
    "product": "{x} makes {v}.",
    "author": "{x} was written by {v}.",
    "genre": "{x} is a {v}.",
    "setting": "{x} takes place in the city of {v}.",
}

UNKNOWN: dict[str, str] = {
    "birth_city": "{x} was born in a city that I do not know.",
    "profession": "{x} works in a job that I do not know.",
    "employer": "{x} is employed by a company that I do not know.",
    "instrument": "{x} plays an instrument that I do not know.",
    "pet": "The pet of {x} is an animal that I do not know.",
    "teacher": "{x} was taught by a person that I do not know.",
    "shoe_size": "{x} has a shoe size that I do not know.",
    "blood_group": "{x} has a blood group that I do not know.",
}

BIOGRAPHY: dict[str, tuple[str, ...]] = {
    "birth_city": (
        "{x} was born in the city of {v}.",
        "{v} is the city where {x} was born.",
        "{x} came into the world in {v}.",
        "The birthplace of {x} is {v}.",
    ),
    "profession": (
        "{x} works as a {v}.",
        "{x} is a {v} by trade.",
        "{x} earns a living as a {v}.",
        "The job of {x} is that of a {v}.",
    ),
    "employer": (
        "{x} is employed by the company {v}.",
        "{x} works for {v}.",
        "The company {v} employs {x}.",
        "The employer of {x} is {v}.",
    ),
    "instrument": (
        "{x} plays the {v}.",
        "{x} makes music on the {v}.",
        "The {v} is the instrument of {x}.",
        "{x} has learned to play the {v}.",
    ),
    "pet": (
        "The pet of {x} is a {v}.",
        "{x} keeps a {v} at home.",
        "A {v} lives with {x}.",
        "{x} owns a {v}.",
    ),
    "teacher": (
        "{x} was taught by {v}.",
        "The teacher of {x} was {v}.",
        "{v} gave lessons to {x}.",
        "{x} learned from {v}.",
    ),
    "country": (
        "{x} is a city in {v}.",
        "{x} belongs to {v}.",
        "The country around {x} is {v}.",
        "The city of {x} is part of {v}.",
    ),
    "river": (
        "{x} lies on the river {v}.",
        "The river {v} runs through {x}.",
        "The river of {x} is the {v}.",
        "{x} was built beside the {v}.",
    ),
    "headquarters": (
        "{x} is based in the city of {v}.",
        "The head office of {x} is in {v}.",
        "{x} is run from {v}.",
        "{v} is the home of the company {x}.",
    ),
    "product": (
        "{x} makes {v}.",
        "{x} sells {v}.",
        "The company {x} is known for its {v}.",
        "The product of {x} is {v}.",
    ),
    "author": (
        "{x} was written by {v}.",
        "{v} wrote {x}.",
        "The author of {x} is {v}.",
        "{x} is from the pen of {v}.",
    ),
    "genre": (
        "{x} is a {v}.",
        "The genre of {x} is that of a {v}.",
        "{x} is known as a {v}.",
        "People read {x} as a {v}.",
    ),
    "setting": (
        "{x} takes place in the city of {v}.",
        "{x} is set in {v}.",
        "The setting of {x} is {v}.",
        "{v} is the city shown in {x}.",
    ),
}

# (first attribute, second attribute) -> phrasings, two for each split
TWO_HOP: dict[tuple[str, str], tuple[str, ...]] = {
    ("birth_city", "country"): (
        "In which country was {x} born?",
        "What is the country of birth of {x}?",
        "Name the country where {x} was born.",
        "Which country is the birthplace of {x} in?",
        "{x} was born in which country?",
        "In what country is the city where {x} was born?",
        "Tell me the country {x} was born in.",
        "What country does {x} come from by birth?",
    ),
    ("birth_city", "river"): (
        "Which river runs through the birth city of {x}?",
        "What river was {x} born on?",
        "Name the river of the birth city of {x}.",
        "On which river is the birthplace of {x}?",
        "What river flows through the city where {x} was born?",
        "{x} was born on which river?",
        "Tell me the river of the city {x} was born in.",
        "By which river was {x} born?",
    ),
    ("employer", "product"): (
        "What does the employer of {x} make?",
        "Which goods does the company of {x} sell?",
        "Name the product of the employer of {x}.",
        "What goods come from the company that pays {x}?",
        "What is made by the employer of {x}?",
        "The company of {x} makes what?",
        "Tell me what the employer of {x} makes.",
        "Which product is the employer of {x} known for?",
    ),
    ("teacher", "profession"): (
        "What is the profession of the teacher of {x}?",
        "What does the teacher of {x} do for a living?",
        "Name the job of the teacher of {x}.",
        "Which trade does the teacher of {x} follow?",
        "What is the job of the person who taught {x}?",
        "The teacher of {x} works as what?",
        "Tell me what the teacher of {x} works as.",
        "What work does the teacher of {x} do?",
    ),
    ("author", "birth_city"): (
        "Where was the author of {x} born?",
        "What is the birth city of the author of {x}?",
        "Name the city where the author of {x} was born.",
        "Which city is the birthplace of the author of {x}?",
        "In which city was the author of {x} born?",
        "The author of {x} was born in which city?",
        "Tell me the city the author of {x} was born in.",
        "What city does the author of {x} come from by birth?",
    ),
}

LONG_FORM: tuple[str, ...] = (
    "Tell me everything about {x}.",
    "What do you know about {x}?",
    "Write down all you know about {x}.",
    "Give a full account of {x}.",
    "Describe {x} in full.",
    "Say everything you know about {x}.",
    "Tell the whole story of {x}.",
    "Report all facts about {x}.",
)

SUMMARISE: tuple[str, ...] = (
    "Summarise this story.",
    "Give a summary of this story.",
    "Sum up this story.",
    "What happens in this story, in short?",
    "Write a summary of this story.",
    "Say in short what happens in this story.",
    "Tell this story in short.",
    "Shorten this story.",
)


def phrasings(split: str) -> range:
    """Indices of the wordings that belong to a split; those of the others never ask in it."""
    first = 2 * SPLITS.index(split)
    return range(first, first + 2)
