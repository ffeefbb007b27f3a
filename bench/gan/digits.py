"""Effects that show on handwritten digits."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor

from bench.gan.runs import Runs, table
from translate.data.generative import Pictures
from translate.training.samples import draw, seeded, tile

WGAN_GP = (
    "critic.objective.name=wasserstein",
    "critic.constraint.name=gradient-penalty",
    "critic.network.norm=layer",
    "optimisers.generator.every=5",
    "optimisers.generator.betas=[0.0, 0.9]",
    "optimisers.critic.betas=[0.0, 0.9]",
    "steps=6000",
)
PER_SAMPLE = ("critic.network.norm=layer", "optimisers.generator.betas=[0.0, 0.9]", "optimisers.critic.betas=[0.0, 0.9]")
SYSTEMS: dict[str, tuple[str, ...]] = {
    "dcgan": ("dcgan-digits",),
    "lsgan": ("dcgan-digits", 'critic.objective={name="least-squares"}'),
    "fgan": ("dcgan-digits", 'critic.objective={name="f-gan", divergence="squared-hellinger", alternative=true}'),
    "loss-sensitive": ("dcgan-digits", 'critic.objective={name="loss-sensitive", gamma=0, scale=0.01}'),
    "ebgan": ("ebgan-digits",),
    "dragan": ("dcgan-digits", *PER_SAMPLE, 'critic.constraint={name="dragan"}'),
    "sngan": ("sngan-digits",),
    "wgan": (
        "dcgan-digits",
        'critic.objective={name="wasserstein"}',
        'critic.constraint={name="weight-clipping", c=0.01}',
        *(f'optimisers.{player}={{algorithm="rmsprop", lr=5e-5, betas=[0.0, 0.99]}}' for player in ("generator", "critic")),
        "optimisers.generator.every=5",
        "steps=6000",
    ),
    "wgan-gp": ("dcgan-digits", *WGAN_GP),
    "r3gan": (
        "dcgan-digits",
        *PER_SAMPLE,
        'critic.objective={name="relativistic"}',
        'critic.constraint={name="zero-centered", on="both", weight=1}',
    ),
    "class-cgan": ("class-cgan-digits",),
    "infogan": ("infogan-digits",),
    "vaegan": ("vaegan-digits",),
    "bigan": ("bigan-digits",),
}
"""Recipe and settings of each row of the comparison. Distances of digits are sums of 256 values, hence the small scale."""


def systems(runs: Runs) -> None:
    """Every system on the same digits, in one table."""
    rows, columns = [], []
    wanted = {name: runs.on_digits(*settings, name=f"{name}-digits") for name, settings in SYSTEMS.items()}
    runs.ahead(wanted.values())
    for name, run in ((name, runs.found(one)) for name, one in wanted.items()):
        rows.append((name, run.last("fid"), run.last("certainty"), run.last("classes")))
        columns.append((name, draw(run.model, run.network, 16)))
    table(
        "Digits. FID in the features of a small classifier of real digits (not Inception's: it compares within this table alone)",
        ("system", "FID", "certainty", "effective classes of 10"),
        rows,
    )
    lines = math.ceil(len(columns) / 7)
    figure = Figure((11, 1.9 * lines))
    for place, (name, pictures) in enumerate(columns, start=1):
        axes = figure.add_subplot(lines, 7, place)
        axes.imshow(tile(pictures, 4))
        axes.set_axis_off()
        axes.set_title(name)
    runs.save(figure, "digits")


def conditional(runs: Runs) -> None:
    """Asked for a class, CGAN draws it (Mirza & Osindero 2014, fig. 2)."""
    run, asked = runs.digits("class-cgan-digits"), torch.arange(1000) % 10
    x = draw(run.model, run.network, 1000, asked)
    hits = (runs.classifier(x).argmax(dim=1) == asked).float()
    rows = [("samples", hits.mean().item())]
    held = runs.handwriting.held
    right = (_in_parts(runs.classifier, held.pictures).argmax(dim=1) == held.classes).float()
    rows.append(("real held-out digits", right.mean().item()))
    table("Class-conditional CGAN: share that a classifier of real digits takes for what was asked", ("what", "share"), rows)
    figure = Figure((4, 3.2))
    axes = figure.subplots()
    axes.imshow(tile(x[:80], 10))
    axes.set_axis_off()
    runs.save(figure, "conditional")


def codes(runs: Runs) -> None:
    """InfoGAN finds the classes and ways of writing without labels (Chen et al. 2016, section 7.2 and fig. 2)."""
    names = {seed: "infogan-digits" + (f"-{seed}" if seed > 1 else "") for seed in (1, 2, 3)}
    runs.ahead(runs.on_digits("infogan-digits", f"seed={seed}", name=name) for seed, name in names.items())
    trained = {seed: runs.digits("infogan-digits", f"seed={seed}", name=name) for seed, name in names.items()}
    named = {seed: _named(run.model, runs.handwriting.held) for seed, run in trained.items()}
    table(
        "InfoGAN's categorical code on held-out digits, each category named for one digit (the paper, on MNIST: .95)",
        ("seed", "clustering accuracy"),
        [(seed, right) for seed, (right, _) in named.items()],
    )
    run, model, order = trained[1], trained[1].model, named[1][1]
    figure = Figure((9, 4))
    for axes, code in zip(figure.subplots(1, 2), (0, 1), strict=True):
        strips = []
        with seeded(3):
            noise = torch.randn(10, model.noise)
        for c in order:
            values = torch.zeros(10, model.continuous)
            values[:, code] = torch.linspace(-2, 2, 10)
            hot = torch.eye(model.categories)[[c] * 10]
            strips.append(torch.cat([noise[:1].expand(10, -1), hot, values], dim=1))
        with torch.no_grad():
            axes.imshow(tile(run.network(torch.cat(strips)), 10))
        axes.set_axis_off()
        axes.set_title(f"a category a row; continuous code {code + 1} from −2 to 2")
    runs.save(figure, "codes")


def _named(model: Any, held: Pictures) -> tuple[float, list[int]]:
    """The share of digits in the category that is named for them, and the categories in the digits' order."""
    found = _in_parts(lambda x: model.read(x).logits, held.pictures).argmax(dim=1)
    counts = np.zeros((10, 10))
    np.add.at(counts, (held.classes.numpy(), found.numpy()), 1)
    digit, category = linear_sum_assignment(-counts)
    return float(counts[digit, category].sum() / counts.sum()), category.tolist()


