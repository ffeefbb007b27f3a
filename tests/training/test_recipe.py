"""Recipes: strict, helpful, and the same after a round trip."""

from pathlib import Path

import pytest

from translate.training.recipe import Recipe, find
from translate.training.sections import Optimiser

SHIPPED = sorted(path.name for path in find("restore.toml").parent.glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_build_and_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    recipe = Recipe.load(name, ["generator.width=2", "critic.network.width=2"])
    # CycleGAN's translators move before their critics, as in its authors' code
    assert list(recipe.build().players)[0 if recipe.model.name == "cyclegan" else -1] == "generator"
    (tmp_path / "copy.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert Recipe.load(tmp_path / "copy.toml") == recipe


@pytest.mark.parametrize(
    ("name", "objective", "constraint", "more"),
    [
        ("gan-ring", "minimax", "none", {}),
        ("lsgan-ring", "least-squares", "none", {}),
        ("fgan-ring", "f-gan", "none", {"divergence": "jensen-shannon", "alternative": True}),
        ("ebgan-ring", "energy-based", "none", {}),
        ("loss-sensitive-ring", "loss-sensitive", "none", {"gamma": 0}),
        ("wgan-ring", "wasserstein", "weight-clipping", {}),
        ("wgan-gp-ring", "wasserstein", "gradient-penalty", {}),
        ("dragan-ring", "non-saturating", "dragan", {}),
        ("sngan-ring", "hinge", "spectral-norm", {}),
        ("sngan-digits", "hinge", "spectral-norm", {}),
        ("r3gan-ring", "relativistic", "zero-centered", {"on": "both"}),
        ("cyclegan", "least-squares", "none", {}),
        ("dualgan", "wasserstein", "weight-clipping", {"c": 0.01}),
        ("pix2pix", "non-saturating", "none", {}),
        ("cyclegan-modern", "least-squares", "none", {}),
        ("dualgan-modern", "least-squares", "spectral-norm", {}),
        ("pix2pix-modern", "hinge", "spectral-norm", {}),
    ],
)
def test_recipes_hold_what_makes_the_system_theirs(name: str, objective: str, constraint: str, more: dict[str, object]) -> None:
    critic = Recipe.load(f"{name}.toml").critic
    assert (critic.objective.name, critic.constraint.name) == (objective, constraint)
    assert more.items() <= (critic.objective.arguments | critic.constraint.arguments).items()


def test_settings_lie_over_the_file() -> None:
    recipe = Recipe.load("restore.toml", ["steps=7", "data.size=64", "model.l1=2.5", "generator.blocks=[1, 1]", "device=cpu"])
    assert (recipe.steps, recipe.data.size, recipe.device) == (7, 64, "cpu")
    assert recipe.model.arguments["l1"] == 2.5
    assert recipe.generator.arguments["blocks"] == (1, 1)


@pytest.mark.parametrize(("told", "steps"), [("", 70), (", steps=9", 9)])
def test_instance_noise_fades_over_the_whole_training_unless_told_otherwise(told: str, steps: int) -> None:
    stabilisers = f"critic.stabilisers=[{{name='instance-noise', start=0.2{told}}}, {{name='label-smoothing'}}]"
    settings = ["steps=70", "generator.width=2", "critic.network.width=2", stabilisers]
    adversary = Recipe.load("digits-cyclegan.toml", settings).build().D_X
    assert adversary.noise.steps == steps


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.sise=3", ": --set data.sise: there is no such key .did you mean size"),
        ("stepz=3", ": --set stepz: there is no such key .did you mean steps"),
        ("optimisers.generator.lrr=1", ": --set optimisers.generator.lrr: there is no such key .did you mean lr"),
        ("about.taks=x", ": --set about.taks: there is no such key .did you mean task"),
        ("optimisers.critics.lr=1", r"restore\.toml: unknown player in \[optimisers\] 'critics' .did you mean critic"),
        ("model.name=cgam", r"restore\.toml: unknown model 'cgam' .did you mean cgan"),
        ("generator.name=unknown", "choose from"),
        (
            "generator.wdth=3",
            r"restore\.toml: restorer does not take these arguments: got an unexpected .* 'wdth' .did you mean width",
        ),
        ("model.gradeint=1", r"cgan does not take these arguments: got an unexpected .* 'gradeint' .did you mean gradient"),
        ("critic.netwrk.name=x", ": --set critic.netwrk: there is no such key .did you mean network"),
        ("steps=0", ": --set steps: Input should be greater"),
        ("seed=9223372036854775808", ": --set seed: Input should be less than"),
        ("clip=inf", ": --set clip: Input should be a finite number"),
        ("steps=many", ": --set steps: Input should be a valid integer"),
        ("optimisers.generator.betas=[0.5, 2]", r": --set optimisers\.generator\.betas\.1: Input should be less"),
        ("data.size=[1]", ": --set data.size: Input should be a valid integer"),
        ("steps", "key=value"),
        ("steps.deep=1", "not a section"),
    ],
)
def test_mistakes_are_named_in_one_line(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Recipe.load("restore.toml", [setting])
    told = str(caught.value)
    assert "\n" not in told
    assert told.count(setting.partition("=")[0]) <= 1
    assert told.count("recipe:") + told.count("Value error") == 0


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("gan-ring", 'encoder={name="mlp-encoder"}', "model 'dcgan' has no encoder: leave out"),
        ("infogan-digits", 'encoder={name="dcgan-encoder"}', "model 'infogan' has no encoder: leave out"),
        (
            "gan-ring",
            'critic.network={name="mlp-generator"}',
            "mlp-generator is no critic, .* choose from autoencoder-critic",
        ),
        ("dcgan-digits", 'critic.network={name="dcgan-encoder"}', "dcgan-encoder is no critic"),
        ("infogan-digits", "model.weight=-1", "information term must be above 0"),
        ("infogan-digits", "model.weight=nan", "information term must be above 0"),
        ("vaegan-digits", "model.gamma=-1", "gamma must be at least 0"),
        ("vaegan-digits", "model.prior=nan", "prior above it"),
        ("ebgan-ring", "model.pretrain=-5", "counts steps"),
    ],
)
def test_parts_that_make_no_system_are_refused(name: str, setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.load(f"{name}.toml", [setting])


def test_a_system_with_an_encoder_needs_one(tmp_path: Path) -> None:
    text = Recipe.load("bigan-digits.toml").to_toml()
    (tmp_path / "bare.toml").write_text(text[: text.index("[encoder]")] + text[text.index("[critic") :])
    with pytest.raises(ValueError, match="'bigan' has an encoder: give"):
        Recipe.load(tmp_path / "bare.toml")


def test_mistakes_in_the_file_name_the_file(tmp_path: Path) -> None:
    text = find("restore.toml").read_text(encoding="utf-8").replace("steps =", "stepz =")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"^\S*mine\.toml: steps: Field required; stepz: there is no such key"):
        Recipe.load(tmp_path / "mine.toml")


