"""Runs of one's own networks and data through every command about one run."""

import json

import pytest
import torch

from experiments.cli import main
from experiments.data.chance import highest_from
from experiments.runs.networks.first_network import take_off_tiles
from experiments.runs.run_data import images_of
from experiments.runs.run_folder import RunFolder
from experiments.runs.run_network import make_model
from helpers.own_files import write_blobs, write_networks, write_signals, write_table, write_tokens


def train(folder, name, data, *more):
    """Train a network of the file in a folder; return the folder of the run."""
    before = set(folder.glob("runs/*"))
    words = [
        "train",
        "--model",
        f"{write_networks(folder)}:{name}",
        "--data",
        data,
        "--out",
        str(folder / "runs"),
    ]
    chips = [] if "in-situ" in more else ["--times", "1s"]
    assert main([*words, "--chips", "1", *chips, "--epochs", "2", *more]) == 0
    (made,) = set(folder.glob("runs/*")) - before
    return made


def result_of(run):
    return json.loads((run / "result.json").read_text())


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """A run on images of an unknown size; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("blobs")
    return train(folder, "small", write_blobs(folder), "--epochs", "6")


def test_a_network_learns_images_of_any_size(blobs, capsys):
    result = result_of(blobs)
    assert (result["model"], result["placement"], result["metric"]) == (
        "my_network.small",
        "as built",
        "accuracy",
    )
    assert result["by_chance"] == pytest.approx(0.25, abs=0.15)
    assert result["accuracy"]["global"][0][0] > 0.6
    assert main(["report", str(blobs)]) == 0
    assert "Executing" not in capsys.readouterr().out
    assert (blobs / "report.html").exists()


def test_what_is_printed_names_the_rules(tmp_path, capsys):
    train(tmp_path, "table", write_table(tmp_path), "--mode", "digital", "--epochs", "1")
    said = capsys.readouterr().out
    assert "table.npz: 173 training examples, inputs of 5, 1 target." in said
    assert "batch size 8 (64, or less so that an epoch has 16 steps)" in said
    assert "learning rate 0.005 (0.1 / sqrt(24)" in said
    assert "R²" in said


def test_a_regression_on_a_table(tmp_path):
    run = train(tmp_path, "table", write_table(tmp_path), "--epochs", "30", "--lr", "0.02")
    result = result_of(run)
    assert (result["metric"], result["by_chance"]) == ("r2", 0.0)
    beyond_chance = highest_from(0.0, result["test_images"], "r2")
    assert result["accuracy"]["global"][0][0] > beyond_chance
    assert result["digital_accuracy"] > beyond_chance
    config = json.loads((run / "config.json").read_text())
    assert (config["loss"], config["metric"]) == ("mse", "r2")


def test_signals_and_sequences(tmp_path):
    signal = result_of(train(tmp_path, "signal", write_signals(tmp_path), "--epochs", "8"))
    tokens = result_of(train(tmp_path, "tokens", write_tokens(tmp_path), "--epochs", "8"))
    assert signal["digital_accuracy"] > 0.5
    assert tokens["accuracy"]["global"][0][0] > 0.6
    ledger = json.loads((next(tmp_path.glob("runs/my_network.signal*")) / "ledger.json").read_text())
    assert ledger["inference"]["images"] == signal["test_images"]


def test_a_network_that_is_analog_keeps_its_own_configuration(tmp_path):
    run = train(tmp_path, "analog", write_blobs(tmp_path), "--epochs", "4", "--lr", "0.05")
    assert result_of(run)["accuracy"]["global"][0][0] > 0.5
    config = RunFolder(run).read_config()
    model = make_model(config, facts=images_of(config).facts)
    assert model[1].tile_array.rpu_config.modifier.std_dev == pytest.approx(0.05)
    assert config.weight_noise is None


@pytest.mark.parametrize("mode", [("--mode", "in-situ", "--device", "ecram"), ("--mode", "hwa")])
def test_convolutions_are_placed(tmp_path, mode):
    run = train(tmp_path, "build", write_blobs(tmp_path), *mode, "--placement", "free", "--epochs", "1")
    layers = json.loads((run / "ledger.json").read_text())["inference"]["layers"]
    assert layers["0"]["shape"]["tiles"] == 7 * 5
    assert layers["2.conv1"]["shape"]["tiles"] == 4 * 3


def test_the_digital_twin_has_all_that_was_learned(tmp_path):
    """Also what no tile holds: the means of a normalisation, the weights of a convolution in groups."""
    folder = RunFolder(train(tmp_path, "build", write_blobs(tmp_path)))
    config = folder.read_config()
    facts = images_of(config).facts
    model = make_model(config, facts=facts).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
        model[2].norm1.running_mean.add_(1.0)
    twin = take_off_tiles(model, config, facts).eval()
    for name, value in model[2].norm1.state_dict().items():
        assert torch.equal(twin[2].norm1.state_dict()[name], value)
    assert torch.allclose(twin[0].weight, model[0].get_weights()[0].reshape_as(twin[0].weight))


@pytest.mark.parametrize("command", ["evaluate", "wires", "does-it-matter"])
def test_commands_say_whose_file_they_execute(blobs, capsys, command):
    more = {
        "evaluate": ("--placement", "replicated(tiles=2)"),
        "wires": ("--ohms", "3", "--tile-sizes", "64"),
        "does-it-matter": (),
    }[command]
    chips = ("--chips", "2" if command == "does-it-matter" else "1")
    assert main([command, str(blobs), *chips, *more]) == 0
    said = capsys.readouterr().out
    assert f"Executing your file {blobs}/own_model/my_network.py." in said
    if command == "wires":
        assert "Layers were not unrolled" in said or "unrolled" in said


def test_a_copy_that_was_changed_is_not_executed_unless_trusted(tmp_path, capsys):
    run = train(tmp_path, "small", write_blobs(tmp_path), "--epochs", "1")
    copy, trace = run / "own_model" / "my_network.py", tmp_path / "trace"
    copy.write_text(f"open({str(trace)!r}, 'w').close()\n" + copy.read_text())
    for command in (
        ["evaluate", str(run)],
        ["wires", str(run)],
        ["does-it-matter", str(run)],
        ["resume", str(run)],
    ):
        assert main(command) == 2
        assert "`trust` must be given to execute" in capsys.readouterr().err
        assert not trace.exists()
    assert main(["report", str(run)]) == 0
    assert not trace.exists()
    assert main(["evaluate", str(run), "--chips", "1", "--trust"]) == 0
    assert "changed since the training" in capsys.readouterr().out
    assert trace.exists()
    copy.unlink()
    assert main(["evaluate", str(run)]) == 2
    assert "its copy of my_network.py is gone" in capsys.readouterr().err


def test_the_original_may_change_or_go(tmp_path):
    """A run is evaluated with its copy, which still finds the neighbours of the original."""
    (tmp_path / "sizes.py").write_text("WIDTH = 4 * 7 * 5\n")
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\nfrom sizes import WIDTH\n\n\ndef build():\n"
        "    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(WIDTH, 4))\n"
    )
    words = [
        "--data",
        write_blobs(tmp_path),
        "--out",
        str(tmp_path / "runs"),
        "--epochs",
        "1",
        "--chips",
        "1",
    ]
    assert main(["train", "--model", f"{file}:build", *words, "--times", "1s"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    file.write_text("raise ValueError\n")
    assert main(["evaluate", str(run), "--chips", "1"]) == 0
    file.unlink()
    assert main(["evaluate", str(run), "--chips", "1", "--times", "1d"]) == 0


def test_another_content_is_another_run(tmp_path):
    data = write_blobs(tmp_path)
    first = train(tmp_path, "small", data, "--epochs", "1")
    file = tmp_path / "my_network.py"
    file.write_text(file.read_text() + "\n# another one\n")
    words = [
        "--data",
        data,
        "--out",
        str(tmp_path / "runs"),
        "--epochs",
        "1",
        "--chips",
        "1",
        "--times",
        "1s",
    ]
    assert main(["train", "--model", f"{file}:small", *words]) == 0
    assert len([*(tmp_path / "runs").iterdir()]) == 2
    assert first.exists()


def test_errors_are_sentences(tmp_path, capsys):
    file, data = write_networks(tmp_path), write_blobs(tmp_path)
    for model, images, sentence in (
        (f"{tmp_path}/gone.py:build", data, "there is no"),
        (f"{file}:absent", data, "is not in it"),
        (f"{file}:needs", data, "needs width"),
        (f"{file}:nothing", data, "returned a str"),
        (f"{file}:other_outputs", data, "must give (2, 4)"),
        (f"{file}:small", write_table(tmp_path), "must take"),
        (f"{file}:small", f"{tmp_path}/gone.npz", "there is no"),
        ("lenet", data, "`model` must be one of"),
    ):
        assert main(["train", "--model", model, "--data", images, "--out", str(tmp_path / "runs")]) == 2
        said = capsys.readouterr().err
        assert said.startswith("xbar: `")
        assert said.count("\n") == 1
        assert sentence in said
    assert not (tmp_path / "runs").exists()
