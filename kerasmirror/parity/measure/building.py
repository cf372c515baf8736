"""Models: built of a target, of a script's `fit`, and compiled as settings say."""

import importlib.util
import inspect
import os
import runpy
import sys

from .data_of_scripts import first_samples
from .description import description
from .nests import map_nest

_FILES = {}


class _Captured(BaseException):
    """Ends a script where it starts to train: the model and the data are there."""


def _module_of(path):
    if path not in _FILES:
        spec = importlib.util.spec_from_file_location(f"parity_target_{len(_FILES)}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # classes that are defined there look themselves up
        _find_neighbours(path)
        spec.loader.exec_module(module)
        _FILES[path] = module
    return _FILES[path]


def _find_neighbours(path):
    """Let a file import the files beside it, as one that is run does."""
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.append(folder)


def built_model(keras, target, seed):
    """The model of a target, made right after `keras.utils.set_random_seed(seed)`."""
    return _model_and_data(keras, target, seed)[0]


def _model_and_data(keras, target, seed):
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    if not callable(target) and target["kind"] == "script":
        return _run_script(keras, target)
    model = target(keras) if callable(target) else _model_of_file(keras, target)
    if not isinstance(model, keras.Model):
        raise ValueError(f"parity: the function must give a model of `keras`. Received: {model!r}")
    return model, None


def _model_of_file(keras, target):
    module = _module_of(target["file"])
    if target["kind"] == "structure":
        return module.build(keras, target["structure"], target["input_shape"])
    build = getattr(module, target["name"], None)
    if not callable(build):
        raise ValueError(
            f"parity: `target` must name a function of {target['file']}. "
            f"Received: {target['name']!r}"
        )
    return build(keras)


def _run_script(keras, target):
    """(model, arguments) of the first `fit` of a script; (its last model, None) without one."""
    if keras.__name__ == "kerasmirror":
        keras.install_as_keras(tensorflow=True)
    _find_neighbours(target["file"])
    found = []
    before = keras.Model.fit

    def fit(self, *args, **kwargs):
        found.extend((self, inspect.signature(before).bind(self, *args, **kwargs).arguments))
        raise _Captured

    keras.Model.fit = fit
    arguments, sys.argv = sys.argv, [target["file"], *target.get("arguments", ())]
    try:
        names = runpy.run_path(target["file"], run_name="__main__")
    except _Captured:
        return found
    except SystemExit as end:
        raise ValueError(f"parity: the script ended before it trained, status {end.code}") from None
    finally:
        keras.Model.fit, sys.argv = before, arguments
    models = [value for value in names.values() if isinstance(value, keras.Model)]
    if not models:
        raise ValueError(
            "parity: a script must train a model, or leave one in a variable. "
            f"Received: {target['file']}"
        )
    return models[-1], None


def describe(keras, target, seed, samples=None):
    """Inputs, outputs, whether it is compiled, and a script's own data, as plain data.

    Of a script's own data the first `samples` are taken, of a dataset as its pass gives them.
    Raises: ValueError for data of a script that are no arrays with as many rows each.
    """
    model, fitted = _model_and_data(keras, target, seed)
    known = description(model)
    known["data"] = None if fitted is None else first_samples(fitted, samples)
    return known


def ready(keras, target, seed, x, weights=None):
    """The model, built; `x` builds one that does not know its inputs' shapes."""
    model = built_model(keras, target, seed)
    if not model.built and x is not None:
        model(x)
    if weights is not None:
        model.set_weights(weights)
    return model


def compiled(keras, model, settings):
    """The model, compiled with what the settings name, and else what it was compiled with.

    Settings: `optimizer`, a name or config; `loss` and `loss_weights`, one or a nest of them; each
    None where the user says nothing. `usual_loss` is for a model that was not compiled.
    """
    given = {name: settings[name] for name in ("optimizer", "loss", "loss_weights")}
    known = getattr(model, "optimizer", None) is not None
    if known and type(model).compile is not keras.Model.compile:
        if all(value is None for value in given.values()):
            return model  # a compile of the model's own, with arguments of its own
    if given["loss"] is None:
        given["loss"] = model.loss if known else _losses(keras, settings["usual_loss"])
        if given["loss_weights"] is None and known:
            given["loss_weights"] = (model.get_compile_config() or {}).get("loss_weights")
    else:
        given["loss"] = _losses(keras, given["loss"])
    if given["optimizer"] is None and known:
        own = model.optimizer
        given["optimizer"] = type(own).from_config(own.get_config())
    else:
        given["optimizer"] = keras.optimizers.get(given["optimizer"] or "adam")
    model.compile(**given)  # neither metrics nor several steps at once
    return model


def _losses(keras, given):
    if isinstance(given, dict) and "class_name" in given:
        return keras.losses.get(given)
    if isinstance(given, dict):
        return {name: _losses(keras, loss) for name, loss in given.items()}
    if isinstance(given, (list, tuple)):
        return [_losses(keras, loss) for loss in given]
    return keras.losses.get(given)


def as_numpy(keras, nest):
    """A nest of tensors as one of NumPy arrays."""
    return map_nest(keras.ops.convert_to_numpy, nest)


def initial_weights(keras, target, seed, x=None):
    """The weights a model starts with."""
    return ready(keras, target, seed, x).get_weights()
