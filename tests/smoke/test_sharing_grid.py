"""Every way of sharing in every way of training, tiny: what runs, what is refused, and what a run writes down."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from crossbar import EventLedger, load_model, model_sharing
from experiments.cli import main
from experiments.runs.ledger_file import EvaluationEvents, RunEvents
from experiments.runs.run_folder import RunFolder
from experiments.runs.run_network import make_model
from experiments.runs.watching.record import Record
from helpers.words import without

SCHEMES = {
    "free": "free",
    "time-multiplexed": "time_multiplexed",
    "replicated": "replicated(tiles=3)",
    "synchronised": "replicated(tiles=3,sync_every=3)",
    "blocks": "blocks(rows=2,cols=2)",
    "random": "random(tiles=5,redraw=True)",
    "interleaved": "interleaved(period=2)",
}
MODES = {"digital": "pcm", "hwa": "pcm", "in-situ": "pcm", "write-verify": "pcm"}
STEPS, TEST_IMAGES = 4, 30
TINY = [
    *("train", "--train-images", "60", "--test-images", str(TEST_IMAGES), "--batch-size", "30"),
    *("--epochs", "2", "--chips", "1", "--threads", "1", "--times", "1s,1d", "--model", "cnn_digits"),
]


def train(out, mode, scheme, *more):
    """Run a tiny training; return its folder."""
    arguments = ["--mode", mode, "--device", MODES[mode], "--placement", SCHEMES[scheme], "--out", str(out)]
    assert main([*TINY, *arguments, *more]) == 0
    (path,) = out.iterdir()
    return RunFolder(path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_in_every_mode(tmp_path, capsys, mode, scheme):
    if scheme == "synchronised" and mode != "in-situ":
        arguments = ["--mode", mode, "--placement", SCHEMES[scheme], "--out", str(tmp_path)]
        assert main([*TINY, *arguments]) == 2
        assert f"`placement` must be without sync_every with --mode {mode}" in capsys.readouterr().err
        return
    folder = train(tmp_path, mode, scheme)
    printed = capsys.readouterr().out
    result = json.loads(folder.result_file.read_text())
    on_devices = mode in ("in-situ", "write-verify")
    assert len(result["as_trained"]) == on_devices
    has_copies = scheme in ("replicated", "synchronised")
    assert sorted(result["copies"]) == (["local1", "local2"] if has_copies else [])
    for looks in result["copies"].values():
        assert [look["time"] for look in looks] == [None] * on_devices + [1.0, 86400.0]
        assert all(0 < look["rms"] <= look["largest"] < 100 for look in looks)
    assert ("Copies of one kernel differ, rms (most): local1 " in printed) == has_copies
    assert f"events:  {folder.ledger_file}" in printed
    events = RunEvents.read(folder.ledger_file)
    training, inference = events.training, events.evaluation.inference
    # Validation is no part of the training.
    assert (training.steps, training.training_images, training.images) == (STEPS, 2 * 60, 0)
    assert (inference.images, inference.training_images) == (TEST_IMAGES, 0)
    assert list(training.layers) == ["local1", "local2", "dense1", "dense2"]
    # Software trains by digital products, devices by analog ones.
    assert (training.total("mvms") > 0) == on_devices
    assert inference.total("mvms", "forward") == TEST_IMAGES * (36 + 16 + 1 + 1)
    assert (training.total("updates") > 0) == (mode == "in-situ")
    assert (training.total("synchronisations") > 0) == (scheme == "synchronised")
    assert isinstance(events.evaluation.programming, EventLedger)
    assert (events.evaluation.programming.total("written_cells") > 0) == (not on_devices)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a finished run of a mode and a scheme; tests must leave it as it is."""
    known = {}

    def get(mode, scheme):
        if (mode, scheme) not in known:
            known[mode, scheme] = train(tmp_path_factory.mktemp("finished"), mode, scheme)
        return known[mode, scheme]

    return get