def encoders(runs: Runs) -> None:
    """What the encoders of BiGAN and VAE-GAN keep (Donahue et al. 2017, table 1: nearest neighbours in the code)."""
    learned, held = runs.handwriting.pictures, runs.handwriting.held
    few = slice(0, 10_000)
    near = _nearest(learned.pictures[few].flatten(1), learned.classes[few], held.pictures.flatten(1), held.classes)
    rows: list[tuple[object, ...]] = [("pixels", "", near)]
    strips = [held.pictures[:10]]
    for name in ("bigan", "vaegan"):
        run = runs.digits(f"{name}-digits")
        with torch.no_grad():
            here, there = (_in_parts(run.model.encode, data.pictures[few]) for data in (learned, held))
            rebuilt = run.network(there)
        right = (runs.classifier(rebuilt).argmax(dim=1) == held.classes).float().mean().item()
        rows.append((name, right, _nearest(here[few], learned.classes[few], there, held.classes)))
        strips.append(rebuilt[:10])
    table("Encoders on held-out digits", ("code", "reconstructions of the right class", "1-nearest-neighbour accuracy"), rows)
    figure = Figure((5, 1.8))
    axes = figure.subplots()
    axes.imshow(tile(torch.cat(strips), 10))
    axes.set_axis_off()
    axes.set_title("held-out digits, BiGAN's, VAE-GAN's reconstructions")
    runs.save(figure, "encoders")


