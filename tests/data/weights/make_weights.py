"""Makes the weights of tests/it/model/pickled.rs: files of torch.save, and their numbers.

    python make_weights.py

With torch 2.4.0 and transformers 4.57.6 it writes, beside itself:
  new.bin, old.bin        a state dict of all kinds of tensors, as torch has saved since 1.6 and
                          before; new-protocol4.bin: by a later version of pickle
  python2.bin             the old form as Python 2 wrote it, its storages parts of others
  reference.safetensors   the numbers of all of them, as torch.load gives them
  masked_lm/              a small BertForMaskedLM, as transformers saves it: as safetensors,
                          pickled in both forms (new.bin, old.bin), and in shards of either
With torch 1.13.1 (the earliest for Python 3.11) it writes new-1.13.bin and old-1.13.bin.
"""
import collections, os, pickle, types

import torch

HERE = os.path.dirname(os.path.abspath(__file__))


def place(name):
    return os.path.join(HERE, name)


def state():
    torch.manual_seed(1)
    large, joined = torch.randn(6, 7), torch.randn(4, 6)
    tied = torch.randn(3, 2)
    ids = torch.arange(-3, 9)
    return collections.OrderedDict(
        plain=torch.randn(2, 3, 4),
        tied=tied,
        tied_too=tied,
        half=torch.randn(5).half(),
        bfloat16=torch.randn(5).bfloat16(),
        double=torch.randn(2, 2).double(),
        transposed=torch.randn(3, 5).t(),
        permuted=torch.randn(2, 3, 4).permute(2, 0, 1),
        narrowed=large[2:5, 1:4],
        stepped=large[::2, 1::3],
        narrowed_half=torch.randn(9).half()[3:7],
        expanded=torch.randn(1, 3).expand(4, 3),
        chunk_0=joined.chunk(2)[0],
        chunk_1=joined.chunk(2)[1],
        parameter=torch.nn.Parameter(torch.randn(4)),
        frozen=torch.nn.Parameter(torch.randn(4), requires_grad=False),
        scalar=torch.tensor(2.5),
        empty=torch.empty(0, 3),
        position_ids=ids.expand(1, -1),
        int32=ids.int(),
        int16=ids.short(),
        int8=ids.char(),
        uint8=torch.arange(250, 256).to(torch.uint8),
        bool=ids > 2,
        special=torch.tensor([float("nan"), float("inf"), -0.0, 1e-45]),
    )


class Python2(pickle._Pickler):
    """Text as bytes, dictionaries from lists of pairs, storages that are parts of others."""

    def __init__(self, file, protocol=2):
        super().__init__(file, 2)

    def save_str(self, text):
        data = text.encode()
        self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        self.memoize(text)

    def save_ordered(self, value):
        self.save_reduce(collections.OrderedDict, ([list(pair) for pair in value.items()],), obj=value)

    dispatch = dict(pickle._Pickler.dispatch)
    dispatch[str] = save_str
    dispatch[collections.OrderedDict] = save_ordered

    def save_pers(self, pid):
        *start, numbers, whole = pid
        assert whole is None
        # One number less at the beginning of those that are not used from there.
        cut = 1 if numbers == 42 else 0
        super().save_pers((*start, numbers, (start[2] + "-part", cut, numbers - cut)))


def write_state(version):
    whole = state()
    torch.save(whole, place(f"new{version}.bin"))
    torch.save(whole, place(f"old{version}.bin"), _use_new_zipfile_serialization=False)


def write_others():
    from safetensors.torch import save_file

    torch.save(state(), place("new-protocol4.bin"), pickle_protocol=4)
    module = types.SimpleNamespace(
        Pickler=Python2, dump=lambda value, file, protocol: Python2(file).dump(value), __name__="pickle"
    )
    torch.save(state(), place("python2.bin"), pickle_module=module, _use_new_zipfile_serialization=False)
    expected = {}
    for name in ("new", "old", "new-protocol4", "python2"):
        loaded = torch.load(place(f"{name}.bin"), weights_only=False)
        prefix = "python2." if name == "python2" else ""
        for key, tensor in loaded.items():
            tensor = tensor.detach().clone().contiguous()
            bits = lambda one: one.contiguous().view(torch.uint8) if one.numel() and one.dim() else one
            assert prefix or torch.equal(bits(tensor), bits(state()[key].detach().contiguous())), key
            expected[prefix + key] = tensor
    save_file(expected, place("reference.safetensors"))


def write_masked_lm():
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    folder = place("masked_lm")
    os.makedirs(folder, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrs"]
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("".join(word + "\n" for word in words))
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=12, max_position_embeddings=16, initializer_range=0.5,
    )
    model = BertForMaskedLM(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    tied = model.state_dict()
    pointers = {tied[name].data_ptr() for name in tied if name.endswith(("word_embeddings.weight", "decoder.weight"))}
    assert len(pointers) == 1
    model.save_pretrained(folder)
    for name, forms in (("new", True), ("old", False)):
        torch.save(tied, os.path.join(folder, f"{name}.bin"), _use_new_zipfile_serialization=forms)
    for name, safe in (("shards", True), ("pickled_shards", False)):
        part = os.path.join(folder, name)
        model.save_pretrained(part, max_shard_size="2KB", safe_serialization=safe)
        for file in ("config.json", "generation_config.json"):
            if os.path.exists(os.path.join(part, file)):
                os.remove(os.path.join(part, file))
    for file in ("generation_config.json",):
        if os.path.exists(os.path.join(folder, file)):
            os.remove(os.path.join(folder, file))


if torch.__version__.startswith("1.13."):
    write_state("-1.13")
else:
    write_state("")
    write_others()
    write_masked_lm()
