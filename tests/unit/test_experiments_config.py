"""A run's name says all that decides about its numbers; a configuration survives the disk."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from experiments.commands.config import EvaluateConfig
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import digital_reference, resolve
from experiments.runs.run import Run
from experiments.runs.run_folder import RunFolder

# For each field a value that differs from the resolved default.
OTHER = {
    "data": "mnist", "data_dir": "elsewhere", "download": True, "train_images": 7, "test_images": 7,
    "loss": "l1", "metric": "top5", "start_from": "a-run",
    "model": "cnn_digits", "placement": "blocks(rows=2,cols=2)", "mode": "digital", "device": "reram-cmo",
    "weight_noise": 0.05, "weight_scaling": 0.3, "write_every": 4, "write_tolerance": 0.1,
    "augment": "noise", "strength": 0.2, "scores": True, "fold": "2/5",
    "absent_inputs": 0.3, "absent_weights": 0.3, "absent_pattern": "common",
    "faults": "stuck_low=0.01", "wires": "word_line=2,bit_line=1", "wires_every": 7, "tile_size": 64,
    "soft_sharing": 0.1, "sleep_every": 10, "sleep_factor": 0.5,
    "engine": "exact", "refresh": "when-full", "record_every": 5,
    "transfer_every": 5, "measure_every": 5, "torch_device": "cuda",
    "backend": "aihwkit", "epochs": 3, "batch_size": 3, "lr": 0.5,
    "schedule": "constant", "seed": 9, "chips": 2, "times": "1s", "compensation": "per_tile",
    "reference": True, "out": Path("elsewhere"), "force": True, "threads": 7, "processes": 3,
    "spread": "images",
    "memory": "1GiB",
    "checkpoint_seconds": 1.0,
}  # fmt: skip
IN_SITU = {"mode": "in-situ", "device": "reram-sb"}
WRITTEN = {"mode": "write-verify", "device": "reram-sb"}
SYNCED = {**IN_SITU, "model": "cnn_digits", "placement": "replicated(tiles=2,sync_every=5)"}
# Where it lies, how it is watched, how fast it computes.
MUST_NOT_COUNT = {
    "data_dir",
    "out",
    "force",
    "threads",
    "processes",
    "spread",
    "memory",
    "download",
    "checkpoint_seconds",
    "reference",
}


def test_a_configuration_of_an_older_version_is_refused():
    older = resolved().to_json()
    del older["write_every"]
    with pytest.raises(ValueError, match="it lacks write_every, as an older version may have written it"):
        Run.from_json(older)


def resolved() -> Run:
    return resolve(TrainConfig(), (1, 8, 8))


def test_pairs_are_refreshed_when_they_are_full_unless_told_otherwise():
    """Earlier runs did so after every batch: without a word in their files, and they are found by their names."""
    usual, always = (
        resolve(TrainConfig(mode="in-situ", device="pcm", refresh=rule), (1, 8, 8))
        for rule in (None, "every-batch")
    )
    other = resolve(TrainConfig(mode="in-situ", device="ecram"), (1, 8, 8))
    assert (usual.refresh, always.refresh, other.refresh) == ("when-full", "every-batch", None)
    assert usual.to_json()["refresh"] == "when-full"
    assert "refresh" not in always.to_json()
    assert all(Run.from_json(run.to_json()) == run for run in (usual, always, other))
    theirs = resolve(TrainConfig(mode="in-situ", device="pcm", backend="aihwkit"), (1, 8, 8))
    assert theirs.refresh == "every-batch"


def test_every_field_is_covered():
    """A file of tuned rates has become learning rate and batch size."""
    assert {*OTHER, "tuned"} == {field.name for field in fields(TrainConfig)}
    assert set(OTHER) == {field.name for field in fields(Run)}


@pytest.mark.parametrize("name", OTHER)
def test_the_hash_sees_every_field_that_decides_about_numbers(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-run").mkdir()
    (tmp_path / "a-run" / "model.safetensors").write_bytes(b"what was learned")
    config, changed = resolved(), replace(resolved(), **{name: OTHER[name]})
    same = RunFolder.of(config).path.name == RunFolder.of(changed).path.name
    assert same == (name in MUST_NOT_COUNT)


def test_what_a_default_stands_for_is_in_the_hash():
    """Spelling the defaults out is the same run; another default would be another one."""
    spelled = TrainConfig(
        model="fcn_digits", placement="free", times="1s,60min,1d,30d,365d", lr=5e-3, epochs=60
    )
    assert RunFolder.of(resolve(spelled, (1, 8, 8))) == RunFolder.of(resolved())
    assert None not in [
        getattr(resolved(), name) for name in ("model", "placement", "times", "lr", "epochs", "threads")
    ]


def test_default_times_are_those_at_which_the_device_was_measured():
    assert resolve(TrainConfig(device="reram-wan2022"), (1, 8, 8)).times == "1s,86400s"


def test_a_configuration_survives_the_disk():
    config = replace(
        resolved(), **{name: OTHER[name] for name in ("train_images", "lr", "device", "seed", "out")}
    )
    assert Run.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    "damage",
    [{"epochs": "three"}, {"seed": [1]}, {"seed": True}, {"extra": 1}, {"batch_size": 0}, {"mode": "x"}],
)
def test_a_damaged_configuration_is_refused(damage):
    with pytest.raises(ValueError, match=r"fields|field|must"):
        Run.from_json({**resolved().to_json(), **damage})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"epochs": 0}, r"`epochs` must be 1 or more, but is 0\."),
        ({"threads": -1}, r"`threads` must be 1 or more, but is -1\."),
        ({"lr": 0.0}, r"`lr` must be positive and finite, but is 0\.0\."),
        ({"lr": float("nan")}, r"`lr` must be positive and finite, but is nan\."),
        ({"weight_noise": -0.1}, r"`weight_noise` must be 0 or more and finite, but is -0\.1\."),
        ({"weight_noise": float("nan")}, r"`weight_noise` must be 0 or more and finite, but is nan\."),
        (
            {"weight_scaling": -0.1},
            r"`weight_scaling` must be 0 or more and finite, but is -0\.1\. Try 0\.6\.",
        ),
        ({"record_every": -1}, r"`record_every` must be 0 or more, but is -1\. Give 0 to record nothing\."),
        ({"sleep_every": -1}, r"`sleep_every` must be 0 or more, but is -1\. Give 0 never to sleep\."),
        ({"soft_sharing": -0.1}, r"`soft_sharing` must be 0 or more and finite, but is -0\.1\."),
        ({"soft_sharing": float("nan")}, r"`soft_sharing` must be 0 or more and finite, but is nan\."),
        ({"sleep_factor": 0.0}, r"`sleep_factor` must lie in \(0, 1\], but is 0\.0\. Try 1\."),
        ({"sleep_factor": 1.5}, r"`sleep_factor` must lie in \(0, 1\], but is 1\.5\."),
        ({"write_every": 0}, r"`write_every` must be 1 or more, but is 0\."),
        (
            {"write_tolerance": 0.0},
            r"`write_tolerance` must be positive and finite, but is 0\.0\. Try 0\.02\.",
        ),
        ({"device": "none"}, r"`device` must name a memory cell unless --mode is digital, but is 'none'\."),
        ({"times": "soon"}, r"`times` must be positive numbers .* but has 'soon'\."),
    ],
)
def test_impossible_values_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainConfig(**wrong)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"model": "lenet"}, r"`model` must be one of .*, but is 'lenet'\."),
        (
            {"model": "fcn_mnist"},
            r"`model` must fit the images of 'digits', \(1, 8, 8\), but fcn_mnist expects",
        ),
        ({"device": "pmc"}, r"pmc"),
        ({"device": "reram-wan2022", "times": "1h"}, r"`time` must be one of the measured times .*3600 s"),
        ({"placement": "freeish"}, r"freeish"),
    ],
)
def test_what_only_models_and_devices_know_is_checked_before_the_training(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(TrainConfig(**wrong), (1, 8, 8))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"mode": "digital", "weight_noise": 0.2}, r"`weight_noise` must be left out with --mode digital .*0\.2: "),
        ({"mode": "digital", "reference": True}, r"`reference` must be left out .*its own digital reference"),
        ({"weight_scaling": 0.5}, r"`weight_scaling` must be left out with --mode hwa .* Use --mode in-situ"),
        ({"weight_scaling": 0.0}, r"`weight_scaling` must be left out with --mode hwa"),
        ({"engine": "exact"}, r"`engine` must be left out with --mode hwa"),
        ({"record_every": 3}, r"`record_every` must be left out with --mode hwa"),
        ({"device": "reram-sb"}, r"`device` must have a model of how it ages, but is 'reram-sb'"),
        ({**IN_SITU, "weight_noise": 0.0}, r"`weight_noise` must be left out with --mode in-situ"),
        ({**IN_SITU, "times": "1d"}, r"`times` must be left out .*1d: reram-sb has no model of drift"),
        ({**IN_SITU, "compensation": "global"}, r"`compensation` must be left out .*no model of drift"),
        ({**IN_SITU, "device": "reram-cmo"}, r"`device` must have a model of how pulses move it, but is 'reram-c"),
        ({**IN_SITU, "backend": "aihwkit", "engine": "auto"}, r"`engine` must be left out .*--backend aihwkit"),
        ({**IN_SITU, "backend": "aihwkit", "record_every": 1}, r"`record_every` must be left out .*--backend aih"),
        ({"write_every": 2}, r"`write_every` must be left out with --mode hwa .*Use --mode write-verify"),
        ({"write_tolerance": 0.1}, r"`write_tolerance` must be left out with --mode hwa .*Use --mode write-verify"),
        ({**IN_SITU, "refresh": "when-full"}, r"`refresh` must be left out .*go up and down, and never fill up"),
        ({"refresh": "when-full"}, r"`refresh` must be left out with --mode hwa .*Use --mode in-situ"),
        ({**WRITTEN, "device": "pcm", "refresh": "every-batch"}, r"`refresh` must be left out .*finds them full"),
        ({**IN_SITU, "device": "pcm", "backend": "aihwkit", "refresh": "when-full"}, r"`refresh` must be left out"),
        ({**IN_SITU, "write_every": 2}, r"`write_every` must be left out with --mode in-situ"),
        ({**IN_SITU, "write_tolerance": 0.1}, r"`write_tolerance` must be left out .*unless copies are synchronised"),
        ({**IN_SITU, "soft_sharing": 0.1}, r"`soft_sharing` must be left out with --mode in-situ .*outer product"),
        ({**IN_SITU, "backend": "aihwkit", "sleep_every": 1}, r"`sleep_every` must be left out .*--backend aihwkit"),
        ({**WRITTEN, "engine": "exact"}, r"`engine` must be left out with --mode write-verify .*no pulse trains"),
        ({**WRITTEN, "backend": "aihwkit"}, r"`backend` must be left out with --mode write-verify .*Use batched"),
        ({**WRITTEN, "weight_noise": 0.1}, r"`weight_noise` must be left out with --mode write-verify"),
        ({**WRITTEN, "times": "1d"}, r"`times` must be left out .*1d: reram-sb has no model of drift"),
        ({**WRITTEN, "device": "reram-cmo"}, r"`device` must have a model of how pulses move it, but is 'reram-c"),
        ({"sleep_factor": 0.5}, r"`sleep_factor` must be left out .*Give --sleep-every too"),
        ({**SYNCED, "mode": "hwa"}, r"`placement` must be without sync_every with --mode hwa, .*one kernel"),
        ({**SYNCED, "mode": "digital"}, r"`placement` must be without sync_every with --mode digital, .*one kernel"),
        (
            {**SYNCED, "mode": "write-verify"},
            r"`placement` must be without sync_every with --mode write-verify, .*writes all copies to one target",
        ),
        (
            {**SYNCED, "backend": "aihwkit"},
            r"`placement` must be without sync_every, .*aihwkit's own tiles cannot be written by a write-verify loop",
        ),
        ({"placement": "replicated", "sleep_every": 2}, r"`sleep_every` must be left out with --placement repl"),
        (
            {"model": "cnn_digits", "soft_sharing": 0.5},
            r"`soft_sharing` must be left out with --placement time_multiplexed, but is 0\.5: one kernel for all",
        ),
    ],
)  # fmt: skip
def test_options_without_effect_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(TrainConfig(**wrong), (1, 8, 8))


def test_defaults_in_situ():
    config = resolve(TrainConfig(**IN_SITU), (1, 8, 8))
    assert (config.weight_scaling, config.engine, config.backend) == (0.6, "auto", "batched")
    assert config.lr == 1.0
    assert resolve(TrainConfig(mode="in-situ", device="tiki-taka-ecram"), (1, 8, 8)).lr == 3.0
    assert (config.weight_noise, config.times, config.compensation) == (None, None, None)
    ageing = resolve(TrainConfig(mode="in-situ", device="pcm"), (1, 8, 8))
    assert ageing.times == resolved().times
    assert ageing.compensation == "global"
    assert resolve(TrainConfig(**IN_SITU, weight_scaling=0.0), (1, 8, 8)).weight_scaling == 0.0
    for done in (config, ageing, resolved()):
        assert resolve(done.as_wish(), (1, 8, 8)) == done


def test_defaults_of_write_verify():
    config = resolve(TrainConfig(**WRITTEN), (1, 8, 8))
    assert (config.write_every, config.write_tolerance, config.weight_scaling) == (1, 0.02, 0.6)
    assert (config.lr, config.engine, config.times, config.compensation) == (1.0, None, None, None)
    ageing = resolve(TrainConfig(mode="write-verify", device="pcm"), (1, 8, 8))
    assert (ageing.times, ageing.compensation) == (resolved().times, "global")
    for done in (config, ageing):
        assert resolve(done.as_wish(), (1, 8, 8)) == done


def test_defaults_of_sharing():
    synced = resolve(TrainConfig(**SYNCED), (1, 8, 8))
    assert (synced.write_tolerance, synced.sleep_factor) == (0.02, None)
    asleep = resolve(TrainConfig(**IN_SITU, sleep_every=3), (1, 8, 8))
    assert (asleep.write_tolerance, asleep.sleep_factor) == (0.02, 1.0)
    assert resolve(TrainConfig(sleep_every=3, sleep_factor=0.5), (1, 8, 8)).sleep_factor == 0.5
    assert resolve(TrainConfig(**{**SYNCED, "write_tolerance": 0.1}), (1, 8, 8)).write_tolerance == 0.1
    never = {**SYNCED, "placement": "replicated(tiles=2,sync_every=0)", "mode": "hwa", "device": "pcm"}
    assert resolve(TrainConfig(**never), (1, 8, 8)).placement == never["placement"]
    for done in (synced, asleep):
        assert resolve(done.as_wish(), (1, 8, 8)) == done


def test_a_device_is_one_run_by_whatever_name():
    named = [
        resolve(TrainConfig(mode="in-situ", device=name), (1, 8, 8)) for name in ("reram-sb", "ReRamSBPreset")
    ]
    assert RunFolder.of(named[0]) == RunFolder.of(named[1])


@pytest.mark.parametrize("lr", [None, 0.25])
def test_the_digital_reference_has_no_devices(lr):
    """Of pulses it keeps nothing; hardware-aware training and its reference share Adam and its learning rate."""
    digital = digital_reference(resolve(TrainConfig(**IN_SITU, lr=lr, record_every=2), (1, 8, 8)), (1, 8, 8))
    assert digital == resolve(TrainConfig(mode="digital", device="none"), (1, 8, 8))
    digital = digital_reference(resolve(TrainConfig(**WRITTEN, lr=lr), (1, 8, 8)), (1, 8, 8))
    assert digital == resolve(TrainConfig(mode="digital", device="none"), (1, 8, 8))
    digital = digital_reference(resolve(TrainConfig(lr=lr), (1, 8, 8)), (1, 8, 8))
    assert digital == resolve(TrainConfig(mode="digital", device="none", lr=lr), (1, 8, 8))


def test_the_digital_reference_of_synchronised_copies_has_one_kernel():
    digital = digital_reference(resolve(TrainConfig(**SYNCED), (1, 8, 8)), (1, 8, 8))
    assert digital.placement == "replicated(tiles=2,sync_every=0)"
    assert digital == resolve(digital.as_wish(), (1, 8, 8))


def test_images_of_an_unknown_size_are_refused():
    with pytest.raises(ValueError, match=r"`data` must have images of .*, but 'x\.npz' has \(1, 9, 9\)\."):
        resolve(TrainConfig(data="x.npz"), (1, 9, 9))


def test_evaluation_wishes_are_fields_of_the_run():
    assert {field.name for field in fields(EvaluateConfig)} - {"run", "trust", "packing"} <= set(OTHER)
