"""Optimizers: flat parameters, order of steps, formulas, errors."""

import copy
import re
import warnings

import numpy as np
import pytest

import kerasmirror as keras

SHAPES = ((3, 4), (4,), (200, 200), ())
ELEMENTWISE = (
    "SGD Adam AdamW Adamax Nadam Adagrad Adadelta RMSprop Ftrl Lion ScheduleFreeAdamW"
).split()


def variables_of(rng, dtype="float32", shapes=SHAPES):
    return [
        keras.Variable(rng.normal(size=shape).astype(dtype), name=f"w{i}")
        for i, shape in enumerate(shapes)
    ]


def gradients_of(rng, dtype="float32", shapes=SHAPES):
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def values(variables):
    return [v.numpy() for v in variables]


def test_variables_keep_values_and_become_views_of_one_buffer(rng):
    variables = variables_of(rng)
    before = values(variables)
    keras.optimizers.Adam().build(variables)
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
        assert variable.data.flags.c_contiguous and variable.data.ctypes.data % 64 == 0
    bases = {id(v.data.base if v.data.base is not None else v.data) for v in variables}
    assert len(bases) == 1


def test_assigning_a_variable_between_steps_counts(rng):
    variables = variables_of(rng)
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply(gradients_of(rng), variables)
    variables[0].assign(np.zeros((3, 4)))
    gradients = gradients_of(rng)
    optimizer.apply(gradients)
    np.testing.assert_array_equal(variables[0].numpy(), -gradients[0])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_flat_updates_equal_updates_one_by_one(rng, name):
    start, steps = values(variables_of(rng)), [gradients_of(rng) for _ in range(4)]
    results = []
    for flat in (True, False):
        variables = [keras.Variable(value, name=f"w{i}") for i, value in enumerate(start)]
        optimizer = getattr(keras.optimizers, name)(weight_decay=0.01)
        for gradients in steps:
            if flat:
                optimizer.apply(gradients, variables)
            else:  # another order than that of the variables: no flat update
                optimizer.build(variables) if not optimizer.built else None
                optimizer.apply(gradients[::-1], variables[::-1])
        results.append(values(variables) + values(optimizer.variables[2:]))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_two_optimizers_take_turns_on_the_same_variables(rng):
    shared, lone = variables_of(rng), None
    lone = [keras.Variable(v.numpy(), name=v.name) for v in shared]
    first, second = keras.optimizers.Adam(0.1), keras.optimizers.SGD(0.1, momentum=0.9)
    third = keras.optimizers.Adam(0.1)
    first.build(shared)
    second.build(shared)
    third.build(lone)
    for _ in range(3):
        gradients = gradients_of(rng)
        first.apply(gradients)
        third.apply(gradients)
    for a, b in zip(values(shared), values(lone), strict=True):
        np.testing.assert_array_equal(a, b)
    before = values(shared)
    gradients = gradients_of(rng)
    second.apply(gradients)
    for a, b, g in zip(values(shared), before, gradients, strict=True):
        np.testing.assert_allclose(a, b - np.float32(0.1) * g, rtol=1e-5, atol=1e-6)