@pytest.mark.parametrize("mode", ["hwa", "digital"])
@pytest.mark.parametrize("placement", ["replicated(tiles=3)", "free"])
def test_trained_kernels_on_other_tiles(finished, capsys, mode, placement):
    folder = finished(mode, "time-multiplexed")
    run = json.loads(folder.result_file.read_text())
    capsys.readouterr()
    assert main(["evaluate", str(folder.path), "--placement", placement]) == 0
    printed = capsys.readouterr().out
    (file,) = folder.path.glob("evaluation-*.json")
    (ledger,) = folder.path.glob("ledger-*.json")
    assert f"numbers: {file}\nevents:  {ledger}\n" in printed
    assert f"cnn_digits ({placement}) on digits" in printed
    result, events = json.loads(file.read_text()), RunEvents.read(ledger)
    for path in (file, ledger, file.with_suffix(".png")):
        path.unlink()
    assert result["placement"] == placement
    assert result["digital_accuracy"] == run["digital_accuracy"]
    assert result["times"] == run["times"]
    assert bool(result["copies"]) == placement.startswith("replicated")
    assert events.training is None
    before = RunEvents.read(folder.ledger_file).evaluation.programming
    tiles = events.evaluation.programming.layers["local1"].shape.tiles
    assert tiles == (3 if placement.startswith("replicated") else 36)
    for name, layer in events.evaluation.programming.layers.items():
        copies = layer.shape.tiles
        assert layer.total("written_cells") == copies * before.layers[name].total("written_cells")


def test_the_same_placement_is_the_run_itself(finished):
    folder = finished("hwa", "time-multiplexed")
    assert main(["evaluate", str(folder.path), "--placement", "time_multiplexed", "--threads", "1"]) == 0
    (file,), (ledger,) = folder.path.glob("evaluation-*.json"), folder.path.glob("ledger-*.json")
    result, events = json.loads(file.read_text()), RunEvents.read(ledger)
    for path in (file, ledger, file.with_suffix(".png")):
        path.unlink()
    assert result == json.loads(folder.result_file.read_text())
    assert events.evaluation == RunEvents.read(folder.ledger_file).evaluation


