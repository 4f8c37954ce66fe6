"""Cost models against times that a formula makes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hetcomp.cost.booster import TrainOptions
from hetcomp.cost.family_model import FamilyModel
from hetcomp.cost.features import FEATURES, features
from hetcomp.cost.launches import FACT_NAMES, Launches
from hetcomp.cost.predictor import PredictedTimes, Predictor, train_predictor
from hetcomp.cost.profile import DeviceProfile, KernelSample
from hetcomp.cost.roofline import ProcessorFacts, estimate, processor_facts
from hetcomp.cost.training import fitted
from hetcomp.cost.validation import cross_predict, validate
from hetcomp.cost.work import KernelWork, Part
from hetcomp.errors import ProfileError

FACTS = ProcessorFacts(100_000.0, 10_000.0, 40_000.0)
OPTIONS = TrainOptions(rounds=120, rate=0.1)


def linear(pixels: int, columns: int, depth: int, *, processor: str = "cpu") -> KernelWork:
    """A product in tiles of 8 x 16."""
    rows, channels = -(-pixels // 8), -(-columns // 16)
    facts = {
        "pixels": pixels, "columns": columns, "depth": depth, "taps": 1, "map_taps": 1,
        "groups": 1, "step": 1, "tile_height": 8, "tile_width": 16, "row_pixels": 8, "lanes": 16,
        "item_bytes": 4, "weight_bytes": 4 * columns * depth, "input_bytes": 4 * pixels * depth,
        "output_bytes": 4 * pixels * columns, "items": 1, "group_rows": 1, "group_channels": 1,
    }  # fmt: skip
    return KernelWork("linear", "direct", processor, rows, channels, rows, channels, facts)


def time_us(work: KernelWork) -> float:
    """Tiles, each with a cost of its own, as a real kernel has."""
    tiles = work.rows * work.channels
    return 0.5 + tiles * (0.05 + 2 * 8 * 16 * work.facts["depth"] / 80_000.0)


def samples(n: int = 300, seed: int = 0) -> list[KernelSample]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        pixels, columns, depth = np.exp2(rng.uniform(3, 10, 3)).astype(int).tolist()
        work = linear(pixels, columns, depth)
        noise = rng.lognormal(0.0, 0.02, 5)
        found.append(KernelSample(work, tuple(time_us(work) * noise), f"shape{number}"))
    return found


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return train_predictor(samples(), {"cpu": FACTS, "gpu": FACTS}, OPTIONS)


def test_unseen_shapes_are_predicted_within_the_goal() -> None:
    given = samples()
    errors = validate(given, cross_predict(given, {"cpu": FACTS}, OPTIONS), 0.0)["linear.cpu"]
    assert errors.samples == len(given)
    assert errors.median_percent < 5.0
    assert errors.mape_percent < 8.0
    assert 60.0 < errors.between_percent <= 100.0


def test_groups_are_never_parted() -> None:
    """Twins of one group would predict each other perfectly, were they in different folds."""
    rng = np.random.default_rng(3)
    given = []
    for number in range(60):
        work = linear(*np.exp2(rng.uniform(3, 10, 3)).astype(int).tolist())
        secret = float(rng.lognormal(0.0, 1.0))
        given += [KernelSample(work, (time_us(work) * secret,), f"g{number}")] * 8
    errors = validate(given, cross_predict(given, {"cpu": FACTS}, OPTIONS), 0.0)["all"]
    assert errors.median_percent > 20.0


def test_outside_the_sampled_range_the_estimate_stands_in(predictor: Predictor) -> None:
    inside, outside = linear(100, 100, 100), linear(100, 100, 100_000)
    found = predictor.predict([inside, outside])
    assert found.sampled.tolist() == [True, False]
    model = predictor.models["product", "cpu"]
    analytic = estimate(Launches.of([outside]), FACTS).total_us[0] * model.ratio
    assert found.times_us[1] == pytest.approx(analytic)
    assert found.low_us[1] < found.times_us[1] < found.high_us[1]


def test_an_unknown_variant_or_family_is_not_sampled(predictor: Predictor) -> None:
    winograd = replace(linear(64, 64, 64), variant="winograd 4x4")
    other = replace(linear(64, 64, 64), family="attention")
    found = predictor.predict([winograd, other, linear(64, 64, 64)])
    assert found.sampled.tolist() == [False, False, True]
    assert np.all(np.isfinite(found.times_us))
    assert np.all(found.times_us > 0)


def test_models_survive_the_profile(predictor: Predictor) -> None:
    text = json.dumps(predictor.to_json())
    limits = {"cpu.flops_per_us": 1e5, "cpu.bytes_per_us": 1e4, "cpu.near_bytes_per_us": 4e4}
    profile = DeviceProfile("here", {}, 0, {}, limits=limits, models=json.loads(text))
    again = Predictor.of_profile(profile)
    works = [sample.work for sample in samples(20, seed=9)]
    np.testing.assert_allclose(again.predict(works).times_us, predictor.predict(works).times_us)


def test_models_of_other_features_are_refused(predictor: Predictor) -> None:
    data = predictor.models["product", "cpu"].to_json()
    with pytest.raises(ProfileError, match="profile the device again"):
        FamilyModel.from_json({**data, "features": 0})


def test_parts_follow_their_tiles(predictor: Predictor) -> None:
    work = linear(512, 512, 512)
    times = PredictedTimes(predictor, [work], [None])
    parts = [Part(0, "cpu", 0, rows, 0, 32) for rows in (64, 32, 0)]
    whole, half, nothing = times.times_us(parts)
    assert whole == pytest.approx(predictor.predict([work]).times_us[0])
    assert 0.35 * whole < half < 0.65 * whole
    assert nothing == 0.0
    assert times.times_us([Part(0, "gpu", 0, 64, 0, 32)])[0] == np.inf


def test_features_are_finite_for_any_work() -> None:
    bare = KernelWork("opaque", "direct", "cpu", 1, 1, 1, 1, {"input_bytes": 64.0})
    found = features(Launches.of([bare, linear(1, 1, 1)]), FACTS)
    assert found.values.shape == (2, len(FEATURES))
    assert np.all(np.isfinite(found.values))
    assert np.all(found.estimates_us > 0)


def test_tiles_count_whole() -> None:
    found = estimate(Launches.of([linear(8, 16, 64), linear(9, 17, 64)]), FACTS)
    one_us = 2 * 8 * 16 * 64 / 1e5 * 9 / 8  # 9 loads a step, 8 multiply-adds
    assert found.compute_us.tolist() == pytest.approx([one_us, 4 * one_us])
    assert found.padding[1] == pytest.approx(4 * 8 * 16 / (9 * 17))


def test_names_of_facts_are_distinct() -> None:
    assert len(set(FACT_NAMES)) == len(FACT_NAMES)


def test_a_fitted_profile_predicts_and_says_how_well() -> None:
    limits = {"cpu.flops_per_us": 1e5, "cpu.bytes_per_us": 1e4, "cpu.near_bytes_per_us": 4e4}
    profile = DeviceProfile("here", {}, 0, {}, limits=limits, samples=tuple(samples(100)))
    found = fitted(profile, OPTIONS)
    assert found.errors["from 0 us"]["linear.cpu"]["median_percent"] < 10.0
    work = linear(100, 200, 300)
    time = Predictor.of_profile(found).predict([work]).times_us[0]
    assert time == pytest.approx(time_us(work), rel=0.2)


@pytest.mark.parametrize("item_bytes", [1, 2])
def test_elements_of_another_size_are_not_sampled(predictor: Predictor, item_bytes: int) -> None:
    work = linear(64, 64, 64)
    narrow = replace(work, facts={**work.facts, "item_bytes": item_bytes})
    assert predictor.predict([work, narrow]).sampled.tolist() == [True, False]


def test_a_gpu_is_as_wide_as_it_says() -> None:
    def width(kind: str, processor: str) -> tuple[int, int]:
        opencl = {"kind": kind, "compute_units": 24, "sub_group": 32}
        found = processor_facts(processor, {}, {"devices": [{"cpu": None}, {"opencl": opencl}]})
        return found.compute_units, found.wave

    assert width("gpu", "gpu") == (24, 32)
    assert width("gpu", "cpu") == (1, 1)
    assert width("cpu", "gpu") == (1, 1)  # the driver of a CPU, whose kernels keep to a core