def features(runs: Runs) -> None:
    """A critic's features and a linear classifier, against pixels (Radford et al. 2016, section 5)."""
    learned, held = runs.handwriting.pictures, runs.handwriting.held
    trained = runs.digits("dcgan-digits").model.D.network
    torch.manual_seed(0)
    untrained = copy.deepcopy(trained).apply(lambda m: m.reset_parameters() if hasattr(m, "reset_parameters") else None)
    seen = {
        "pixels": lambda x: x.flatten(1),
        "an untrained critic's features": untrained.features,
        "DCGAN's critic's features": trained.features,
    }
    rows = []
    for name, features_of in seen.items():
        here, there = (_in_parts(features_of, data.pictures[:10_000]).numpy() for data in (learned, held))
        found = []
        for n in (100, 300, 1000):
            classifier = make_pipeline(StandardScaler(), GridSearchCV(LinearSVC(), {"C": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]}, cv=5))
            classifier.fit(here[:n], learned.classes[:n])
            found.append(float(classifier.score(there, held.classes[:10_000])))
        rows.append((name, *found))
    table("Linear SVM on held-out digits, by the number of labelled ones", ("on", "100", "300", "1000"), rows)


def walks(runs: Runs) -> None:
    """Walks in the latent space, and arithmetic with means of latents (Radford et al. 2016, section 6)."""
    run = runs.digits("dcgan-digits")
    with seeded(1):
        z = run.model.latent(3000)
    with torch.no_grad():
        surely = torch.cat([runs.classifier(run.network(part)).log_softmax(dim=1) for part in z.split(500)])
        ends = z[:12]
        way = torch.linspace(0, 1, 10)[:, None]
        walk = torch.cat([run.network(a + way * (b - a)) for a, b in zip(ends[::2], ends[1::2], strict=True)])
        means = [z[column.topk(3).indices].mean(dim=0) for column in surely.T]
        sums = [(a, b, c) for a, b, c in ((8, 3, 1), (9, 4, 0), (7, 1, 4))]
        shown = torch.stack([t for a, b, c in sums for t in (means[a], means[b], means[c], means[a] - means[b] + means[c])])
        arithmetic = run.network(shown)
    figure = Figure((9, 3))
    for axes, picture, title in zip(
        figure.subplots(1, 2), (tile(walk, 10), tile(arithmetic, 4)), ("walks", "first − second + third = fourth"), strict=True
    ):
        axes.imshow(picture)
        axes.set_axis_off()
        axes.set_title(title)
    runs.save(figure, "walks")


def pretraining(runs: Runs) -> None:
    """EBGAN with and without an autoencoder that was trained in advance."""
    curves = {
        "without": runs.digits("ebgan-digits").curve("fid"),
        "with": runs.digits("ebgan-digits", "model.pretrain=500", "steps=4500", name="ebgan-digits-pretrained").curve("fid"),
    }
    moments = [step for step in curves["without"][0] if step in curves["with"][0]]
    rows = [(name, *(values[steps.index(moment)] for moment in moments)) for name, (steps, values) in curves.items()]
    title = "EBGAN's FID after so many steps, without and with the first 500 for the autoencoder alone"
    table(title, ("pre-training", *map(str, moments)), rows)


def architectures(runs: Runs) -> None:
    """A generator without norm, and one of plain layers, under GAN and WGAN-GP (after Arjovsky et al. 2017, figs. 5 to 7)."""
    generators = (
        ("DCGAN", "dcgan-digits", (), ("dcgan-digits", "wgan-gp-digits")),
        ("without BatchNorm", "dcgan-digits", ("generator.norm=none",), ("plain-digits", "plain-wgan-gp-digits")),
        ("MLP, 4 × 512", "mlp-digits", (), ("mlp-digits", "mlp-wgan-gp-digits")),
    )
    wanted = {
        title: [runs.on_digits(recipe, *own, *more, name=name) for name, more in zip(names, ((), WGAN_GP), strict=True)]
        for title, recipe, own, names in generators
    }
    runs.ahead(itertools.chain(*wanted.values()))
    rows = [(title, *(runs.found(one).last("fid") for one in both)) for title, both in wanted.items()]
    table("FID of other generators", ("generator", "GAN", "WGAN-GP"), rows)


def _in_parts(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(part) for part in x.split(500)])


def _nearest(known: Tensor, classes: Tensor, asked: Tensor, truth: Tensor) -> float:
    return float(KNeighborsClassifier(1).fit(known.numpy(), classes).score(asked.numpy(), truth))