@pytest.mark.parametrize(
    ("mode", "scheme", "placement", "sentence"),
    [
        (
            "in-situ",
            "time-multiplexed",
            "free",
            "`placement` must be left out, but is 'free': this network has lear",
        ),
        (
            "write-verify",
            "time-multiplexed",
            "replicated",
            "`placement` must be left out, but is 'replicated'",
        ),
        (
            "hwa",
            "blocks",
            "time_multiplexed",
            "`placement` must give every tile of layer 'local1' the locations of",
        ),
        (
            "hwa",
            "time-multiplexed",
            "replicated(sync_every=2)",
            "`placement` must be without sync_every with --mode",
        ),
        ("hwa", "time-multiplexed", "freeish", "`placement` must be one of blocks, free, inter"),
        ("hwa", "time-multiplexed", "replicated(tiles=17)", "`tiles` of 'replicated' must lie in [1, 16]"),
    ],
)
def test_placements_that_do_not_fit_are_refused(finished, capsys, mode, scheme, placement, sentence):
    folder = finished(mode, scheme)
    capsys.readouterr()
    assert main(["evaluate", str(folder.path), "--placement", placement]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(folder.path.glob("evaluation-*"))


def test_without_devices_nothing_is_placed(tmp_path, capsys):
    arguments = ["--mode", "digital", "--device", "none", "--out", str(tmp_path)]
    assert main([*without(TINY, "--times", "--chips"), *arguments]) == 0
    (path,) = tmp_path.iterdir()
    events = RunEvents.read(path / "ledger.json")
    assert events.evaluation.inference.images == TEST_IMAGES
    assert events.evaluation.inference.total("mvms") == 0
    assert events.evaluation.inference.total("digital_macs") > 0
    assert main(["evaluate", str(path), "--placement", "free"]) == 2
    assert "`placement` must be left out with --device none" in capsys.readouterr().err


@pytest.mark.parametrize("mode", MODES)
def test_kernels_become_more_equal_by_sleep_and_penalty(tmp_path, mode):
    """A sleep after the last step leaves kernels as equal as numbers are, or as they can be written."""
    folder = train(tmp_path, mode, "blocks", "--sleep-every", "2", *_penalty(mode))
    events = RunEvents.read(folder.ledger_file).training
    is_written = mode in ("in-situ", "write-verify")
    assert (events.total("verify_rows", "synchronisation") > 0) == is_written
    tensors = load_file(folder.model_file)
    if mode == "digital":
        weight = tensors["local2.weight"].flatten(1)
        assert (weight - weight.mean(dim=0)).abs().max() < 1e-6  # float32, weights below 1
    if mode == "hwa":
        name = "local2.analog_module"
        weight = tensors[f"{name}.weight"] * tensors[f"{name}.mapping_scales"][..., None]
        # A kernel whose scale is small cannot hold the largest weights of the others.
        is_equal = (weight - weight.mean(dim=0)).abs() < 1e-6
        assert is_equal.float().mean() > 0.99


def _penalty(mode):
    return () if mode == "in-situ" else ("--soft-sharing", "1")


@pytest.mark.parametrize(("mode", "lr"), [("digital", "0.05"), ("hwa", "0.05"), ("write-verify", "1")])
def test_a_penalty_pulls_kernels_together(tmp_path, mode, lr):
    """Much further than four steps without it could, which hardly move them."""
    ratios = []
    for strength in ("0", "1000"):
        folder = train(tmp_path / strength, mode, "blocks", "--soft-sharing", strength, "--lr", lr)
        model = load_model(folder.model_file, make_model(folder.read_config()))
        ratios.append(model_sharing(model)["local1"].signal_to_noise)
    assert ratios[1] > 1.5 * ratios[0]


def test_write_verify_records_its_updates(tmp_path):
    folder = train(tmp_path, "write-verify", "replicated", "--record-every", "1", "--write-every", "2")
    record = Record.read(folder.record_file)
    pulses = record.of_layer("local1", f"{record.roles('local1')[0]}/pulses_mean")
    assert (np.diff(pulses) > 0).tolist() == [True, False, True]  # written after every second step
    assert np.isnan(record.of_layer("local1", "cosine")).tolist() == [True, False, True, False]
    assert main(["report", str(folder.path)]) == 0
    events = RunEvents.read(folder.ledger_file).training
    assert events.total("verify_rows", "gradient") > 0


@pytest.mark.parametrize(
    ("mode", "more"), [("in-situ", ()), ("in-situ", ("--sleep-every", "3")), ("write-verify", ())]
)
@pytest.mark.parametrize("checkpoint_seconds", ["0", "1000"])
def test_pulses_in_the_ledger_are_those_that_devices_counted(tmp_path, mode, more, checkpoint_seconds):
    """However often the training was saved: every layer's pulses, and those of the device that received most."""
    folder = train(tmp_path, mode, "blocks", "--checkpoint-seconds", checkpoint_seconds, *more)
    events = RunEvents.read(folder.ledger_file).training
    tensors = load_file(folder.model_file)
    for layer, counted in events.layers.items():
        pulses = [v for n, v in tensors.items() if n.startswith(f"{layer}.") and n.endswith("pulse_count")]
        assert counted.total("update_pulses") + counted.total("programming_pulses") == sum(
            int(count.sum()) for count in pulses
        )
        assert counted.most_pulses == max(int(count.max()) for count in pulses)
        # Refreshed pairs are reset and written anew by such pulses, too, in a phase of their own.
        written = counted.total("programming_pulses") - counted.total("programming_pulses", "refresh")
        assert (written > 0) == (mode == "write-verify" or (bool(more) and layer.startswith("local")))


def test_a_damaged_ledger_is_refused(tmp_path):
    path = tmp_path / "ledger.json"
    path.write_text("[]")
    with pytest.raises(
        ValueError, match=r"`run` must hold a ledger\.json of events, but .* is something else"
    ):
        RunEvents.read(path)
    RunEvents(None).write(path)
    assert RunEvents.read(path) == RunEvents(None, EvaluationEvents())
    path.write_text(path.read_text().replace('"training": null', '"training": {"steps": -1}'))
    with pytest.raises(ValueError, match=r"`run` must hold an undamaged ledger\.json, but .* is damaged"):
        RunEvents.read(path)
