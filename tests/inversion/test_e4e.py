from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch

from tests.toys import seed_weights, toy_image
from textmorph.checkpoints.ir_se import encoder_shapes
from textmorph.errors import ImageError, OptionError
from textmorph.inversion.e4e import E4eEncoder, EncoderConfig
from textmorph.inversion.encoders import ENCODERS, Encoder

TINY = EncoderConfig(input_size=32, num_rows=10, widths=(4, 4, 6, 8), blocks=(1, 1, 2, 1), w_dim=8, head_width=6)


def encoder(config: EncoderConfig = TINY) -> E4eEncoder:
    torch.manual_seed(0)
    network = E4eEncoder(config)
    seed_weights(network, 3)
    return network


def test_an_encoder_is_an_encoder():
    assert isinstance(encoder(), Encoder)
    assert set(ENCODERS) == {"e4e", "psp", "single"}


@pytest.mark.parametrize("variant", ["e4e", "psp", "single"])
@pytest.mark.parametrize("num_rows", [1, 4, 10])
def test_every_variant_gives_w_plus_of_any_number_of_rows(variant: str, num_rows: int):
    latent = encoder(replace(TINY, variant=variant, num_rows=num_rows))(toy_image(32, batch=2))
    assert latent.space == "w+"
    assert latent.value.shape == (2, num_rows, 8)


def test_the_average_latent_is_added():
    network = encoder()
    image = toy_image(32)
    before = network(image).value
    network.mean_w.add_(torch.arange(10.0)[:, None])
    torch.testing.assert_close(network(image).value, before + torch.arange(10.0)[:, None])


def test_e4e_adds_the_first_head_to_every_other_row():
    image = toy_image(32, batch=2)
    e4e = encoder()
    psp = E4eEncoder(replace(TINY, variant="psp"))
    psp.load_state_dict(e4e.state_dict())
    heads, rows = psp.offset(image), e4e.offset(image)
    torch.testing.assert_close(rows[:, 0], heads[:, 0])
    torch.testing.assert_close(rows[:, 1:], heads[:, :1] + heads[:, 1:])


def test_a_single_code_is_the_same_in_every_row():
    rows = encoder(replace(TINY, variant="single")).offset(toy_image(32, batch=2))
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert (rows[0] != rows[1]).any()


def test_heads_are_coarse_medium_and_fine_and_reach_one_pixel():
    network = encoder()
    assert [TINY.level(i) for i in range(10)] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    # 32 px: the last three stages end at 8, 4 and 2 px
    assert [len(head.convs) // 2 for head in network.heads] == [1, 1, 1, 2, 2, 2, 2, 3, 3, 3]


def test_the_base_head_may_be_wider_than_the_others():
    network = encoder(replace(TINY, base_width=20))
    assert [head.convs[0].out_channels for head in network.heads] == [20] + [6] * 9
    written = {name: tuple(value.shape) for name, value in network.state_dict().items() if "num_batches" not in name}
    told = encoder_shapes(asdict(network.config))
    assert {name: told[name] for name in written} == written


def test_the_small_encoder_of_128_px_has_heads_of_three_to_five_convolutions():
    config = EncoderConfig(input_size=128, num_rows=12, widths=(4, 4, 4, 4), blocks=(1, 1, 2, 1), w_dim=8, head_width=4)
    heads = E4eEncoder(config).heads
    assert [len(head.convs) // 2 for head in heads] == [3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5]
    assert E4eEncoder(config)(toy_image(128)).value.shape == (1, 12, 8)


def test_coarse_rows_ignore_the_lateral_connections_and_fine_rows_use_both():
    network, image = encoder(replace(TINY, variant="psp")), toy_image(32)
    before = network.offset(image)
    network.lateral2.bias.add_(1)
    moved = (network.offset(image) != before).any(dim=2)[0]
    assert moved.tolist() == [False] * 7 + [True] * 3
    network.lateral1.bias.add_(1)
    moved = (network.offset(image) != before).any(dim=2)[0]
    assert moved.tolist() == [False] * 3 + [True] * 7


def test_a_larger_image_is_averaged_to_the_input_size():
    network, small = encoder(), toy_image(32)
    large = small.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    torch.testing.assert_close(network(large).value, network(small).value, atol=1e-5, rtol=1e-4)


def test_a_wide_input_needs_no_square():
    network = encoder(replace(TINY, input_size=64, input_height=48))
    assert network(toy_image(64)).value.shape == (1, 10, 8)
    assert network.offset(toy_image(64)[:, :, :48]).shape == (1, 10, 8)


def test_a_batch_equals_one_by_one():
    network, images = encoder(), toy_image(32, batch=3)
    singles = torch.cat([network(image[None]).value for image in images])
    torch.testing.assert_close(network(images).value, singles, atol=1e-5, rtol=1e-4)


def test_an_encoder_is_built_frozen_and_every_part_can_be_trained():
    network = encoder()
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    network.requires_grad_(True).train()
    network(toy_image(32, batch=2)).value.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_a_few_steps_of_training_lower_the_error():
    network = encoder().requires_grad_(True).train()
    images, target = toy_image(32, batch=4), torch.randn(4, 10, 8)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = (network(images).value - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_default_is_the_released_encoder_in_size():
    with torch.device("meta"):
        network = E4eEncoder()
    assert sum(p.numel() for p in network.parameters()) == 267_136_704
    assert len(network.state_dict()) == 621 + 1  # and the average latent


@pytest.mark.parametrize(
    "fields",
    [
        {"input_size": 40},
        {"num_rows": 0},
        {"num_rows": 65},
        {"variant": "restyle"},
        {"widths": (4, 8), "blocks": (1, 1)},
    ],
)
def test_a_configuration_out_of_range_is_refused(fields: dict[str, object]):
    with pytest.raises(OptionError):
        replace(TINY, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("image", [torch.zeros(3, 32, 32), torch.zeros(1, 1, 32, 32), torch.zeros(1, 3, 32, 32).byte()])
def test_what_is_no_image_is_refused(image: torch.Tensor):
    with pytest.raises(ImageError, match="floating-point tensor"):
        encoder()(image)
