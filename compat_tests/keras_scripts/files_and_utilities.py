"""Folders of images and texts as data, splits, targets, and other utilities."""

import hashlib
import os
import tempfile

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(20)
d = tempfile.mkdtemp()
os.chdir(d)
print(
    keras.utils.to_categorical([0, 1, 2, 1], 4),
    keras.utils.to_categorical([1, 3]).shape,
    keras.utils.normalize(np.array([[3.0, 4.0]])),
    np.array(keras.utils.to_categorical(np.array([[0], [1]]))).shape,
)
for c in ("cats", "dogs"):
    os.makedirs(f"pets/{c}")
    for k in range(6):
        keras.utils.save_img(
            f"pets/{c}/{k}.png", np.random.randint(0, 255, (20 + k, 24, 3)).astype("float32")
        )
ds = keras.utils.image_dataset_from_directory(
    "pets", image_size=(16, 16), batch_size=4, shuffle=False
)
print(ds.class_names)
for im, lab in ds:
    print(
        im.shape,
        np.array(lab),
        str(im.dtype).split("'")[-2] if "'" in str(im.dtype) else im.dtype,
        round(float(np.array(im).mean()), 2),
    )
tr, va = keras.utils.image_dataset_from_directory(
    "pets",
    validation_split=0.25,
    subset="both",
    seed=1,
    image_size=(16, 16),
    batch_size=4,
    label_mode="categorical",
    color_mode="grayscale",
)
print(len(tr), len(va))
for im, lab in tr.take(1):
    print(im.shape, lab.shape)
m = keras.Sequential(
    [
        keras.Input((16, 16, 1)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3),
        layers.Flatten(),
        layers.Dense(2, activation="softmax"),
    ]
)
m.compile("adam", "categorical_crossentropy")
h = m.fit(tr, validation_data=va, epochs=1, verbose=0)
print(sorted(h.history))
img = keras.utils.load_img("pets/cats/0.png", target_size=(8, 8))
arr = keras.utils.img_to_array(img)
print(arr.shape, arr.dtype, np.expand_dims(arr, 0).shape)
print(
    keras.utils.array_to_img(arr).size, keras.preprocessing.image.img_to_array(img).mean().round(3)
)
for c in ("pos", "neg"):
    os.makedirs(f"txt/{c}")
    for k in range(3):
        with open(f"txt/{c}/{k}.txt", "w") as file:
            file.write(f"{c} text {k}")
t = keras.utils.text_dataset_from_directory("txt", batch_size=2, shuffle=False)
for a, b in t:
    print(a.numpy() if hasattr(a, "numpy") else a, np.array(b))
left, right = keras.utils.split_dataset(np.arange(20).reshape(10, 2), left_size=0.8)
print(len(left), len(right), [np.array(e).tolist() for e in right])
left, right = keras.utils.split_dataset(
    (np.arange(10), np.arange(10) * 2), left_size=7, right_size=2, shuffle=True, seed=3
)
print(len(left), len(right), all(int(b) == 2 * int(a) for a, b in left))
p = keras.utils.Progbar(3, verbose=0)
p.update(1, [("loss", 0.5)])
p.add(1)
print(
    keras.utils.get_file.__name__,
    keras.utils.get_source_inputs(m.outputs[0])[0].shape,
    keras.config.is_interactive_logging_enabled(),
)
print(keras.utils.pack_x_y_sample_weight(1, 2), keras.utils.unpack_x_y_sample_weight((1, 2, 3)))
with open("f.txt", "w") as file:
    file.write("abc")
print(
    keras.utils.get_file(
        "g.txt",
        origin="file://" + d + "/f.txt",
        cache_dir=d,
        file_hash=hashlib.sha256(b"abc").hexdigest(),
    ).replace(d, "")
)
try:
    keras.utils.image_dataset_from_directory("nowhere")
except Exception as e:
    print(type(e).__name__)
m.summary(print_fn=lambda s, **k: print("|", s.split("\n")[0]))
print(
    m.count_params(),
    [w.shape for w in m.get_weights()],
    [w.name for w in m.weights],
    [w.path for w in m.trainable_variables],
)