def test_wrong_arguments_of_a_part_are_named() -> None:
    with pytest.raises(ValueError, match="restorer"):
        Recipe.load("restore.toml", ["generator.wdth=3"]).build()


def test_only_a_system_of_two_translators_names_the_way_back() -> None:
    with pytest.raises(ValueError, match=r"model 'cgan' makes no translator for the way back"):
        Recipe.load("pix2pix.toml", ["back=labels"])


def test_a_missing_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(ValueError, match=r"restore\.toml"):
        Recipe.load("nothing.toml")


def test_equal_seeds_give_equal_weights() -> None:
    one, again, other = (
        Recipe.load("restore.toml", [f"seed={seed}", "generator.width=2", "critic.network.width=2"]).build() for seed in (1, 1, 2)
    )
    key = next(name for name, value in one.state_dict().items() if value.dim() == 4)
    assert one.state_dict()[key].equal(again.state_dict()[key])
    assert not one.state_dict()[key].equal(other.state_dict()[key])


@pytest.mark.parametrize(
    ("name", "channels", "ends", "judged"),
    [
        ("pix2pix", "3", [(3, 3)], [6]),
        ("pix2pix", "[1, 3]", [(1, 3)], [4]),
        ("cyclegan", "3", [(3, 3), (3, 3)], [3, 3]),
        ("cyclegan", "[1, 3]", [(1, 3), (3, 1)], [1, 3]),
        ("dualgan", "1", [(1, 1), (1, 1)], [1, 1]),
    ],
)
def test_networks_take_and_give_the_channels_of_the_data(
    name: str, channels: str, ends: list[tuple[int, int]], judged: list[int]
) -> None:
    settings = [f"data.channels={channels}", "generator.width=2", "critic.network.width=2"]
    recipe = Recipe.load(f"{name}.toml", [*settings, *(["model.identity=0"] if name == "cyclegan" else [])])
    model = recipe.build()
    translators = list(model.translator.children()) if len(ends) == 2 else [model.translator]
    assert [(network.channels, network.out_channels) for network in translators] == ends
    critics = [model.D] if name == "pix2pix" else [model.D_X, model.D_Y] if name == "cyclegan" else [model.D_B, model.D_A]  # type: ignore[attr-defined]
    assert [next(critic.parameters()).shape[1] for critic in critics] == judged
    assert recipe.data.sides == ends[0]


@pytest.mark.parametrize(("name", "setting"), [("cyclegan", "pool=50"), ("dualgan", "identity=1")])
def test_nobody_asks_a_translator_of_grey_pictures_for_coloured_ones(name: str, setting: str) -> None:
    with pytest.raises(ValueError, match=r"both sides need the same channels, or --set model\.identity=0"):
        Recipe.load(f"{name}.toml", ["data.channels=[1, 3]", f"model.{setting}", "generator.width=2"])


def test_channels_that_contradict_the_data_are_refused() -> None:
    with pytest.raises(ValueError, match=r"channels = 3, but by data\.channels it is 1: leave it out"):
        Recipe.load("cyclegan.toml", ["data.channels=1", "generator.channels=3"])
    with pytest.raises(ValueError, match="restorer translates RGB alone"):
        Recipe.load("pix2pix.toml", ["data.channels=1", "generator={name='restorer'}"])
    with pytest.raises(ValueError, match=r"data\.channels"):
        Recipe.load("pix2pix.toml", ["data.channels=2"])


def test_learning_rate_schedules() -> None:
    cosine = Optimiser(lr=1, warmup=10, schedule="cosine", final=0.1)
    assert cosine.learning_rate(0, 110) == pytest.approx(0.1)
    assert cosine.learning_rate(10, 110) == pytest.approx(1)
    assert cosine.learning_rate(60, 110) == pytest.approx(0.55)
    assert cosine.learning_rate(110, 110) == pytest.approx(0.1)
    assert Optimiser(lr=1, schedule="linear").learning_rate(25, 100) == pytest.approx(0.75)
    assert Optimiser(lr=1).learning_rate(99, 100) == 1
