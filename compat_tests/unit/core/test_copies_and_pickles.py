"""Variables, layers, optimizers and metrics can be pickled and copied, and are then independent."""

import copy
import pickle

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import autodiff

WAYS = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "deepcopy": copy.deepcopy,
}
pytestmark = pytest.mark.parametrize("twin_of", WAYS.values(), ids=WAYS)


class Holder(keras.layers.Layer):
    """Sublayers in containers, a seed, a metric, a state."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [keras.layers.Dense(4, activation="relu"), {"drop": keras.layers.Dropout(0.5)}]
        self.by_name = {"last": keras.layers.Dense(2)}
        self.seen = keras.metrics.Mean()
        self.same = self.parts[0]

    def build(self, input_shape):
        self.state = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.parts[0].build(input_shape)
        self.by_name["last"].build((None, 4))

    def call(self, inputs, training=None):
        self.state.assign_add(1.0)
        x = self.parts[1]["drop"](self.parts[0](inputs), training=training)
        self.seen.update_state(x)
        return self.by_name["last"](x)


def test_a_variable(twin_of):
    variable = keras.Variable(
        np.arange(3.0), dtype="bfloat16", trainable=False, autocast=False, name="v",
        aggregation="mean", synchronization="on_read",
    )  # fmt: skip
    variable.regularizer, variable.constraint = (
        keras.regularizers.L2(0.5),
        keras.constraints.NonNeg(),
    )
    variable.overwrite_with_gradient = True
    twin = twin_of(variable)
    for name in ("name", "path", "dtype", "trainable", "autocast", "aggregation", "shape",
                 "synchronization", "overwrite_with_gradient"):  # fmt: skip
        assert getattr(twin, name) == getattr(variable, name)
    assert twin.regularizer.l2 == 0.5 and type(twin.constraint) is keras.constraints.NonNeg
    twin.assign([7, 7, 7])
    assert variable.numpy().tolist() == [0, 1, 2] and twin.key != variable.key


def test_gradients_of_a_twin_are_its_own(twin_of):
    variable = keras.Variable(2.0)
    twin = twin_of(variable)
    with autodiff.GradientTape() as tape:
        y = variable * 3.0 + twin * 5.0
    assert [float(g) for g in tape.gradient(y, [variable, twin])] == [3.0, 5.0]


def test_a_layer_with_parts_computes_the_same_and_is_tracked_on_its_own(twin_of, rng):
    x = rng.standard_normal((5, 3)).astype("float32")
    layer = Holder(name="holder")
    layer(x)
    twin = twin_of(layer)
    np.testing.assert_array_equal(np.asarray(twin(x)), np.asarray(layer(x)))
    np.testing.assert_array_equal(np.asarray(twin(x, training=True)), layer(x, training=True))
    assert [v.path for v in twin.variables] == [v.path for v in layer.variables]
    assert twin.same is twin.parts[0] and twin.parts[0] is not layer.parts[0]
    assert not {id(v) for v in twin.variables} & {id(v) for v in layer.variables}
    assert float(twin.state) == float(layer.state) == 3.0
    assert float(twin.seen.result()) == float(layer.seen.result())
    twin.set_weights([w * 0 for w in twin.get_weights()])
    assert not np.any(twin(x)) and np.any(layer(x))
    with pytest.raises(ValueError, match="must be created in `__init__\\(\\)` or `build\\(\\)`"):
        twin.parts.append(keras.layers.Dense(3))
    fresh = twin_of(Holder())
    fresh.parts.append(keras.layers.Dense(3))
    assert len(fresh._layers) == 4


def test_a_layer_of_a_graph_leaves_the_graph_behind(twin_of):
    inputs = keras.Input((3,), name="x")
    layer = keras.layers.Dense(2)
    model = keras.Model(inputs, layer(inputs))
    twin = twin_of(layer)
    assert twin._inbound_nodes == [] and layer._inbound_nodes
    assert keras.Model(inputs, twin(inputs)).count_params() == model.count_params()
    entry = twin_of(model.layers[0])
    assert entry.output.shape == (None, 3) and entry.output is not inputs


def test_a_model_with_its_optimizer_goes_on_training_alike(twin_of, rng):
    x, y = rng.standard_normal((20, 3)).astype("float32"), rng.standard_normal((20, 1))
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.fit(x, y, epochs=1, verbose=0)
    twin = twin_of(model)
    ours, others = (m.fit(x, y, epochs=2, verbose=0, shuffle=False).history for m in (twin, model))
    for name in ("loss", "mae"):
        np.testing.assert_allclose(ours[name], others[name], rtol=1e-6)


OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "Adam": lambda: keras.optimizers.Adam(0.1, use_ema=True, weight_decay=0.01),
    "Adafactor": lambda: keras.optimizers.Adafactor(0.1),
    "Muon": lambda: keras.optimizers.Muon(0.1),
    "schedule": lambda: keras.optimizers.RMSprop(keras.optimizers.schedules.CosineDecay(0.1, 10)),
    "accumulating": lambda: keras.optimizers.AdamW(0.1, gradient_accumulation_steps=2),
    "LossScale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_with_its_variables_goes_on_alike(twin_of, name, rng):
    optimizer = OPTIMIZERS[name]()
    variables = [keras.Variable(rng.standard_normal((3, 4)), name=n) for n in "ab"]
    if name != "LossScale":
        optimizer.exclude_from_weight_decay([variables[0]])
    gradients = [rng.standard_normal((3, 4)).astype("float32") for _ in "ab"]
    optimizer.apply(gradients, variables)
    twin, others = twin_of((optimizer, variables))
    before = [v.numpy() for v in variables]
    for _ in range(3):
        twin.apply(gradients, others)
    for variable, values in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), values)
    for _ in range(3):
        optimizer.apply(gradients, variables)
    for variable, other in zip(variables, others, strict=True):
        np.testing.assert_allclose(other.numpy(), variable.numpy(), rtol=1e-6, atol=1e-7)
    assert twin.get_config() == optimizer.get_config()
    assert int(twin.iterations) == int(optimizer.iterations)


def test_a_multi_optimizer(twin_of, rng):
    first, second = keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.1)
    variables = [keras.Variable(rng.standard_normal(3), name=n) for n in "ab"]
    dispatch = keras.optimizers.OptimizerMap(second)
    dispatch["a"] = first
    optimizer = keras.optimizers.MultiOptimizer(dispatch)
    optimizer.apply([np.ones(3, "float32")] * 2, variables)
    twin, others = twin_of((optimizer, variables))
    for each, own in ((optimizer, variables), (twin, others)):
        each.apply([np.ones(3, "float32")] * 2, own)
    np.testing.assert_allclose([v.numpy() for v in others], [v.numpy() for v in variables])


def test_a_metric_keeps_its_state(twin_of):
    metric = keras.metrics.AUC(num_thresholds=10)
    metric.update_state([0, 1, 1], [0.2, 0.6, 0.9])
    twin = twin_of(metric)
    assert float(twin.result()) == float(metric.result())
    twin.reset_state()
    assert float(metric.result()) == 1.0
    twin.update_state([0, 1], [0.9, 0.1])
    assert len(twin.variables) == len(metric.variables)


def test_losses_initializers_and_the_like(twin_of):
    for thing in (
        keras.losses.Huber(0.5),
        keras.initializers.HeNormal(seed=3),
        keras.regularizers.L1L2(0.1, 0.2),
        keras.constraints.MaxNorm(2),
        keras.optimizers.schedules.CosineDecay(0.1, 10),
        keras.DTypePolicy("mixed_bfloat16"),
    ):
        assert twin_of(thing).get_config() == thing.get_config()
    generator = keras.random.SeedGenerator(3)
    keras.random.uniform((2,), seed=generator)
    twin = twin_of(generator)
    np.testing.assert_array_equal(*[keras.random.uniform((2,), seed=g) for g in (generator, twin)])


def test_a_rematerialized_layer(twin_of):
    with keras.RematScope("full"):
        layer = keras.layers.Dense(2, activation="relu")
    layer.build((None, 3))
    twin = twin_of(layer)
    assert twin._remat_mode.mode == "full" and vars(twin)["call"]._operation is twin
    with autodiff.GradientTape() as tape:
        y = twin(np.ones((1, 3), "float32"))
    assert tape.gradient(y, twin.kernel) is not None
