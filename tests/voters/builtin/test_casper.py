"""Casper, judged by cases: what is no answer, or an answer to something else, and what is one although it looks odd."""

from magi.voters.builtin.casper import judge
from tests.voters.builtin.table import Case, cases, hold

PHOTOSYNTHESIS = (
    "Photosynthesis is how plants turn light into chemical energy. Chlorophyll in the leaves absorbs sunlight, which"
    " splits water and releases oxygen; the energy builds sugar out of carbon dioxide."
)
BREAD = (
    "To bake bread, mix flour, water, salt and yeast, knead the dough for ten minutes, and let it rise until it has"
    " doubled. Bake it at 230 degrees in a hot oven until the crust is brown."
)

REFUSALS: list[Case] = [
    ("cannot-help", "Write a song about rain", "I'm sorry, but I can't help with that.", "fail", "refuses"),
    ("typographic", "Write a song about rain", "I’m sorry, but I can’t assist with that request.", "fail", "refuses"),
    (
        "as-a-model",
        "Who won the game last night?",
        "As an AI language model, I do not have access to real-time information. Please check a sports website.",
        "fail",
        "refuses",
    ),
    (
        "advice-elsewhere",
        "Draw a house",
        "I cannot create images. However, you can ask an artist to draw one for you.",
        "fail",
        "refuses",
    ),
    ("french", "Écris un poème sur la pluie", "Je suis désolé, mais je ne peux pas faire cela.", "fail", "refuses"),
    (
        "answers-all-the-same",
        "What is the latest Python version?",
        "I don't have access to real-time information, but as of my last update the latest Python version was 3.12,"
        " released in October 2023 with better error messages.",
        "pass",
        "python",
    ),
    (
        "model-that-can",
        "Explain photosynthesis",
        "As an AI language model, I can explain. " + PHOTOSYNTHESIS,
        "pass",
        "photosynthesis",
    ),
    ("about-the-model", "Do you have feelings?", "As an AI language model, I don't have feelings.", "pass", ""),
    (
        "refusal-as-content",
        "Write an excuse for missing a meeting",
        "I'm sorry, I can't attend the meeting, as my daughter is ill and I must stay at home.",
        "pass",
        "meeting",
    ),
    (
        "asks-back",
        "Summarise the article",
        "Could you please provide the article that you would like me to summarise?",
        "abstain",
        "asks back",
    ),
    (
        "cannot-in-passing",
        "How do I undo a commit?",
        "Use git revert to undo a commit that you have pushed. You can't undo it silently: others have it already.",
        "pass",
        "commit",
    ),
    ("todo", "Describe the plan for the launch", "TODO", "fail", "stands where"),
    ("error-instead", "Describe the plan", "Internal Server Error", "fail", "stands where"),
    ("todo-asked-for", "What does TODO mean?", "TODO", "pass", "todo"),
]

ENDINGS: list[Case] = [
    ("empty", "Write it", "", "fail", "empty"),
    ("blank", "Write it", " \n\t ", "fail", "empty"),
    ("emoji", "How are you?", "👍", "abstain", "no word"),
    ("open-fence", "Write a Python loop", "Here:\n\n```python\nfor i in range(3):\n    print(i)", "fail", "line 3"),
    ("closed-fence", "Write a Python loop", "A loop:\n\n```python\nfor i in range(3):\n    print(i)\n```", "pass", ""),
    ("mid-sentence", "Explain photosynthesis", PHOTOSYNTHESIS + " The sugar is then stored in the", "fail", "cut off"),
    ("after-a-comma", "Explain photosynthesis", PHOTOSYNTHESIS[:-1] + ", which is used,", "fail", "comma"),
    (
        "last-sentence",
        "Explain photosynthesis",
        PHOTOSYNTHESIS + " It is then. Later plants use the suga",
        "fail",
        "no end",
    ),
    ("continued", "Explain photosynthesis", PHOTOSYNTHESIS + " [continued]", "fail", "continued"),
    ("truncated", "Explain photosynthesis", PHOTOSYNTHESIS + "… (truncated)", "fail", "truncated"),
    ("no-full-stop", "What is the capital of France?", "The capital of France is Paris", "pass", "capital"),
    ("list-without-stops", "List three fruits", "- apple\n- banana\n- cherry", "abstain", ""),
    (
        "poem-with-commas",
        "Write a poem about rain",
        "The rain falls on the silver roof,\nand sings of,",
        "pass",
        "rain",
    ),
    (
        "ends-in-a-link",
        "Where is the Python manual?",
        "The manual of Python is at https://docs.python.org/3/",
        "pass",
        "",
    ),
    (
        "ends-in-hashtags",
        "Post about our coffee",
        "Our coffee is fresh. Come in today. Enjoy it #coffee #sun",
        "pass",
        "",
    ),
    ("ends-in-code", "How do I list files?", "To list files, run `ls -l`", "pass", "files"),
    (
        "signature",
        "Write a letter to the bank",
        "Dear bank, please close my account.\n\nSincerely,\nAnn Lee",
        "pass",
        "bank",
    ),
]

