"""The files of docker/ against the project that they package. No engine builds them here."""

import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

import translate
from server.routes import health
from server.settings import Settings, describe

ROOT = Path(__file__).resolve().parents[1]
DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
SERVERS = [path for path in FILES if path.stem != "train"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if re.match(r"[\w.-]+==\S+$", line)
)
DEFAULTS = {name: default for name, default, _ in describe()}
IMAGE = re.compile(r"([a-z]+/)?[a-z]+:v?\d[\w.-]*|debian:[a-z]+-slim")

Steps = list[tuple[str, str]]


def steps(path: Path) -> Steps:
    """(instruction, arguments) in order, each on one line."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(words[0], words[1]) for line in text.splitlines() if (words := line.split(None, 1))]


def last_stage(path: Path) -> Steps:
    found = steps(path)
    return found[max(at for at, (what, _) in enumerate(found) if what == "FROM") :]


def variables(found: Steps) -> dict[str, str]:
    return dict(word.split("=", 1) for what, rest in found if what == "ENV" for word in shlex.split(rest))


def compose() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def mounts(service: str) -> dict[str, Path]:
    """Where in the container -> the file here."""
    told = [volume.split(":") for volume in compose()["services"][service]["volumes"] if volume.startswith(".")]
    return {inside: DOCKER / outside for outside, inside, *_ in told}


def settings(environment: dict[str, str]) -> Settings:
    told = {name: value for name, value in environment.items() if name.startswith("TRANSLATE_")}
    assert set(told) <= set(DEFAULTS)
    return Settings(**{name.removeprefix("TRANSLATE_").lower(): value for name, value in told.items()})  # type: ignore[arg-type]


def test_all_are_there() -> None:
    assert [path.stem for path in FILES] == ["cpu", "cuda", "train"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_copied_exists_and_is_sent_to_the_build(path: Path) -> None:
    wanted, *back = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert wanted == "*"
    sent = {line.removeprefix("!") for line in back if line.startswith("!")}
    copied = {word for what, rest in steps(path) if what == "COPY" and "--from=" not in rest for word in rest.split()[:-1]}
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)
    # What the wheel is made of: a file that is not copied would be missing in it
    assert {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "translate", "server", "weights"} <= copied


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_installed(path: Path) -> None:
    installs = [each for what, rest in steps(path) if what == "RUN" for each in rest.split("&&") if "pip install" in each]
    assert installs
    assert all("--constraint constraints.txt" in each for each in installs)
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", " ".join(installs))
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert ("train" in extras) is (path.stem == "train")
    assert "dev" not in extras


def test_the_runtime_for_cuda_takes_the_place_of_the_other_in_its_version() -> None:
    (run,) = [rest for what, rest in steps(DOCKER / "cuda.Dockerfile") if what == "RUN" and "onnxruntime" in rest]
    assert run.index("uninstall --yes onnxruntime ") < run.index(
        'install --no-cache-dir --constraint constraints.txt          "onnx'
    )
    (script,) = re.findall(r'"onnxruntime-gpu==\$\(sed -n \'s/(.+)//p\' constraints\.txt\)"', run)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [re.sub(script, "", line) for line in lines if re.search(script, line)] == [PINNED["onnxruntime"]]
    assert "onnxruntime-gpu" not in PINNED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_runs_is_nobody_special_and_says_what_it_is(path: Path) -> None:
    found = last_stage(path)
    (user,) = [rest for what, rest in found if what == "USER"]
    assert int(user) > 0
    assert any(what == "RUN" and f"useradd --no-create-home --uid {user} translate" in rest for what, rest in found)
    labels = dict(word.split("=", 1) for what, rest in found if what == "LABEL" for word in shlex.split(rest))
    assert {name.rpartition(".")[2] for name in labels} == {"title", "description", "version", "revision", "licenses"}
    assert all(name.startswith("org.opencontainers.image.") for name in labels)
    assert labels["org.opencontainers.image.version"] == translate.__version__
    assert labels["org.opencontainers.image.licenses"] == PROJECT["license"]
    (command,) = [json.loads(rest) for what, rest in found if what == "CMD"]  # no shell between the engine's signals and it
    assert command[0] in PROJECT["scripts"]


@pytest.mark.parametrize("path", SERVERS, ids=lambda path: path.stem)
def test_where_it_listens_and_is_asked_how_it_is(path: Path) -> None:
    found = last_stage(path)
    told = settings(variables(found))
    assert (told.host, str(told.port)) == ("0.0.0.0", DEFAULTS["TRANSLATE_PORT"])
    assert told.device == ("cuda" if path.stem == "cuda" else "cpu")
    assert [rest for what, rest in found if what == "EXPOSE"] == [str(told.port)]
    (check,) = [rest.split("CMD ", 1)[1] for what, rest in found if what == "HEALTHCHECK"]
    program, flag, code = json.loads(check)
    assert (program, flag) == ("python3", "-c")
    compile(code, "HEALTHCHECK", "exec")
    (asked,) = re.findall(r"request\('GET', '([^']+)'\)", code)
    assert asked in {route.path for route in health.router.routes}  # type: ignore[attr-defined]
    assert re.findall(r"environ\['(\w+)'\]", code) == ["TRANSLATE_PORT"]


def test_images_are_of_a_version_and_of_no_named_host() -> None:
    stages = [re.split(" AS ", rest)[0] for path in FILES for what, rest in steps(path) if what == "FROM"]
    foreign = [service["image"] for service in compose()["services"].values() if "build" not in service]
    assert len(foreign) == 2
    assert all(IMAGE.fullmatch(image) for image in stages + foreign)


def test_composed_server_is_set_as_the_program_can_be() -> None:
    service = compose()["services"]["translate"]
    assert DOCKER / service["build"]["context"] / service["build"]["dockerfile"] == DOCKER / ".." / "docker" / "cpu.Dockerfile"
    told = settings(variables(last_stage(DOCKER / "cpu.Dockerfile")) | service["environment"])
    assert int(service["stop_grace_period"].removesuffix("s")) > told.timeout
    assert [port.rpartition(":")[2] for port in service["ports"]] == [str(told.port)]


def test_composed_services_are_reached_from_this_machine_alone() -> None:
    ports = [port for service in compose()["services"].values() for port in service["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_prometheus_finds_the_server_and_grafana_finds_prometheus() -> None:
    services = compose()["services"]
    (prometheus,) = mounts("prometheus").values()
    (job,) = yaml.safe_load(prometheus.read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert set(found["names"]) <= set(services)
    assert str(found["port"]) == DEFAULTS["TRANSLATE_PORT"]
    assert job.get("metrics_path", "/metrics") in {route.path for route in health.metrics_router.routes}  # type: ignore[attr-defined]
    inside = mounts("grafana")
    assert all(path.is_file() for path in inside.values())
    (source,) = yaml.safe_load(next(path for place, path in inside.items() if "/datasources/" in place).read_text())[
        "datasources"
    ]
    host, port = re.fullmatch(r"http://(\w+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]
    assert services[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    (provider,) = yaml.safe_load(
        next(path for place, path in inside.items() if "/dashboards/translate.yaml" in place).read_text()
    )["providers"]
    shown = [
        json.loads(path.read_text()) for place, path in inside.items() if fnmatch(place, f"{provider['options']['path']}/*.json")
    ]
    assert [dashboard["uid"] for dashboard in shown] == ["translate"]
    (variable,) = [each for each in shown[0]["templating"]["list"] if each["type"] == "datasource"]
    assert variable["query"] == source["type"]