def test_a_deep_copy_leaves_the_original_alone(rng):
    variables = variables_of(rng)
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.apply(gradients_of(rng), variables)
    before = values(variables) + values(optimizer.variables)
    twin, twins = copy.deepcopy((optimizer, variables))
    twin.build(twins)
    twin.apply(gradients_of(rng), twins)
    for a, b in zip(before, values(variables) + values(optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [
    {"clipnorm": 0.1},
    {"clipvalue": 0.1},
    {"global_clipnorm": 0.1},
    {"loss_scale_factor": 4.0},
    {"gradient_accumulation_steps": 2},
])  # fmt: skip
@pytest.mark.parametrize("name", ["SGD", "Lamb"])
def test_gradients_of_the_caller_are_not_changed(rng, kind, name):
    variables, gradients = variables_of(rng), gradients_of(rng)
    before = [g.copy() for g in gradients]
    optimizer = getattr(keras.optimizers, name)(**kind)
    for _ in range(2):
        optimizer.apply(gradients, variables)
    for a, b in zip(gradients, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_may_be_tensors_arrays_views_or_other_floats(rng):
    a, b = variables_of(rng), variables_of(rng)
    for x, y in zip(a, b, strict=True):
        y.assign(x)
    gradients = gradients_of(rng)
    keras.optimizers.SGD(0.1).apply([keras.ops.convert_to_tensor(g) for g in gradients], a)
    odd = [np.asarray(g, "float64", order="F") for g in gradients]
    keras.optimizers.SGD(0.1).apply(odd, b)
    for x, y in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_global_clipping_makes_the_norm_the_limit(rng):
    variables, gradients = variables_of(rng), gradients_of(rng)
    before = values(variables)
    keras.optimizers.SGD(1.0, global_clipnorm=0.5).apply(gradients, variables)
    moved = [b - a for a, b in zip(values(variables), before, strict=True)]
    norm = np.sqrt(sum(np.sum(np.square(m, dtype="float64")) for m in moved))
    assert norm == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("option", ["clipnorm", "global_clipnorm"])
def test_infinite_gradients_are_clipped_as_in_keras(option):
    variable = keras.Variable(np.zeros(2, "float32"))
    optimizer = keras.optimizers.SGD(1.0, **{option: 1.0})
    with np.errstate(invalid="ignore"):
        optimizer.apply([np.array([np.inf, 1], "float32")], [variable])
    assert np.isnan(variable.numpy()[0])
    assert np.isnan(variable.numpy()[1]) == (option == "global_clipnorm")


def test_adam_is_the_paper_s_rule_in_float64(rng):
    variable = keras.Variable(rng.normal(size=7), dtype="float64")
    w, m, v = variable.numpy(), np.zeros(7), np.zeros(7)
    optimizer = keras.optimizers.Adam(0.25, beta_1=0.5, beta_2=0.75, epsilon=1e-8)
    for t in range(1, 6):
        g = rng.normal(size=7)
        optimizer.apply([g], [variable])
        m, v = 0.5 * m + 0.5 * g, 0.75 * v + 0.25 * g * g
        step = 0.25 * np.sqrt(1 - 0.75**t) / (1 - 0.5**t)
        w = w - step * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(variable.numpy(), w, rtol=1e-13)


def test_ftrl_is_the_paper_s_rule_in_float64(rng):
    variable = keras.Variable(rng.normal(size=7), dtype="float64")
    w, n, z = variable.numpy(), np.full(7, 0.5), np.zeros(7)
    l1, l2, rate = 0.5, 0.25, 0.125
    optimizer = keras.optimizers.Ftrl(
        rate,
        initial_accumulator_value=0.5,
        l1_regularization_strength=l1,
        l2_regularization_strength=l2,
    )
    for _ in range(5):
        g = rng.normal(size=7)
        optimizer.apply([g], [variable])
        sigma = (np.sqrt(n + g * g) - np.sqrt(n)) / rate
        z, n = z + g - sigma * w, n + g * g
        w = np.where(np.abs(z) <= l1, 0, (np.sign(z) * l1 - z) / (np.sqrt(n) / rate + 2 * l2))
        np.testing.assert_allclose(variable.numpy(), w, rtol=1e-12, atol=1e-14)


def test_accumulated_gradients_give_one_step_of_their_mean(rng):
    whole, parts = variables_of(rng), variables_of(rng)
    for a, b in zip(whole, parts, strict=True):
        b.assign(a)
    gradients = [gradients_of(rng) for _ in range(4)]
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=4)
    for step, gradient in enumerate(gradients):
        before = values(parts)
        optimizer.apply(gradient, parts)
        if step < 3:
            assert all((a == b).all() for a, b in zip(before, values(parts), strict=True))
    assert int(optimizer.iterations) == 1
    means = [np.mean(each, 0) for each in zip(*gradients, strict=True)]
    keras.optimizers.SGD(0.1, momentum=0.9).apply(means, whole)
    for a, b in zip(values(parts), values(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_averages_replace_the_weights_when_training_ends(rng):
    variables = variables_of(rng)
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    history = []
    for _ in range(3):
        optimizer.apply(gradients_of(rng), variables)
        history.append(variables[0].numpy())
    average = history[0]
    for value in history[1:]:
        average = 0.5 * average + 0.5 * value
    optimizer.finalize_variable_values(variables)
    np.testing.assert_allclose(variables[0].numpy(), average, rtol=1e-6)


def test_stateless_apply_changes_nothing(rng):
    variables = variables_of(rng)
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(variables)
    before = values(variables), values(optimizer.variables)
    gradients = gradients_of(rng)
    weights, state = optimizer.stateless_apply(before[1], gradients, before[0])
    for a, b in zip(before[0] + before[1], values(variables) + values(optimizer.variables),
                    strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    optimizer.apply(gradients)
    for a, b in zip(values(variables), weights, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    assert int(state[0]) == 1


def test_a_learning_rate_can_become_a_schedule_but_not_a_number_again():
    optimizer = keras.optimizers.SGD(0.1)
    assert len(optimizer.variables) == 2
    optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    assert [v.name for v in optimizer.variables] == ["iteration"]
    with pytest.raises(TypeError, match="cannot be set to a value, because it is a schedule"):
        optimizer.learning_rate = 0.2


def test_apply_gradients_takes_pairs_and_gives_the_iterations(rng):
    variables, gradients = variables_of(rng), gradients_of(rng)
    optimizer = keras.optimizers.SGD()
    steps = optimizer.apply_gradients(zip(gradients, variables, strict=True))
    assert steps is optimizer.iterations and int(steps) == 1


def test_scaled_losses_give_the_same_step(rng):
    start = rng.normal(size=4).astype("float32")
    results = []
    for scale in (None, 8.0):
        variable = keras.Variable(start)
        optimizer = keras.optimizers.SGD(0.1, loss_scale_factor=scale)
        with keras.autodiff.GradientTape() as tape:
            loss = optimizer.scale_loss(keras.ops.sum(variable * variable))
        optimizer.apply([tape.gradient(loss, variable)], [variable])
        results.append(variable.numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_missing_gradients_warn_and_leave_the_variable_alone(rng):
    variables, gradients = variables_of(rng), gradients_of(rng)
    gradients[1] = None
    before = variables[1].numpy()
    with pytest.warns(UserWarning, match=re.escape("Gradients do not exist for variables ['w1']")):
        keras.optimizers.Adam().apply(gradients, variables)
    np.testing.assert_array_equal(variables[1].numpy(), before)


def test_a_loss_scale_follows_overflows():
    variable = keras.Variable(np.ones(2, "float32"))
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(1.0), initial_scale=8.0, dynamic_growth_steps=2
    )
    assert float(optimizer.scale_loss(keras.ops.convert_to_tensor(2.0))) == 16.0
    optimizer.apply([np.array([np.inf, 1], "float32")], [variable])
    np.testing.assert_array_equal(variable.numpy(), [1, 1])
    assert float(optimizer.dynamic_scale) == 4.0 and int(optimizer.iterations) == 0
    for _ in range(2):
        optimizer.apply([np.array([4, 8], "float32")], [variable])
    np.testing.assert_array_equal(variable.numpy(), [-1, -3])
    assert float(optimizer.dynamic_scale) == 8.0 and int(optimizer.iterations) == 2
    rebuilt = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert rebuilt.get_config() == optimizer.get_config()


def test_a_map_sends_variables_to_their_optimizers():
    variables = [keras.Variable(np.ones(2, "float32"), name=name) for name in ("a", "b_bias")]
    slow, fast = keras.optimizers.SGD(0.25), keras.optimizers.SGD(0.5)
    chosen = keras.optimizers.OptimizerMap(slow, {".*bias": fast})
    optimizer = keras.optimizers.MultiOptimizer(chosen)
    optimizer.apply([np.ones(2, "float32")] * 2, variables)
    np.testing.assert_array_equal(variables[0].numpy(), [0.75, 0.75])
    np.testing.assert_array_equal(variables[1].numpy(), [0.5, 0.5])
    assert int(optimizer.iterations) == 1 and len(optimizer.variables) == 6
    rebuilt = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert rebuilt.get_config() == optimizer.get_config()


def test_names_classes_and_configs_are_found():
    for name in ("adam", "Adam", "sgd", "rmsprop", "RMSprop", "adamw", "AdamW", "lamb", "ftrl"):
        assert type(keras.optimizers.get(name)).__name__.lower() == name.lower()
    config = {"class_name": "adam", "config": {"learning_rate": 0.5}}
    assert float(keras.optimizers.get(config).learning_rate) == 0.5
    optimizer = keras.optimizers.SGD()
    assert keras.optimizers.get(optimizer) is optimizer and keras.optimizers.get(None) is None


ERRORS = {
    "SGD: `learning_rate` must be a float, a LearningRateSchedule or a callable without arguments. "
    "Received: learning_rate=1": (ValueError, lambda o: o.SGD(1)),
    "SGD: `momentum` must be a float between [0, 1]. Received: momentum=2.0": (
        ValueError,
        lambda o: o.SGD(momentum=2.0),
    ),
    "SGD: unknown arguments {'lr': 0.1}": (ValueError, lambda o: o.SGD(lr=0.1)),
    "Adam: Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: "
    "clipnorm=1.0, clipvalue=2.0, global_clipnorm=None": (
        ValueError,
        lambda o: o.Adam(clipnorm=1.0, clipvalue=2.0),
    ),
    "Adam: `gradient_accumulation_steps` must be an int of at least 2, or None. Received: "
    "gradient_accumulation_steps=1": (
        ValueError,
        lambda o: o.Adam(gradient_accumulation_steps=1),
    ),
    "Adam: `ema_momentum` must be in the range [0, 1]. Received: ema_momentum=1.5": (
        ValueError,
        lambda o: o.Adam(use_ema=True, ema_momentum=1.5),
    ),
    "Adam: `ema_overwrite_frequency` must be an int of at least 1, or None. Received: "
    "ema_overwrite_frequency=-1": (
        ValueError,
        lambda o: o.Adam(use_ema=True, ema_overwrite_frequency=-1),
    ),
    "Argument `weight_decay` must be a float. Received: weight_decay=None": (
        ValueError,
        lambda o: o.AdamW(weight_decay=None),
    ),
    "Argument `beta_1` must be in the [0, 1] range. Otherwise, the optimizer degenerates to "
    "SignSGD. Received: beta_1=0.": (
        ValueError,
        lambda o: o.Lion(beta_1=0),
    ),
    "`learning_rate_power` needs to be negative or zero. Received: learning_rate_power=1.": (
        ValueError,
        lambda o: o.Ftrl(learning_rate_power=1),
    ),
    "`l1_regularization_strength` needs to be positive or zero. Received: "
    "l1_regularization_strength=-1.": (
        ValueError,
        lambda o: o.Ftrl(l1_regularization_strength=-1),
    ),
    "LossScaleOptimizer: `clipnorm` must be set on the `inner_optimizer`. Received: clipnorm=1.0": (
        ValueError,
        lambda o: o.LossScaleOptimizer(o.SGD(), clipnorm=1.0),
    ),
    "OptimizerMap: `default_optimizer` must be an optimizer. Received: default_optimizer='adam'": (
        TypeError,
        lambda o: o.OptimizerMap("adam"),
    ),
    "keras.optimizers.get: `identifier` must be a name, a config dict or an optimizer. "
    "Received: identifier=7": (ValueError, lambda o: o.get(7)),
    "SGD.apply: `trainable_variables` must be given unless the optimizer is built. Call "
    "`optimizer.build(trainable_variables)` first.": (
        ValueError,
        lambda o: o.SGD().apply([np.ones(1)]),
    ),
    "SGD.apply_gradients: `grads_and_vars` must hold at least one pair. "
    "Received: grads_and_vars=[]": (ValueError, lambda o: o.SGD().apply_gradients([])),
    "SGD.set_weights: You are calling `set_weights()` on an optimizer that must be built first, by "
    "`optimizer.build(trainable_variables)`.": (ValueError, lambda o: o.SGD().set_weights([])),
    "SGD.stateless_apply: the optimizer must be built. Call "
    "`optimizer.build(trainable_variables)` first.": (
        ValueError,
        lambda o: o.SGD().stateless_apply([], [], []),
    ),
    "keras.optimizers.legacy: Keras 3 has no legacy optimizers. Use the one of the same name in "
    "`keras.optimizers`.": (ImportError, lambda o: o.legacy.Adam()),
    "ExponentialDecay: `decay_steps` must be more than 0. Received: decay_steps=0": (
        ValueError,
        lambda o: o.schedules.ExponentialDecay(0.1, 0, 0.5),
    ),
    "CosineDecayRestarts: `first_decay_steps` must be more than 0. Received: "
    "first_decay_steps=-1": (ValueError, lambda o: o.schedules.CosineDecayRestarts(0.1, -1)),
    "PiecewiseConstantDecay: `values` must hold one entry more than `boundaries`. Received: "
    "boundaries=[1] (1 entries), values=[0.1] (1 entries)": (
        ValueError,
        lambda o: o.schedules.PiecewiseConstantDecay([1], [0.1]),
    ),
}


@pytest.mark.parametrize("text", ERRORS)
def test_mistakes_are_named(text):
    error, mistake = ERRORS[text]
    with pytest.raises(error) as raised:
        mistake(keras.optimizers)
    assert str(raised.value) == text


def built():
    variables = [keras.Variable(np.ones((2, 3), "float32"), name="w")]
    optimizer = keras.optimizers.SGD()
    optimizer.build(variables)
    return optimizer, variables


USE_ERRORS = {
    "SGD.apply: `grads` must hold one gradient for each of the 1 trainable variables. "
    "Received: 2 gradients": lambda o, v: o.apply([np.ones((2, 3))] * 2),
    "keras.Optimizer.apply: each gradient must have its variable's shape (2, 3). Received: a "
    "gradient of shape (3, 2) for variable 'w'": lambda o, v: o.apply([np.ones((3, 2))]),
    "SGD.apply: `trainable_variables` must be among those the optimizer was built with; make a "
    "new optimizer for new variables. Received: 'other'": lambda o, v: o.apply(
        [np.ones(1)], [keras.Variable(np.ones(1), name="other")]
    ),
    "SGD.apply: No gradients provided for any variable. `grads` must hold at least one. Received: "
    "None for all of ['w']": (lambda o, v: o.apply([None])),
    "SGD.exclude_from_weight_decay: the optimizer must not be built yet when variables are "
    "excluded.": lambda o, v: o.exclude_from_weight_decay(var_names=["w"]),
    "SGD.set_weights: each weight must have its variable's shape (). Received: shape (2,) for "
    "'sgd/iteration'": lambda o, v: o.set_weights([np.ones(2)]),
    "SGD.stateless_apply: `optimizer_variables` must hold 2 values. Received: 1 values": (
        lambda o, v: o.stateless_apply([0], [np.ones((2, 3))], [np.ones((2, 3))])
    ),
}


@pytest.mark.parametrize("text", USE_ERRORS)
def test_mistakes_in_use_are_named(text):
    keras.utils.clear_session()
    optimizer, variables = built()
    before = variables[0].numpy()
    with pytest.raises(ValueError) as raised:
        USE_ERRORS[text](optimizer, variables)
    assert str(raised.value) == text
    np.testing.assert_array_equal(variables[0].numpy(), before)


def test_a_constructor_without_super_is_named():
    class Own(keras.optimizers.Optimizer):
        def __init__(self):
            self.rate = 1.0

    with pytest.raises(RuntimeError) as raised:
        Own()
    assert str(raised.value) == (
        "Own: call `super().__init__()` first in `__init__()`, before setting attributes."
    )


def test_loading_another_number_of_variables_warns():
    optimizer, _ = built()
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        optimizer.load_own_variables({"0": np.int64(1)})


def test_decay_warns_and_has_no_effect():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        keras.optimizers.SGD(decay=0.1)
    assert "`decay` is no argument any more" in str(caught[0].message)
