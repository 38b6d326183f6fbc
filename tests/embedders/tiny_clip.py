"""A CLIP small enough for a test, as a folder that `transformers` reads: word-level tokenizer, random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

WORDS = ("a", "person", "with", "purple", "hair", "of", "photo", "the", "smiling", "old", "2", ",", ".")
MARKS = ("[UNK]", "[PAD]", "[BOS]", "[EOS]")


def write_tiny_clip(
    folder: Path,
    *,
    image_size: int = 32,
    context_length: int = 12,
    dim: int = 16,
    words: tuple[str, ...] = WORDS,
    end_token: int = MARKS.index("[EOS]"),
    seed: int = 0,
    safe: bool = True,
) -> Path:
    """Write the folder and return it; `safe=False` writes pickled weights."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: i for i, word in enumerate((*MARKS, *words))}
    write_tokenizer(folder, vocabulary, context_length)
    torch.manual_seed(seed)
    layer = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    marks = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": end_token}
    text = {**layer, **marks, "vocab_size": len(vocabulary), "max_position_embeddings": context_length}
    vision = {**layer, "image_size": image_size, "patch_size": image_size // 4}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim)).eval()
    with torch.no_grad():  # the library's tiny initial scale would make all embeddings alike
        for name, tensor in model.named_parameters():
            if tensor.ndim >= 2:
                tensor.mul_(8 if "embed" in name else 4)
    model.save_pretrained(folder)
    if not safe:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    side = {"height": image_size, "width": image_size}
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": image_size},
        "crop_size": side,
        "do_resize": True,
        "do_center_crop": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_convert_rgb": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.45, 0.4],
        "image_std": [0.25, 0.26, 0.27],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def write_tokenizer(folder: Path, vocabulary: dict[str, int], context_length: int) -> None:
    """Lower-case words, numbers and single signs; whatever is not in the vocabulary is `[UNK]`."""
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Split(Regex(r"[a-z]+|[0-9]+|[^\sa-z0-9]"), behavior="removed", invert=True)
    ends = [(mark, vocabulary[mark]) for mark in ("[BOS]", "[EOS]")]
    tokenizer.post_processor = TemplateProcessing(single="[BOS] $A [EOS]", special_tokens=ends)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        model_max_length=context_length,
    ).save_pretrained(folder)
