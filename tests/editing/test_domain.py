"""Domains: a folder and five lines."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from textmorph.editing.domain import DomainWarning, list_domains, load_domain
from textmorph.editing.strength import StrengthSearch
from textmorph.errors import BankMismatchError, DomainError, TextmorphError

from ..toy_domain import FIVE_LINES, write_toy_domain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_domain(tmp_path_factory.mktemp("domain") / "toy", corpus=False)


def domain_with(tmp_path: Path, text: str) -> Path:
    (tmp_path / "domain.toml").write_text(text)
    return tmp_path


def test_five_lines_suffice_and_nothing_is_loaded_before_its_use(tmp_path: Path) -> None:
    domain = load_domain(domain_with(tmp_path, FIVE_LINES))  # none of the files is there
    assert (domain.name, domain.neutral, domain.templates) == (tmp_path.name, "a person", "imagenet")
    assert len(domain.sentences) == 80
    assert domain.corpus is None
    assert domain.witness is None


def test_every_part_loads_is_kept_and_fits_the_others(folder: Path) -> None:
    domain = load_domain(folder)
    assert domain.generator is domain.generator
    assert domain.generator.resolution == 16
    assert domain.encoder is not None
    assert domain.identity is not None
    assert domain.bank is not None  # found by its usual name, and checked against the two networks
    assert domain.embedder.embed_text(["a person"]).shape == (1, 16)


@pytest.mark.parametrize("name", [".", "domain.toml"])
def test_a_domain_is_named_by_its_folder_or_its_file(folder: Path, name: str) -> None:
    assert load_domain(folder / name).name == "toy"


def test_a_missing_file_is_named(folder: Path, tmp_path: Path) -> None:
    domain = load_domain(domain_with(tmp_path, FIVE_LINES))
    with pytest.raises(DomainError, match=r"generator .*generator\.safetensors is missing"):
        _ = domain.generator


@pytest.mark.parametrize("line", FIVE_LINES.splitlines())
def test_without_generator_embedder_or_neutral_the_missing_one_is_named(tmp_path: Path, line: str) -> None:
    key = line.split(" ")[0]
    folder = domain_with(tmp_path, FIVE_LINES.replace(line + "\n", ""))
    if key in ("encoder", "identity"):
        domain = load_domain(folder)
        assert getattr(domain, key) is None
    else:
        with pytest.raises(DomainError, match=f"'{key}' is missing"):
            load_domain(folder)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("truncatoin = 3", "did you mean 'truncation'"),
        ("method = 'magic'", "method is one of global"),
        ("[strength]\nkeep_identity = 2", "keep_identity is a cosine"),
        ("[strength]\nnum_channels = [0]", "num_channels is 1 or more"),
        ("[strength]\nstrengths = []", "strengths is one finite number or more"),
        ("[strength]\nstrengths = 'much'", "strengths is a list"),
        ("[strength]\nsideways = 1", "has no sideways"),
        ("[strength]\nstrengths = [1.0, inf]", "strengths is a number"),
        ("truncation = 1.1", "truncation is a number from 0 to 1"),
        ("truncation = -0.1", "truncation is a number from 0 to 1"),
        ("truncation = true", "truncation is a number"),
        ("templates = 'a {}'", "templates is"),
        ("templates = ['no gap']", "templates is"),
        ("title = 3", "title is a text"),
        ("[hashes]\n'a' = 'b'", "64 hexadecimal digits"),
        ("[hashes]\n'other.bin' = '" + "0" * 64 + "'", "no file of any part"),
        ("far_distance = -inf", "far_distance is a number"),
        ("[optimize]\nsteps = 1e308", "steps is a number"),
        ("[optimize]\nsteps = 1" + "0" * 5000, "cannot be read"),
        ("[optimize]\nlearning_rate = nan", "learning_rate is a number"),
        ("title = " + "[" * 20_000 + "]" * 20_000, "cannot be read"),
        ("title = '" + "x" * (1 << 20) + "'", "KiB"),
        ("x" * 5000 + " = 1", "unknown entry"),
        ("broken", "cannot be read"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        load_domain(domain_with(tmp_path, FIVE_LINES + entry + "\n"))


@pytest.mark.parametrize("name", ["x" * 5000, "a\\u0000b", "~nobody-of-that-name/x", "/dev/null/x"])
@pytest.mark.parametrize("part", ["generator", "embedder"])
def test_a_part_with_an_impossible_name_is_missing(tmp_path: Path, part: str, name: str) -> None:
    lines = [line for line in FIVE_LINES.splitlines() if not line.startswith(part)]
    domain = load_domain(domain_with(tmp_path, "\n".join([*lines, f'{part} = "{name}"'])))
    with pytest.raises(DomainError, match="missing"):
        getattr(domain, part)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-of-that-name/x"])
def test_a_domain_with_an_impossible_name_is_unknown(name: str) -> None:
    with pytest.raises(DomainError, match="no domain"):
        load_domain(name)


def test_entries_reach_their_fields(tmp_path: Path) -> None:
    entries = "name = 'mine'\nmethod = 'svm'\n[strength]\nstrengths = [1, 2.5]\nnum_channels = [5, 20]\n"
    domain = load_domain(domain_with(tmp_path, FIVE_LINES + entries))
    assert (domain.name, domain.method) == ("mine", "svm")
    assert domain.search == StrengthSearch(strengths=(1, 2.5), num_channels=(5, 20))


@pytest.mark.parametrize("entry", ["strength = 4.0", "strengths = [1.0]", "scales = [1.0]", "keep_identity = 0.7",
                                   "plain_share = 0.7", "channel_counts = [5]", "num_channels = 20", "to_rgb = true",
                                   "crop = 'square'", "axis_counts = [4]", "sideways = 0.1", "beyond = 0.5",
                                   "astray = 3.0"])  # fmt: skip
def test_an_entry_of_an_earlier_version_is_refused_with_where_it_went(tmp_path: Path, entry: str) -> None:
    with pytest.raises(DomainError, match=r"earlier version; .*(move it to \[|table now: \[|it is gone)"):
        load_domain(domain_with(tmp_path, FIVE_LINES + entry + "\n"))


@pytest.mark.parametrize("psi", [0, 0.0, 0.5, 1, 1.0])
def test_what_is_given_goes_before_the_domain_and_the_domain_before_the_rest(tmp_path: Path, psi: float) -> None:
    plain = load_domain(domain_with(tmp_path, FIVE_LINES))
    assert plain.truncation is None
    assert [plain.truncation_or(0.7), plain.truncation_or(0.7, 0.0)] == [0.7, 0.0]
    domain = load_domain(domain_with(tmp_path, FIVE_LINES + f"truncation = {psi}\n"))
    assert domain.truncation == psi
    assert isinstance(domain.truncation, float)
    assert [domain.truncation_or(0.7), domain.truncation_or(0.7, 0.2)] == [psi, 0.2]  # 0 is a value, not a gap


def test_a_missing_bank_is_made_once_said_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTMORPH_CACHE", str(tmp_path / "cache"))
    folder = write_toy_domain(tmp_path / "toy", bank=False, corpus=False)
    domain = load_domain(folder)
    assert not domain.has_bank
    steps: list[tuple[int, int]] = []
    with pytest.warns(DomainWarning, match="no channel bank; one is made"):
        made = domain.load_bank(lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1] > 0
    assert made is domain.bank
    assert (folder / "bank.safetensors").is_file()
    again = load_domain(folder)
    assert again.has_bank
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(again.bank.effects, made.effects)
    assert not (tmp_path / "cache").exists()


def test_a_bank_of_a_folder_that_cannot_be_written_is_kept_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTMORPH_CACHE", str(tmp_path / "cache"))
    folder = write_toy_domain(tmp_path / "toy", bank=False, corpus=False)
    (folder / "bank.safetensors").mkdir()  # a stand-in for no permission, which root does not feel
    domain = load_domain(folder)
    domain = replace(domain, files={name: file for name, file in domain.files.items() if name != "bank"})
    with pytest.warns(DomainWarning):
        _ = domain.bank
    assert [path.suffix for path in (tmp_path / "cache" / "banks").iterdir()] == [".safetensors"]
    assert replace(domain).has_bank


def test_a_file_with_another_hash_is_refused_and_the_right_one_taken(tmp_path: Path) -> None:
    (tmp_path / "generator.safetensors").write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()
    text = FIVE_LINES + f'[hashes]\n"generator.safetensors" = "{right.upper()}"\n'
    assert load_domain(domain_with(tmp_path, text)).path("generator").name == "generator.safetensors"
    with pytest.raises(DomainError, match="not the file that"):
        load_domain(domain_with(tmp_path, text.replace(right.upper(), "0" * 64))).path("generator")


def test_hashes_below_a_folder_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "config.json").write_bytes(b"{}")
    folder = domain_with(tmp_path, FIVE_LINES + f'[hashes]\n"clip/config.json" = "{"0" * 64}"\n')
    with pytest.raises(DomainError, match=r"config\.json is not the file"):
        load_domain(folder).path("embedder")


def test_a_name_with_a_slash_is_a_hub_name_only_where_no_such_folder_begins(tmp_path: Path) -> None:
    folder = domain_with(tmp_path, FIVE_LINES.replace('"clip"', '"nets/clip"'))
    (tmp_path / "nets").mkdir()
    with pytest.raises(DomainError, match=r"embedder .* is missing"):
        _ = load_domain(folder).embedder
    (tmp_path / "nets").rmdir()
    with pytest.raises(TextmorphError, match=r"network is switched off|cannot be reached"):  # it asks the hub
        _ = load_domain(folder).embedder


def test_a_bank_of_other_networks_is_refused(folder: Path, tmp_path: Path) -> None:
    from textmorph.banks.bank import ChannelBank

    bank = ChannelBank.load(folder / "bank.safetensors")
    other = {**bank.info, "generator": "0" * 16}
    for name in ("generator.safetensors", "clip"):
        (tmp_path / name).symlink_to(folder / name)
    parts = (bank.effects, bank.consistency, bank.channels, bank.channel_mean, bank.channel_std)
    ChannelBank(*parts, other).save(tmp_path / "bank.safetensors")
    with pytest.raises(BankMismatchError, match="generator"):
        _ = load_domain(domain_with(tmp_path, FIVE_LINES)).bank


def test_an_unknown_domain_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="no domain 'nowhere'"):
        load_domain("nowhere")
    with pytest.raises(DomainError, match=r"has no domain\.toml"):
        load_domain(tmp_path)


def test_built_in_domains_say_who_they_are_and_under_which_licence() -> None:
    for name, folder in list_domains().items():
        domain = load_domain(name)
        assert domain.folder == folder
        assert domain.title
        assert domain.licence


def test_values_for_single_methods_are_tables(tmp_path: Path) -> None:
    domain = load_domain(domain_with(tmp_path, FIVE_LINES))
    assert domain.tables == {}
    tables = "[mapper]\nsteps = 3\n[optimize]\nsteps = 4\nspace = 's'\n[global]\nnum_channels = 9\n"
    domain = load_domain(domain_with(tmp_path, FIVE_LINES + tables))
    expected = {"mapper": {"steps": 3}, "optimize": {"steps": 4, "space": "s"}, "global": {"num_channels": 9}}
    assert domain.tables == expected
    with pytest.raises(DomainError, match="optimize"):
        load_domain(domain_with(tmp_path, FIVE_LINES + "optimize = 3\n"))
