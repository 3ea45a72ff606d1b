"""What each worker sees: all images once, as one process sees them, but for a last batch that is not whole."""

import numpy as np
import pytest

from tfq.data import Batches
from tfq.distribute.alone import Alone, DistributionError
from tfq.distribute.data_parallel import DataParallel
from tfq.distribute.shards import TestShard, TrainingShard
from tfq.training.optimizers import scaled
from tfq.training.rest import Rest

MEAN, STD = np.full(3, 0.4, "float32"), np.full(3, 0.2, "float32")


def batches(count, size, **options):
    """Images that are told apart by their labels."""
    x = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3)).astype("uint8")
    return Batches(x, np.arange(count), size, MEAN, STD, seed=3, **options)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_shards_of_a_step_are_its_batch(workers):
    whole = batches(50, 12, shuffle=True, crop=True, flip=True)
    shards = [TrainingShard(whole, worker, workers) for worker in range(workers)]
    assert {getattr(shard, "workers", 1) for shard in shards} == {1}, "with threads Keras 3.15 feeds the first batch last"
    whole.set_epoch(2)
    labels = []
    for index in range(4):
        parts = [shard[index] for shard in shards]
        images, of_batch = whole[index]
        np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), images)
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), of_batch)
        labels += [*of_batch]
    assert [len(shard) for shard in shards] == [4] * workers
    assert len({*labels}) == len(labels) == 48 == shards[0].num_images == shards[0].seen(3)


def test_the_rest_of_an_epoch_is_cut_too():
    whole = batches(50, 12, shuffle=True, crop=True)
    rest, shard = TrainingShard(Rest(whole, 3), 1, 2), TrainingShard(whole, 1, 2)
    assert len(rest) == 1
    np.testing.assert_array_equal(rest[0][0], shard[3][0])


@pytest.mark.parametrize(("workers", "replicas"), [(1, 2), (2, 2), (2, 4), (3, 3)])
def test_a_mean_over_the_shards_of_a_test_is_that_over_its_images(workers, replicas):
    whole = batches(13, 5)
    shards = [TestShard(whole, worker, workers, replicas) for worker in range(workers)]
    labels, weights = [], []
    for index in range(len(shards[0])):
        for shard in shards:
            images, of_batch, weight = shard[index]
            assert len(images) % (replicas // workers) == 0
            expected = whole.normalized_values()[whole.x[of_batch], np.arange(3)]
            np.testing.assert_array_equal(images[weight > 0], expected[weight > 0])
            labels, weights = [*labels, *of_batch], [*weights, *weight]
    labels, weights = np.array(labels), np.array(weights, "float64")
    np.testing.assert_array_equal(np.sort(labels[weights > 0]), np.arange(13))
    np.testing.assert_allclose((labels * weights).sum() / len(weights), np.arange(13).mean(), rtol=1e-6)
    assert shards[0].seen(len(shards[0]) - 1) == shards[0].num_images == 13


def test_a_batch_must_be_cut_evenly():
    engine = Alone()
    assert engine.steps(batches(50, 12)) == 5
    engine.replicas = 4
    assert engine.steps(batches(50, 12)) == 4
    with pytest.raises(DistributionError, match=r"--batch_size=10 .* multiple of their number, 4"):
        engine.steps(batches(50, 10))
    with pytest.raises(DistributionError, match="no whole batch of 3 training images"):
        engine.steps(batches(3, 4))


def test_workers_that_go_on_elsewhere_are_found():
    engine = Alone()
    engine.check_same("epochs", 3)
    engine.everywhere = lambda number: np.array([number, 7.0])
    with pytest.raises(DistributionError, match="worker 0 has epochs 3, but among all there are 3, 7"):
        engine.check_same("epochs", 3)


def test_the_other_of_two_workers_is_named_by_whatever_error_tells_that_it_is_gone():
    engine = DataParallel.__new__(DataParallel)  # without a job
    engine.worker, engine.workers = 0, 2
    gone = ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer\nand more")
    assert engine.explain(gone) == "worker 1 of 2 is gone: UNKNOWN: Gloo AllGather failed: Connection reset by peer"
    assert engine.explain(ValueError("shapes differ")) is None


class JaxRuntimeError(RuntimeError):
    """Known by its name, since JAX need not be installed."""


def test_an_error_of_jax_is_of_a_lost_worker_where_it_speaks_of_one():
    engine = DataParallel.__new__(DataParallel)
    engine.worker, engine.workers = 0, 2
    for said in (
        "UNAVAILABLE: failed to connect to all addresses",
        "DEADLINE_EXCEEDED: Barrier timed out",
        "INTERNAL: NCCL operation failed: remote process exited or there was a network error",
    ):
        assert engine.explain(JaxRuntimeError(said)) == f"worker 1 of 2 is gone: {said}"
    for said in ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes", "INVALID_ARGUMENT: shapes differ", ""):
        assert engine.explain(JaxRuntimeError(said)) is None


def test_the_rate_follows_the_batch_by_the_rule_of_the_optimizer():
    assert scaled(0.1, "sgd", 512, None) == 0.1
    assert scaled(0.1, "sgd", 512, 128) == pytest.approx(0.4)
    assert scaled(0.1, "adam", 512, 128) == pytest.approx(0.2)