LANGUAGES: list[Case] = [
    (
        "spanish-answer",
        "Explain how plants make energy from light",
        "La fotosíntesis es el proceso por el cual las plantas convierten la luz del sol en energía química que"
        " utilizan para crecer y vivir.",
        "fail",
        "spanish",
    ),
    (
        "russian-answer",
        "Explain how plants make energy from light",
        "Фотосинтез — это процесс, при котором растения превращают свет в энергию.",
        "fail",
        "russian",
    ),
    (
        "chinese-answer",
        "Explain how plants make energy from light",
        "光合作用是植物利用光能制造养分的过程。",
        "fail",
        "chinese",
    ),
    (
        "english-to-german",
        "Erkläre mir bitte, wie die Photosynthese bei den Pflanzen funktioniert und wozu sie dient",
        PHOTOSYNTHESIS,
        "fail",
        "german",
    ),
    (
        "german-to-german",
        "Erkläre mir bitte, wie die Photosynthese funktioniert",
        "Bei der Photosynthese wandeln die Pflanzen das Licht der Sonne in Energie um, die sie zum Wachsen nutzen.",
        "pass",
        "photosynthese",
    ),
    (
        "asked-for-french",
        "Write two sentences about the sea in French",
        "La mer est très belle ce matin et les vagues sont calmes. Nous allons nager avec les enfants.",
        "abstain",
        "",
    ),
    (
        "asked-for-french-got-english",
        "Write two sentences about the sea in French",
        "The sea is very beautiful this morning and the waves are calm. We will swim with the children today.",
        "fail",
        "french was asked for",
    ),
    (
        "translation-explained",
        "Translate 'good morning' to French",
        "The French translation of 'good morning' is “bonjour”, which is used until the afternoon.",
        "pass",
        "french",
    ),
    (
        "quotes-another-language",
        "What did Caesar say?",
        "Caesar said “veni, vidi, vici”, which means that he came, he saw and he conquered.",
        "pass",
        "caesar",
    ),
    (
        "foreign-names",
        "Which restaurants in Barcelona are good?",
        "1. Casa Batlló\n2. Sagrada Familia\n3. El Born\n4. La Rambla\n5. Gaudí\n6. Joan Miró\n7. Els Quatre Gats",
        "abstain",
        "",
    ),
    (
        "code-is-no-language",
        "Write a Python function that adds numbers",
        "```python\ndef add_numbers(numbers):\n    return sum(numbers)\n```",
        "pass",
        "as asked",
    ),
    (
        "other-programming-language",
        "Write a Python function that adds numbers",
        "```javascript\nconst addNumbers = (a, b) => a + b;\n```",
        "fail",
        "python was asked for",
    ),
    (
        "other-programming-language-unfenced",
        "Write a Python function that adds numbers",
        "function addNumbers(a, b) {\n  console.log(a);\n  return a + b;\n}",
        "fail",
        "javascript",
    ),
    (
        "typescript-for-javascript",
        "Write JavaScript code to add",
        "```ts\nconst add = (a: number) => a;\n```",
        "abstain",
        "",
    ),
    (
        "no-code-at-all",
        "Write a Python function that adds numbers",
        "Adding numbers is easy in Python.",
        "fail",
        "has none",
    ),
]

SUBJECTS: list[Case] = [
    ("about-it", "Explain photosynthesis", PHOTOSYNTHESIS, "pass", "photosynthesis"),
    ("another-question", "Explain how photosynthesis works in green leaves", BREAD, "fail", "something else"),
    ("another-question-for-code", "Write a Python function that reverses a linked list", BREAD, "fail", ""),
    (
        "other-code",
        "Write a function that reverses a linked list",
        "```python\ndef fahrenheit(celsius):\n    degrees = celsius * 9 / 5 + 32\n    offset = degrees\n"
        "    print(offset, 'warm')\n    temperature = offset\n    weather = temperature\n    return weather\n```",
        "fail",
        "something else",
    ),
    (
        "identifiers",
        "Write code that reads the config file",
        "```js\nconst readConfig = () => 1;\n```",
        "pass",
        "config",
    ),
    ("inflected", "Why do plants photosynthesize?", "Photosynthetic plants store energy.", "pass", "plants"),
    ("abbreviation", "Tell me about artificial intelligence", "AI is a field of research on machines.", "abstain", ""),
    ("short-answer", "What is the capital of France?", "Paris.", "abstain", "proves nothing"),
    ("yes", "Is water wet?", "Yes.", "abstain", ""),
    ("number", "What is 12 times 12?", "144", "abstain", ""),
    (
        "poem-without-its-title",
        "Write a poem about loneliness",
        "An empty chair beside the door, a cup gone cold.",
        "abstain",
        "",
    ),
    ("list-of-names", "Which books shaped modern literature?", "1. Ulysses\n2. 1984\n3. The Trial", "abstain", ""),
    ("no-subject", "Please generate some code for me", "function hi() { console.log('hi'); }", "abstain", "no subject"),
    ("repeats-the-question", "Which rivers flow through Paris?", "Which rivers flow through Paris?", "fail", "repeats"),
]


@cases(REFUSALS)
def test_a_refusal_is_no_answer(query, answer, vote, fragment):
    hold(judge, query, answer, vote, fragment)


@cases(ENDINGS)
def test_an_answer_ends_where_it_should(query, answer, vote, fragment):
    hold(judge, query, answer, vote, fragment)


@cases(LANGUAGES)
def test_the_language_is_the_one_that_was_asked_in_or_for(query, answer, vote, fragment):
    hold(judge, query, answer, vote, fragment)


@cases(SUBJECTS)
def test_the_answer_is_about_the_question(query, answer, vote, fragment):
    hold(judge, query, answer, vote, fragment)
