"""Makes the reference numbers of tests/it/task with transformers.

    python make_reference.py

For each task a small random model as transformers saves it (`<task>/`), and beside it
`<task>.json` with the user's data and `<task>.safetensors` with the inputs, the logits, the
loss and all gradients of one batch without dropout. Needs torch 2.4.0 and transformers
4.57.6; starts from ../model/tiny.
"""
import json, os, random

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertTokenizerFast,
    EncoderDecoderModel,
    GenerationConfig,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.trainer_pt_utils import LabelSmoother

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "..", "model", "tiny")
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
torch.set_num_threads(2)
tokenizer = BertTokenizerFast.from_pretrained(TINY)


def write(task, model, batch, data, saved_name=lambda name: name):
    """One batch through `model`; `batch` holds the labels too."""
    folder = os.path.join(HERE, task)
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    os.remove(os.path.join(folder, "tokenizer.json"))
    output = model(**batch)
    output.loss.backward()
    # The rows of a multiple choice have a dimension of their own.
    flat = lambda tensor: tensor.flatten(0, -2) if tensor.dim() == 3 else tensor
    tensors = {name: flat(tensor) for name, tensor in batch.items()}
    # Rows that are not to be guessed have no logits with us.
    of_tokens = task.startswith(("masked_lm", "text_generation"))
    known = batch["labels"] != -100 if of_tokens else ...
    tensors["loss"] = output.loss.detach().reshape(1)
    if task.startswith("text_generation"):
        tensors["smoothed_loss"] = LabelSmoother(0.1)(output, batch["labels"]).detach().reshape(1)
    for name, tensor in output.items():
        if name.endswith("logits"):
            tensors[name] = tensor.detach()[known]
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            tensors["gradient." + saved_name(name)] = weight.grad
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder + ".safetensors")
    with open(folder + ".json", "w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=False, indent=1)


def token_classification():
    sentences = [
        (["The", "film", "was", "unbelievably", "good", "."], ["O", "B-WORK", "O", "O", "O", "O"]),
        (["Bad", "sound"], ["B-WORK", "I-WORK"]),
        (["I", "like", "xylophones", "-", "really"], ["B-PER", "O", "B-WORK", "I-WORK", "O"]),
    ]
    labels = ["B-PER", "B-WORK", "I-WORK", "O"]
    encoded = tokenizer([words for words, _ in sentences], is_split_into_words=True)
    length = max(len(ids) for ids in encoded["input_ids"])
    rows = []
    for row, (_, tags) in enumerate(sentences):
        before, ids = None, []
        for word in encoded.word_ids(row):
            ids.append(-100 if word is None or word == before else labels.index(tags[word]))
            before = word
        rows.append(ids + [-100] * (length - len(ids)))
    batch = dict(tokenizer.pad(encoded, return_tensors="pt"))
    batch["labels"] = torch.tensor(rows)
    torch.manual_seed(3)
    names = dict(enumerate(labels))
    model = AutoModelForTokenClassification.from_pretrained(
        TINY, id2label=names, label2id={name: id for id, name in names.items()}, **NO_DROPOUT
    )
    write("token_classification", model, batch, [{"words": w, "tags": t} for w, t in sentences])


TEXTS = [
    ("the film was great", None),
    ("this is very good food", "it was not good"),
    ("sad , dull film .", None),
    ("is it food ?", "no"),
]


def encoded():
    rows = [tokenizer(*([text, pair] if pair else [text])) for text, pair in TEXTS]
    return dict(tokenizer.pad(rows, return_tensors="pt"))


def sequence_classification(task, labels, targets, **settings):
    """Several classes a row, or numbers; `targets` as the user has them."""
    batch = encoded()
    if labels:
        batch["labels"] = torch.tensor([[float(name in row) for name in labels] for row in targets])
        names = dict(enumerate(labels))
        settings |= dict(id2label=names, label2id={name: id for id, name in names.items()})
    else:
        batch["labels"] = torch.tensor(targets)
        settings["num_labels"] = len(targets[0])
    torch.manual_seed(4)
    model = AutoModelForSequenceClassification.from_pretrained(TINY, **settings, **NO_DROPOUT)
    data = [{"text": t, "pair": p, "label": label} for (t, p), label in zip(TEXTS, targets)]
    write(task, model, batch, data)


def question_answering():
    # Equally long rows: transformers lets padding have a share in the loss.
    questions = [
        ("1", "what was good ?", "the film was very good", "film", 4),
        ("2", "was it bad food ?", "it was very good", None, None),
        ("3", "is the food good ?", "the sound is good", "sound is", 4),
    ]
    encoded = tokenizer([q for _, q, *_ in questions], [c for _, _, c, *_ in questions])
    lengths = {len(ids) for ids in encoded["input_ids"]}
    assert len(lengths) == 1, [len(ids) for ids in encoded["input_ids"]]
    batch = dict(tokenizer.pad(encoded, return_tensors="pt"))
    places = []
    for row, (_, _, _, answer, start) in enumerate(questions):
        if answer is None:
            places.append((0, 0))
        else:
            token = lambda at: encoded.char_to_token(row, at, sequence_index=1)
            places.append((token(start), token(start + len(answer) - 1)))
    batch["start_positions"] = torch.tensor([first for first, _ in places])
    batch["end_positions"] = torch.tensor([last for _, last in places])
    torch.manual_seed(5)
    model = AutoModelForQuestionAnswering.from_pretrained(TINY, **NO_DROPOUT)
    names = ["id", "question", "context", "answer", "start"]
    write("question_answering", model, batch, [dict(zip(names, question)) for question in questions])


def multiple_choice():
    questions = [
        ("the film was", ["great", "very good food", "no"], 0),
        ("is it", ["bad ?", "sad , dull", "good ?"], 2),
    ]
    rows = [tokenizer(q, ending) for q, endings, _ in questions for ending in endings]
    padded = tokenizer.pad(rows, return_tensors="pt")
    batch = {name: tensor.view(2, 3, -1) for name, tensor in padded.items()}
    batch["labels"] = torch.tensor([label for *_, label in questions])
    torch.manual_seed(6)
    model = AutoModelForMultipleChoice.from_pretrained(TINY, **NO_DROPOUT)
    names = ["question", "endings", "label"]
    write("multiple_choice", model, batch, [dict(zip(names, question)) for question in questions])


def masked_lm():
    texts = ["the film was very good .", "is it [MASK] food ?", "i like it really"]
    encoded = tokenizer(texts)
    batch = dict(tokenizer.pad(encoded, return_tensors="pt"))
    labels = torch.full_like(batch["input_ids"], -100)
    for row, place in [(0, 2), (0, 5), (2, 1), (2, 4)]:
        labels[row, place] = batch["input_ids"][row, place]
        batch["input_ids"][row, place] = tokenizer.mask_token_id
    batch["labels"] = labels
    torch.manual_seed(7)
    model = AutoModelForMaskedLM.from_pretrained(TINY, **NO_DROPOUT)
    write("masked_lm", model, batch, texts)


def text_generation(tied):
    texts = [
        ("the film was great", None, "it is good"),
        ("this is very good food", "it was not good", "bad , bad film !"),
        ("sad , dull film .", None, ""),
        ("is it food ?", "no", "i like it really very much"),
    ]
    rows = [tokenizer(*([text, pair] if pair else [text])) for text, pair, _ in texts]
    batch = dict(tokenizer.pad(rows, return_tensors="pt"))
    # What is written begins with [CLS], which is not to be learnt.
    goal = tokenizer([label for *_, label in texts])["input_ids"]
    length = max(len(ids) for ids in goal) - 1
    batch["labels"] = torch.tensor([ids[1:] + [-100] * (length + 1 - len(ids)) for ids in goal])
    torch.manual_seed(8)
    settings = {part + name: value for part in ("encoder_", "decoder_") for name, value in NO_DROPOUT.items()}
    model = EncoderDecoderModel.from_encoder_decoder_pretrained(TINY, TINY, tie_encoder_decoder=tied, **settings)
    tokens = dict(
        decoder_start_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    for name, value in tokens.items():
        setattr(model.config, name, value)
    model.generation_config = GenerationConfig(**tokens)
    # So that texts end, sooner or later, vary, and differ by what is read.
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        model.decoder.cls.predictions.bias[tokenizer.sep_token_id] = 3.0
    data = {"rows": [dict(text=t, pair=p, label=label) for t, p, label in texts]}
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    model.eval()
    data["searches"] = searches(model, inputs)
    data["draws"] = draws(model, inputs)
    # As transformers names what is the same in both.
    shared = lambda name: tied and name.startswith("encoder.")
    saved = lambda name: name.replace("encoder.", "decoder.bert.", 1) if shared(name) else name
    write("text_generation" + "_tied" * tied, model, batch, data, saved)


def searches(model, inputs):
    """What `generate` writes by several settings."""
    draw = random.Random(9)
    found = []
    for number in range(60):
        settings = dict(
            max_new_tokens=draw.choice([1, 3, 6, 12, 40]),
            num_beams=1 if number < 6 else draw.choice([2, 3, 4, 7]),
            no_repeat_ngram_size=draw.choice([0, 1, 2, 2, 3]),
        )
        if settings["num_beams"] > 1:
            settings["length_penalty"] = draw.choice([-1.5, 0.0, 0.6, 1.0, 2.0])
            settings["early_stopping"] = draw.choice([False, True, "never"])
        ids = model.generate(**inputs, **settings, do_sample=False).tolist()
        texts = []
        for row in ids:
            row = row[1:]
            end = row.index(tokenizer.sep_token_id) + 1 if tokenizer.sep_token_id in row else len(row)
            texts.append(row[:end])
        found.append(dict(settings=settings, ids=texts))
    return found


def draws(model, inputs):
    """The shares of first tokens of the first text, when they are drawn."""
    start = torch.tensor([[tokenizer.cls_token_id]])
    first = {name: tensor[:1] for name, tensor in inputs.items()}
    with torch.no_grad():
        logits = model(**first, decoder_input_ids=start).logits[:, -1]
    found = []
    for temperature, top_k, top_p in [(1.0, 0, 1.0), (0.7, 5, 1.0), (1.5, 0, 0.6), (2.0, 20, 0.8), (1.0, 1, 1.0)]:
        steps = [TemperatureLogitsWarper(temperature)] if temperature != 1.0 else []
        steps += [TopKLogitsWarper(top_k)] if top_k else []
        steps += [TopPLogitsWarper(top_p)] if top_p < 1.0 else []
        shares = LogitsProcessorList(steps)(start, logits).softmax(-1)[0]
        settings = dict(temperature=temperature, top_k=top_k, top_p=top_p)
        found.append(dict(settings=settings, shares={id: share for id, share in enumerate(shares.tolist()) if share}))
    return found


token_classification()
sequence_classification(
    "multi_label", ["dull", "good", "sad"], [["good"], [], ["dull", "sad"], ["good", "dull"]],
    problem_type="multi_label_classification",
)
sequence_classification("regression", None, [[0.5], [-1.0], [3.25], [0.0]], problem_type="regression")
sequence_classification(
    "two_numbers", None, [[0.5, 1], [-1.0, 0], [3.25, 2], [0.0, 4]], problem_type="regression"
)
question_answering()
multiple_choice()
masked_lm()
text_generation(tied=False)
text_generation(tied=True)
