"""Write a page of pictures from the examples: what networks do, and that both packages agree.

python scripts/gallery.py [--out gallery.html] [--quick] [--samples N]

Signals and gradients through fifty layers, the loss curves of every example in both packages (of
kerasmirror alone where Keras is not installed), the windows that a convolution has learned on
MNIST, what they make of a digit, and the confusion matrix. One HTML file, pictures inside; needs
matplotlib (kerasmirror[plot]). --quick uses the examples' small made data.
"""

import argparse
import base64
import html
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import kerasmirror as keras
from kerasmirror.experiments import data as data_sets
from kerasmirror.experiments import networks

try:
    from matplotlib import pyplot
except ImportError:
    pyplot = None

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CURVES = {
    "residual_network": "A residual network (Functional)",
    "variational_autoencoder": "A variational autoencoder (train_step of its own)",
    "adversarial_network": "A generator against a discriminator (two optimizers)",
    "physics_informed_network": "A differential equation (gradients with respect to inputs)",
    "custom_gradient": "A layer with a gradient of its own",
}
_STRUCTURE = "C(5,16,r);M(2);C(5,32,r);M(2);F();D(128,r);DR(0.25);D(10,sm)"
_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
img { max-width: 100% } figure { margin: 1em 0 2em } figcaption { color: #555 }
"""


def picture(figure, caption):
    """A figure as HTML with the image inside."""
    buffer = io.BytesIO()
    figure.tight_layout()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return image(buffer.getvalue(), caption)


def image(content, caption):
    """A PNG as HTML with its caption."""
    data = base64.b64encode(content).decode()
    text = html.escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def run_example(name, *arguments, package="kerasmirror"):
    """What an example prints. Raises: RuntimeError with its last words when it fails."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_PACKAGE": package, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{name} on {package}: {last}")
    return done.stdout


def signal_flow():
    """The paper's fifty layers: the example's own picture."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flow.png"
        run_example("signal_flow", "--plot", str(path))
        caption = "Signals forwards and gradients backwards through fifty layers"
        return image(path.read_bytes(), caption)


def loss_curves(name, title, quick, packages):
    """The losses that an example prints, of each package, laid over each other."""
    options = ["--json", *(["--quick"] if quick else [])]
    found = {p: json.loads(run_example(name, *options, package=p)) for p in packages}
    figure, axes = pyplot.subplots(figsize=(6.5, 3.5))
    styles = {"keras": {"linewidth": 5, "alpha": 0.35}, "kerasmirror": {"linewidth": 1.5}}
    for package, losses in found.items():
        for i, (key, values) in enumerate(losses.items()):
            if len(values) > 1:
                axes.plot(
                    range(1, len(values) + 1),
                    values,
                    color=f"C{i}",
                    label=f"{key}, {package}",
                    **styles[package],
                )
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend(fontsize=8)
    return picture(figure, f"{title}: the losses of {' and '.join(packages)}")


def trained_on_digits(samples):
    """(model, test images, labels): a small CNN after two epochs on MNIST, or on made data."""
    name = "mnist" if samples else "made"
    (x, y), (x_test, y_test) = data_sets.load(name, samples=samples)
    keras.utils.set_random_seed(1)
    model = networks.build(keras, _STRUCTURE, x.shape[1:])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=2, verbose=0)
    return model, x_test, y_test


def learned_windows(model):
    """The first convolution's windows."""
    windows = model.layers[0].kernel.numpy()[:, :, 0]
    figure, places = pyplot.subplots(2, 8, figsize=(8, 2.2))
    largest = np.abs(windows).max()
    for i, axes in enumerate(places.flat):
        axes.imshow(windows[:, :, i], cmap="RdBu", vmin=-largest, vmax=largest)
        axes.axis("off")
    return picture(figure, "The sixteen windows that the first convolution has learned")


def feature_maps(model, images):
    """What the first convolution makes of an image."""
    first = keras.Model(model.inputs, model.layers[0].output)
    maps = np.asarray(first(images[:1]))[0]
    figure, places = pyplot.subplots(2, 9, figsize=(9, 2.2))
    places[0, 0].imshow(images[0, :, :, 0], cmap="gray")
    shown = [*places[0, 1:], *places[1, 1:]]
    for i, axes in enumerate(shown):
        axes.imshow(maps[:, :, i], cmap="gray")
    for axes in places.flat:
        axes.axis("off")
    return picture(figure, "An image, and what the sixteen windows answer to it")


def confusion(model, images, labels):
    """How often each class is taken for each other."""
    predicted = model.predict(images, batch_size=256, verbose=0).argmax(1)
    count = int(labels.max()) + 1
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (labels, predicted), 1)
    figure, axes = pyplot.subplots(figsize=(5.5, 5))
    axes.imshow(np.log1p(matrix), cmap="Blues")
    for row, column in np.ndindex(*matrix.shape):
        if matrix[row, column]:
            light = row == column
            text = str(matrix[row, column])
            axes.text(column, row, text, ha="center", va="center", color="w" if light else "k")
    axes.set(xlabel="predicted", ylabel="true", xticks=range(count), yticks=range(count))
    accuracy = np.mean(predicted == labels)
    return picture(figure, f"Confusion matrix of the test images: {accuracy:.2%} are right")


def main(arguments=None):
    """Write the page; exit status 2 without matplotlib."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="gallery.html")
    parser.add_argument("--quick", action="store_true", help="the examples' small made data")
    parser.add_argument("--samples", type=int, default=12000, help="digits to train with")
    options = parser.parse_args(arguments)
    if pyplot is None:
        parser.error("the pictures need matplotlib: pip install 'kerasmirror[plot]'")
    real = all(importlib.util.find_spec(name) for name in ("keras", "tensorflow"))
    packages = ["keras", "kerasmirror"] if real else ["kerasmirror"]
    parts = ["<h1>kerasmirror: a gallery</h1>", "<h2>The flow of signals</h2>", signal_flow()]
    model, images, labels = trained_on_digits(0 if options.quick else options.samples)
    parts += ["<h2>What a network learns</h2>", learned_windows(model)]
    parts += [feature_maps(model, images), confusion(model, images, labels)]
    parts.append("<h2>The same curves in both packages</h2>")
    for name, title in CURVES.items():
        print(name, flush=True)
        parts.append(loss_curves(name, title, options.quick, packages))
    body = "\n".join(parts)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>kerasmirror: a '
        f"gallery</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
    Path(options.out).write_text(page, encoding="utf-8")
    print(f"Written: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
