import json

import numpy as np

from ebt_recipes.model.normalization import MeanStd, Statistics


def test_nearly_constant_values_are_not_amplified() -> None:
    values = np.array([[0.0, 1.0], [2.0, 1.0]], np.float32)
    statistics = MeanStd.of(values, floor=0.02)
    np.testing.assert_allclose(statistics.mean, [1.0, 1.0])
    np.testing.assert_allclose(statistics.std, [1.0, 0.02])


def test_statistics_come_back_from_json_to_the_last_bit() -> None:
    values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    before = Statistics({"position": MeanStd.of(values, 0.02)}, MeanStd.of(values * 3, 0.02))
    after = Statistics.from_json(json.loads(json.dumps(before.to_json())))
    np.testing.assert_array_equal(after.inputs["position"].mean, before.inputs["position"].mean)
    np.testing.assert_array_equal(after.chunk.std, before.chunk.std)
    assert after.chunk.std.dtype == np.float32
