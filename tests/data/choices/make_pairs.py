"""Rows of multiple choice in the forms in which data sets are published, and the pairs of texts that
the usual scripts make of them.

The functions repeat what these scripts do:
- swag: transformers' examples/pytorch/multiple-choice/run_swag.py, preprocess_function
- race: transformers 3.5's examples/multiple-choice/utils_multiple_choice.py,
  convert_examples_to_features with RaceProcessor (ReClor's and CosmosQA's scripts have the same)
- plain: question and ending, as the scripts for CommonsenseQA, ARC and HellaSwag have it

Made with: python make_pairs.py
"""

import json
import pathlib


def swag(row):
    return [(row["sent1"], f"{row['sent2']} {row[f'ending{i}']}") for i in range(4)]


def race(context, question, endings):
    def second(ending):
        if question.find("_") != -1:
            return question.replace("_", ending)
        return question + " " + ending

    return [(context, second(ending)) for ending in endings]


def plain(question, endings):
    return [(question, ending) for ending in endings]


rows = []


def add(name, row, pairs, label):
    rows.append({"name": name, "row": row, "pairs": pairs, "label": label})


row = {
    "video-id": "anetv_1", "fold-ind": "3415", "startphrase": "A drum line passes by walking down the street. Members of it",
    "sent1": "A drum line passes by walking down the street.", "sent2": "Members of it",
    "gold-source": "gold", "ending0": "play.", "ending1": "wait.", "ending2": "turn.", "ending3": "sing.", "label": 2,
}
add("SWAG", row, swag(row), 2)

endings = ["first he waits", "then he runs", "he sings", "he sleeps"]
row = {
    "ind": 4, "activity_label": "Removing ice from car", "ctx_a": "Then, the man writes over the snow.",
    "ctx_b": "then", "ctx": "Then, the man writes over the snow. then", "endings": endings,
    "source_id": "activitynet~v_-1IBHYS3L-Y", "split": "train", "split_type": "indomain", "label": "3",
}
add("HellaSwag", row, plain(row["ctx"], endings), 3)
row = {"ctx_a": "The man writes over the snow.", "ctx_b": "then", "endings": endings, "label": "0"}
add("HellaSwag without ctx", row, [(row["ctx_a"], f"then {ending}") for ending in endings], 0)

options = ["the sea", "a house", "her aunt", "no one"]
article = "Last week I talked with some of my students about what they wanted to do after they graduated."
row = {"example_id": "high1.txt", "article": article, "question": "Where did she go?", "options": options, "answer": "C"}
add("RACE", row, race(article, row["question"], options), 2)
row = {"example_id": "high2.txt", "article": article, "question": "The girl was born near _ .", "options": options, "answer": "A"}
add("RACE with a gap", row, race(article, row["question"], options), 0)

texts = ["ignore", "enforce", "authoritarian", "yell at", "avoid"]
row = {
    "id": "075e", "question": "The sanctions against the school were a punishing blow, and they seemed to what?",
    "question_concept": "punishing", "choices": {"label": list("ABCDE"), "text": texts}, "answerKey": "B",
}
add("CommonsenseQA", row, plain(row["question"], texts), 1)
row = {
    "answerKey": "E", "id": "075e", "question": {
        "question_concept": "punishing", "stem": "What did they seem to do?",
        "choices": [{"label": label, "text": text} for label, text in zip("ABCDE", texts)],
    },
}
add("CommonsenseQA's own file", row, plain("What did they seem to do?", texts), 4)
row = {"id": "Mercury_1", "question": "Which one?", "choices": {"text": options, "label": list("1234")}, "answerKey": "4"}
add("ARC with numbers", row, plain("Which one?", options), 3)

context = "In rheumatoid arthritis, the body's immune system misfunctions by attacking healthy cells."
question = "Which one of the following statements is most strongly supported?"
row = {"context": context, "question": question, "answers": options, "label": 1, "id_string": "train_0"}
add("ReClor", row, race(context, question, options), 1)
row = {"id": "3Q9", "context": context, "question": "Why?", "answer0": "a", "answer1": "b", "answer2": "c", "answer3": "d", "label": 3}
add("CosmosQA", row, race(context, "Why?", ["a", "b", "c", "d"]), 3)
row = {"context": "Tom left the house.", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c", "label": "3"}
add("SocialIQA", row, race(row["context"], "Why?", ["a", "b", "c"]), 2)
row = {"goal": "How do I cook rice?", "sol1": "in water", "sol2": "in sand", "label": 0}
add("PIQA", row, plain(row["goal"], ["in water", "in sand"]), 0)
row = {"question": "Who left?", "choices": ["Tom", "Ann"], "answer": "Ann"}
add("an answer as text", row, plain("Who left?", ["Tom", "Ann"]), 1)

path = pathlib.Path(__file__).parent / "pairs.json"
path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
