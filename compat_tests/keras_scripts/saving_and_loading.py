"""Models, layers and functions of one's own in files, and what they keep beside weights."""

import os
import tempfile

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(7)
os.chdir(tempfile.mkdtemp())


@keras.saving.register_keras_serializable(package="my_package", name="custom_fn")
def custom_fn(x):
    return x**2


@keras.saving.register_keras_serializable(package="MyLayers")
class CustomLayer(keras.layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


i = keras.Input(shape=(4,))
x = CustomLayer(0.5)(i)
x = layers.Dense(3, activation=custom_fn)(x)
m = keras.Model(i, x)
m.compile("adam", "mse", metrics=["mae"])
X = np.random.random((16, 4))
Y = np.random.random((16, 3))
m.fit(X, Y, verbose=0)
m.save("m.keras")
r = keras.models.load_model("m.keras")
np.testing.assert_allclose(m.predict(X, verbose=0), r.predict(X, verbose=0))
print(
    r.optimizer.iterations.numpy()
    if hasattr(r.optimizer.iterations, "numpy")
    else r.optimizer.iterations,
    r.compiled,
    r.loss,
)
print(np.round(r.evaluate(X, Y, verbose=0), 5))


class Unreg(layers.Layer):
    def __init__(self, sublayer, **kw):
        super().__init__(**kw)
        self.sublayer = layers.deserialize(sublayer) if isinstance(sublayer, dict) else sublayer

    def call(self, x):
        return self.sublayer(x)

    def get_config(self):
        return {
            **super().get_config(),
            "sublayer": keras.saving.serialize_keras_object(self.sublayer),
        }

    @classmethod
    def from_config(cls, config):
        config["sublayer"] = keras.saving.deserialize_keras_object(config["sublayer"])
        return cls(**config)


m = keras.Sequential([keras.Input((4,)), Unreg(layers.Dense(2))])
m.save("u.keras")
try:
    keras.models.load_model("u.keras")
except Exception as e:
    print(type(e).__name__)
r = keras.models.load_model("u.keras", custom_objects={"Unreg": Unreg})
print(np.allclose(r(X), m(X)))
with keras.saving.custom_object_scope({"Unreg": Unreg}):
    print(np.allclose(keras.models.load_model("u.keras")(X), m(X)))
m.save_weights("w.weights.h5")
m2 = keras.Sequential([keras.Input((4,)), Unreg(layers.Dense(2))])
m2.load_weights("w.weights.h5")
print(np.allclose(m2(X), m(X)))
try:
    m.save_weights("w.h5")
except Exception as e:
    print(type(e).__name__)
try:
    m.save("model")
except Exception as e:
    print(type(e).__name__)
try:
    keras.models.load_model("nothing.keras")
except Exception as e:
    print(type(e).__name__)
try:
    m2.load_weights("missing.weights.h5")
except Exception as e:
    print(type(e).__name__)
try:
    keras.Sequential([keras.Input((4,)), layers.Dense(3)]).load_weights("w.weights.h5")
except Exception as e:
    print(type(e).__name__)
config = layers.Dense(3, activation="relu", kernel_regularizer="l2").get_config()
print(sorted(config))
print(config["kernel_regularizer"], config["activation"])
ld = layers.Dense.from_config(config)
print(ld.units)
inputs = keras.Input((32,))
fm = keras.Model(inputs, layers.Dense(1)(inputs))
c = fm.get_config()
nm = keras.Model.from_config(c)
print(nm.count_params())
js = fm.to_json()
print(keras.models.model_from_json(js).count_params(), js[:60])
cl = keras.models.clone_model(
    fm, clone_function=lambda layer: type(layer).from_config(layer.get_config())
)
print(cl.count_params())
print(
    keras.saving.get_registered_name(CustomLayer),
    keras.saving.get_registered_object("MyLayers>CustomLayer") is CustomLayer,
)


class CustomModel(keras.Model):
    def __init__(self, hidden_units, **kw):
        super().__init__(**kw)
        self.hidden_units = hidden_units
        self.dense_layers = [layers.Dense(u) for u in hidden_units]

    def call(self, x):
        for layer in self.dense_layers:
            x = layer(x)
        return x

    def get_config(self):
        return {"hidden_units": self.hidden_units}


cm = CustomModel([4, 1])
cm(X)
cm.save("cm.keras")
r = keras.models.load_model("cm.keras", custom_objects={"CustomModel": CustomModel})
print(np.allclose(r(X), cm(X)))


class LayerWithAsset(layers.Layer):
    def __init__(self, vocab=None, **kw):
        super().__init__(**kw)
        self.vocab = vocab

    def call(self, x):
        return x

    def save_assets(self, p):
        with open(os.path.join(p, "vocabulary.txt"), "w") as file:
            file.write(self.vocab)

    def load_assets(self, p):
        with open(os.path.join(p, "vocabulary.txt")) as file:
            self.vocab = file.read()


m = keras.Sequential([keras.Input((1,)), LayerWithAsset("hello")])
m.save("a.keras")
print(
    keras.models.load_model("a.keras", custom_objects={"LayerWithAsset": LayerWithAsset})
    .layers[0]
    .vocab
)


class OwnVars(layers.Layer):
    def build(self, s):
        self.stuff = np.ones(3)

    def call(self, x):
        return x

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["stuff"] = self.stuff

    def load_own_variables(self, store):
        self.stuff = np.array(store["stuff"])


m = keras.Sequential([keras.Input((1,)), OwnVars()])
m.layers[0].stuff = np.arange(3.0)
m.save("o.keras")
print(keras.models.load_model("o.keras", custom_objects={"OwnVars": OwnVars}).layers[0].stuff)
lm = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: x * 2)])
lm.save("l.keras")
try:
    keras.models.load_model("l.keras")
except Exception as e:
    print(type(e).__name__)
print(np.array(keras.models.load_model("l.keras", safe_mode=False)(np.ones((1, 2)))))
fm.save("legacy.h5")
print(type(keras.models.load_model("legacy.h5", compile=False)).__name__)
