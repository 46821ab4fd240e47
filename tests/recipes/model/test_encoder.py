"""Inputs that the encoder uses, and inputs that it must not use."""

import numpy as np
import torch

from ebt_recipes.model.batch import Observations
from ebt_recipes.model.encoder import ObservationEncoder, VisionEncoder, augment
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.recipe import EncoderRecipe

UNIT = MeanStd(np.zeros(3, np.float32), np.ones(3, np.float32))
SMALL = EncoderRecipe(image_size=16, channels=(4, 4, 4))


def make_encoder(inputs: tuple[str, ...]) -> ObservationEncoder:
    torch.manual_seed(0)
    statistics = Statistics({name: UNIT for name in ("position", "velocity", "effort", "cube")}, UNIT)
    return ObservationEncoder(SMALL, ("top",), inputs, statistics, width=16)


def observe(**privileged: torch.Tensor) -> Observations:
    generator = torch.Generator().manual_seed(1)
    images = {"top": torch.randint(0, 256, (2, 16, 16, 3), generator=generator, dtype=torch.uint8)}
    return Observations(images, {name: torch.ones(2, 3) for name in ("position", "velocity", "effort")}, privileged)


def test_a_keypoint_follows_a_moving_object() -> None:
    encoder = VisionEncoder((4, 4, 4))
    image = torch.zeros(2, 32, 32, 3)
    image[0, 14:18, 4:8] = image[1, 14:18, 22:26] = 1.0
    across = encoder(image).view(2, 4, 3)[..., 0]
    assert (across[0] - across[1]).abs().max() > 1e-3


def test_there_is_one_token_for_each_camera_and_reading() -> None:
    assert make_encoder(("position", "effort"))(observe()).shape == (2, 3, 16)


def test_privileged_state_is_not_used_unless_named() -> None:
    plain, privileged = make_encoder(("position",)), make_encoder(("position", "cube"))
    first, second = observe(cube=torch.zeros(2, 3)), observe(cube=torch.ones(2, 3))
    assert torch.equal(plain(first), plain(second))
    assert not torch.equal(privileged(first), privileged(second))


def test_a_small_motion_near_the_mean_pose_is_magnified() -> None:
    encoder = make_encoder(("position",))
    near, far = torch.tensor([[0.0] * 3, [0.03] * 3]), torch.tensor([[2.0] * 3, [2.03] * 3])
    moved = [encoder._zoom(pose, 0.03).diff(dim=0).abs().max() for pose in (near, far)]
    assert moved[0] > 0.4 > 20 * moved[1]


def test_augmentation_shifts_by_no_more_than_the_recipe_says_and_repeats_by_seed() -> None:
    observations = Observations({"top": torch.zeros(8, 16, 16, 3, dtype=torch.uint8)}, {}, {})
    observations.images["top"][:, 8, 8] = 255
    recipe = EncoderRecipe(image_size=16, shift_px=3, jitter=0.0)
    pictures = [augment(observations, recipe, torch.Generator().manual_seed(5)).images["top"] for _ in range(2)]
    assert torch.equal(*pictures)
    places = (pictures[0][..., 0] > 0.5).nonzero()[:, 1:]
    assert len(places) == 8 and (places - 8).abs().max() <= 3 and (places - 8).abs().max() > 0


def test_without_shift_and_jitter_augmentation_only_scales() -> None:
    observations = observe()
    same = augment(observations, EncoderRecipe(image_size=16, shift_px=0, jitter=0.0), torch.Generator())
    torch.testing.assert_close(same.images["top"] * 255, observations.images["top"].float())
