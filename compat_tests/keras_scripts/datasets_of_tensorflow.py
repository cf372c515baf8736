"""tf.data pipelines: made of arrays and generators, mapped, batched, padded, and trained on."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(27)
numbers = tf.data.Dataset.range(10)
print([int(x) for x in numbers.map(lambda x: x * 2).filter(lambda x: x % 4 == 0)])
print([batch.numpy().tolist() for batch in numbers.batch(4, drop_remainder=True)])
print(len(numbers), numbers.cardinality().numpy(), numbers.repeat(2).cardinality().numpy())
windows = tf.data.Dataset.range(6).window(3, shift=1, drop_remainder=True)
print([w.numpy().tolist() for w in windows.flat_map(lambda window: window.batch(3))])
doubled = tf.data.Dataset.from_tensor_slices(np.arange(3) * 2.0)
print([(int(a), float(b)) for a, b in tf.data.Dataset.zip((numbers.take(3), doubled))])
parts = tf.data.Dataset.from_tensor_slices({"a": np.arange(4), "b": np.ones((4, 2))}).batch(2)
for part in parts:
    print({name: value.numpy().shape for name, value in part.items()})


def pairs():
    for i in range(3):
        yield np.arange(i + 1), i


signature = (tf.TensorSpec(shape=(None,), dtype=tf.int32), tf.TensorSpec(shape=(), dtype=tf.int64))
made = tf.data.Dataset.from_generator(pairs, output_signature=signature)
for x, y in made.padded_batch(2, padded_shapes=((None,), ())):
    print(x.numpy().tolist(), y.numpy().tolist())


def augment(image, label):
    image = tf.image.flip_left_right(tf.cast(image, tf.float32) / 255.0)
    return tf.image.resize(image, (4, 4)), tf.one_hot(label, 3)


images = np.random.randint(0, 255, (4, 6, 6, 3)).astype("uint8")
pictures = tf.data.Dataset.from_tensor_slices((images, [0, 1, 2, 0])).map(
    augment, num_parallel_calls=tf.data.AUTOTUNE
)
for image, label in pictures.batch(2).take(1):
    print(tuple(image.shape), round(float(tf.reduce_mean(image)), 3), label.numpy().tolist())

x = np.random.rand(64, 8).astype("float32")
y = x.sum(1)
train = tf.data.Dataset.from_tensor_slices((x, y)).cache().shuffle(64).batch(16)
train = train.prefetch(tf.data.AUTOTUNE)
validation = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
normalization = keras.layers.Normalization()
normalization.adapt(train.map(lambda features, label: features))
print(np.allclose(normalization.mean, x.mean(0), atol=1e-4))
model = keras.Sequential([keras.Input((8,)), normalization, keras.layers.Dense(1)])
model.compile("adam", "mse")
history = model.fit(train, validation_data=validation, epochs=2, verbose=0).history
print(sorted(history), history["val_loss"][1] < history["val_loss"][0])
print(model.predict(validation.map(lambda features, label: features), verbose=0).shape)
history = model.fit(train.repeat(), steps_per_epoch=3, epochs=2, verbose=0).history
print(len(history["loss"]))
