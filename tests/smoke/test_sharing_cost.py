"""The whole study, tiny: what it writes, that it can be stopped, and that prices can be changed afterwards."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

import experiments.runs.training as training
from crossbar import EventLedger, StaticPower, load_profile, price
from experiments.cli import main
from experiments.data.chance import RULE
from experiments.runs.ledger_file import RunEvents
from experiments.runs.run_folder import RunFolder
from experiments.studies.sharing_cost.config import SharingCostConfig
from experiments.studies.sharing_cost.flips import find_flips
from experiments.studies.sharing_cost.rows import Row
from experiments.studies.sharing_cost.static_power.step_parts import StepParts
from helpers.studies import lines_of_tables, page_of_version_1

SCHEMES = ("time_multiplexed", "replicated(sync_every=2)")
TINY = [
    *("sharing-cost", "--schemes", *SCHEMES, "--tile-counts", "2", "--devices", "ecram", "--seeds", "0"),
    *(
        "--mechanisms",
        "in-situ",
        "hwa",
        "write-verify",
        "--epochs",
        "2",
        "--train-images",
        "40",
        "--test-images",
        "20",
    ),
    *("--batch-size", "10", "--chips", "1", "--jobs", "1"),
]
FIGURES = ("to_accuracy", "pareto", "sync", "tiles", "breakdown", "residual", "sensitivity")


def study(folder, *more):
    """Run the tiny study; return what its JSON holds."""
    assert main([*TINY, "--runs", str(folder / "runs"), "--out", str(folder / "study"), *more]) == 0
    return read(folder / "study")


def read(out):
    return json.loads((out / "sharing_cost.json").read_text())


def without_places(content):
    """Rows without folders and command lines, which name them."""
    return [{k: v for k, v in row.items() if k not in ("run", "command")} for row in content["rows"]]


@pytest.fixture(scope="module", autouse=True)
def _taken_for_trained():
    """Networks as small as these stay at chance; what is tested here is what becomes of those that learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.data.chance._DEVIATIONS", -100.0)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, study(folder)


def test_what_a_study_writes(finished):
    folder, content = finished
    cells = [(row["mechanism"], row["scheme"]) for row in content["rows"]]
    sweep = [("in-situ", "replicated(tiles=2)"), ("in-situ", "random(tiles=2)")]
    assert cells == [*(("in-situ", s) for s in SCHEMES), ("write-verify", "time_multiplexed"), *sweep]
    assert content["left_out"]["ecram, hwa, time_multiplexed"].startswith("ecram has no model of programming")
    assert content["failed"] == {}
    out = folder / "study"
    for figure in FIGURES:
        assert (out / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    # Of each mechanism five tables of what accuracies cost, two, one for each packing, one of its wear by layer, and
    # two of when arrays draw static power.
    text = (out / "sharing_cost.md").read_text()
    assert text.count("\n| `time_multiplexed` |") == 10 + 2 + 2 + 2 + 4
    assert text.count("\n| ecram |") == 3 + 1  # parts of a step, of each scheme and mechanism
    assert len((out / "sharing_cost.csv").read_text().splitlines()) == 1 + len(cells)


def test_rows_hold_what_the_ledgers_cost(finished):
    """Each number against a price made here, from the run's own ledger."""
    folder, content = finished
    profile = load_profile("rpu-ecram")
    for row in content["rows"]:
        run = folder / "study" / row["run"]
        events = RunEvents.read(run / "ledger.json")
        step, image = price(events.training, profile), price(events.evaluation.inference, profile)
        assert events.training.steps == 8
        assert events.evaluation.inference.images == 20
        assert sum(row["training"]["energy_uJ"].values()) == pytest.approx(step.with_digital / 8)
        assert row["training"]["sequential_s"] == pytest.approx(step.sequential / 8)
        assert sum(row["inference"]["energy_uJ"].values()) == pytest.approx(image.with_digital / 20)
        assert row["inference"]["pipelined_s"] == pytest.approx(image.pipelined / 20)
        assert row["unpacked"]["area_mm2"] == pytest.approx(image.area / 1e6)
        assert row["steps_to_end_of_life"] == pytest.approx(step.steps_to_end_of_life)
        # The second table: energy, time and area of another packing.
        image = price(events.evaluation.inference, profile, packing="union")
        assert sum(row["packed_inference"]["energy_uJ"].values()) == pytest.approx(image.with_digital / 20)
        assert row["packed_inference"]["sequential_s"] == pytest.approx(image.sequential / 20)
        assert row["packed"]["area_mm2"] == pytest.approx(image.area / 1e6)
        result = json.loads((run / "result.json").read_text())
        assert row["accuracy"] == {"fresh": result["as_trained"][0]}
        assert bool(row["residual"]) == row["scheme"].startswith("replicated")


def test_parts_of_a_step_are_its_bill(finished):
    """In both scopes; and a part is not empty where its work was done."""
    folder, content = finished
    profile = load_profile("rpu-ecram")
    plan = SharingCostConfig(mechanisms=("in-situ", "write-verify"), devices=("ecram",)).resolved()
    for row in content["rows"]:
        events = RunEvents.read(folder / "study" / row["run"] / "ledger.json").training
        parts = StepParts.of(events, profile, plan)
        work = parts.refresh + parts.programming + parts.verify + parts.rest
        for scope, static in (("network", parts.in_network), ("layer", parts.in_layer)):
            bill = price(events, profile, static=StaticPower(scope=scope))
            assert (work + static) * events.steps == pytest.approx(bill.with_digital)
        writes = row["mechanism"] == "write-verify" or "sync_every" in row["scheme"]
        assert (parts.programming > 0, parts.verify > 0, parts.refresh > 0) == (writes, writes, False)


def test_curves_say_what_accuracies_cost(finished, tmp_path, capsys):
    """Each price against one made here; the last measurement is the whole training."""
    folder, content = finished
    profile = load_profile("rpu-ecram")
    for row in content["rows"]:
        run = folder / "study" / row["run"]
        curve, training = row["curve"], RunEvents.read(run / "ledger.json").training
        assert curve["steps"] == [4, 5, 8]  # the ends of both epochs, and every fifth step
        whole = price(training, profile)
        assert curve["energy_uJ"][-1] == pytest.approx(whole.with_digital)
        assert curve["seconds"][-1] == pytest.approx(whole.sequential)
        assert curve["wear"][-1] == pytest.approx(8 / whole.steps_to_end_of_life)
        lines = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
        second = price(EventLedger.from_json(lines[1]["events"]), profile)
        assert curve["energy_uJ"][1] == pytest.approx(second.with_digital)
        assert curve["accuracy"] == [line["accuracy"] for line in lines]
    # Below what all reach at once, what one may reach, and what none does.
    again = [
        "sharing-cost",
        "--from",
        str(folder / "study"),
        "--out",
        str(tmp_path),
        "--targets",
        "0.1",
        "99",
    ]
    assert main(again) == 0
    rows = list(csv.DictReader((tmp_path / "sharing_cost.csv").read_text().splitlines()))
    for row, line in zip(content["rows"], rows, strict=True):
        first = next(i for i, value in enumerate(row["curve"]["accuracy"]) if value >= 0.001)
        assert float(line["until_0.1_uJ"]) == pytest.approx(row["curve"]["energy_uJ"][first])
        assert line["until_99_uJ"] == ""
        assert float(line["until_best_accuracy"]) == max(row["curve"]["accuracy"])
    text = (tmp_path / "sharing_cost.md").read_text()
    assert "| scheme | 0.1 % | 99 % | best |" in text
    assert "| not reached |" in text
    assert main([*again[:-2], "0"]) == 2
    assert "`targets` must lie in (0, 100] per cent, but has 0. Try 90." in capsys.readouterr().err


def test_runs_of_earlier_versions_have_no_curve_and_that_is_said(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "moved")
    for file in tmp_path.glob("moved/runs/*/curve.jsonl"):
        file.unlink()
    assert (
        main(["sharing-cost", "--from", str(tmp_path / "moved" / "study"), "--out", str(tmp_path / "out")])
        == 0
    )
    text = (tmp_path / "out" / "sharing_cost.md").read_text()
    assert "5 of the runs keep no curve of their accuracy, as an earlier version trained them" in text
    assert not (tmp_path / "out" / "to_accuracy.png").exists()
    assert (tmp_path / "out" / "pareto.png").exists()


def test_a_flip_is_where_two_prices_are_equal(finished):
    """Price both schemes with the constant scaled to the reported factor: they cost the same."""
    folder, content = finished
    profile = load_profile("rpu-ecram")
    constants = {"ADC energy": "adc_energy", "static power": "static_power"}
    ledgers = {
        (row["mechanism"], row["scheme"]): RunEvents.read(folder / "study" / row["run"] / "ledger.json")
        for row in content["rows"]
    }
    checked = 0
    for flip in content["flips"]:
        if flip["constant"] not in constants:
            continue
        scaled = profile.scaled(constants[flip["constant"]], flip["factor"])
        costs = []
        for side in ("cheaper_below", "cheaper_above"):
            events = ledgers[flip["mechanism"], flip[side]]
            ledger = events.training if flip["work"] == "training step" else events.evaluation.inference
            costs.append(price(ledger, scaled).with_digital)
        assert costs[0] == pytest.approx(costs[1], rel=1e-9)
        checked += 1
    assert checked


def test_lines_of_iterations_scale_what_loops_send_and_read(finished):
    """Programming and verifying in proportion, all else held; the other constants as their component does."""
    folder, content = finished
    rows = [Row.from_json(values) for values in content["rows"]]
    folders = {row.run: RunFolder(folder / "study" / row.run) for row in rows}
    config, profiles = SharingCostConfig().resolved(), {"ecram": load_profile("rpu-ecram")}
    ranges, lines, _ = find_flips(rows, folders, SCHEMES, profiles, config)
    assert ranges["ecram"]["write-verify iterations"] == pytest.approx((1 / 8.5, 30 / 8.5))
    assert set(lines) == {("ecram", "in-situ", "training step"), ("ecram", "write-verify", "training step")}
    parts = {"write-verify iterations": ("programming", "verify"), "static power": ("static",)}
    for row in rows[:3]:
        assert row.training is not None
        energy = row.training.energy_uJ
        for name, components in parts.items():
            line = lines["ecram", row.mechanism, "training step"][name][row.scheme]
            scaled = sum(energy[component] for component in components)
            assert line.at(1.0) == pytest.approx(row.training.total, rel=1e-9)
            assert line.scaled == pytest.approx(scaled, rel=1e-6, abs=1e-9 * row.training.total)


def test_pricing_again_is_pricing(finished, tmp_path):
    folder, content = finished
    assert main(["sharing-cost", "--from", str(folder / "study"), "--out", str(tmp_path / "same")]) == 0
    again = read(tmp_path / "same")
    assert without_places(again) == without_places(content)
    assert again["flips"] == content["flips"]


def test_networks_at_chance_are_shown_but_have_no_price(finished, tmp_path, monkeypatch):
    """The same study, by the rule that holds elsewhere: a few steps on 40 images teach nothing."""
    folder, content = finished
    assert all(row["did_learn"] for row in content["rows"])
    monkeypatch.setattr("experiments.data.chance._DEVIATIONS", 3.0)
    assert main(["sharing-cost", "--from", str(folder / "study"), "--out", str(tmp_path)]) == 0
    again = read(tmp_path)
    assert not any(row["did_learn"] for row in again["rows"])
    assert again["flips"] == []
    text = (tmp_path / "sharing_cost.md").read_text()
    assert "\n| `time_multiplexed`, did not learn |" in text
    assert RULE in text
    assert not (tmp_path / "breakdown.png").exists()
    assert (tmp_path / "pareto.png").exists()  # says what is not drawn


def test_what_earlier_versions_left_is_still_shown(finished, tmp_path):
    page = page_of_version_1(
        finished[0] / "study",
        "sharing_cost",
        tmp_path,
        "config",
        {"format": "crossbar-emulator sharing-cost 1"}.items(),
    )
    lines = lines_of_tables(page)
    assert lines
    assert lines == lines_of_tables((finished[0] / "study" / "sharing_cost.html").read_text())[: len(lines)]
    assert "did not say which networks had learned" in page


def test_study_and_runs_can_be_moved_together(finished, tmp_path):
    folder, content = finished
    assert not any(Path(row["run"]).is_absolute() for row in content["rows"])
    shutil.copytree(folder, tmp_path / "moved")
    assert main(["sharing-cost", "--from", str(tmp_path / "moved" / "study"), "--packing", "union"]) == 0
    (out,) = (tmp_path / "moved" / "study").glob("priced-rpu-ecram-union")
    assert {(out / row["run"]).resolve().parent for row in read(out)["rows"]} == {tmp_path / "moved" / "runs"}


def test_another_profile_changes_prices_and_nothing_else(finished, tmp_path):
    folder, content = finished
    mine = tmp_path / "mine.toml"
    profile = load_profile("rpu-ecram").scaled("adc_energy", 2.0)
    mine.write_text(profile.to_toml().replace('name = "rpu-ecram"', 'name = "mine"'))
    out = tmp_path / "mine"
    assert (
        main(["sharing-cost", "--profile", str(mine), "--from", str(folder / "study"), "--out", str(out)])
        == 0
    )
    for before, after in zip(content["rows"], read(out)["rows"], strict=True):
        assert (before["profile"], after["profile"]) == ("rpu-ecram", "mine")
        assert after["accuracy"] == before["accuracy"]
        for work in ("inference", "training"):
            one, two = before[work]["energy_uJ"], after[work]["energy_uJ"]
            assert two["adc"] == pytest.approx(2 * one["adc"], rel=1e-12)
            others = [name for name in one if name not in ("adc", "verify")]
            assert [two[name] for name in others] == [one[name] for name in others]


def test_a_scope_changes_the_static_part_and_nothing_else(finished, tmp_path):
    source = str(finished[0] / "study")
    rows = {}
    for name, words in {
        "network": [],
        "layer": ["--static-scope", "layer"],
        "rate": ["--static-scope", "always-on", "--frame-rate", "10"],
        "cycle": ["--static-scope", "always-on", "--duty-cycle", "0.5"],
    }.items():
        assert main(["sharing-cost", "--from", source, "--out", str(tmp_path / name), *words]) == 0
        rows[name] = json.loads((tmp_path / name / "sharing_cost.json").read_text())["rows"]
    for network, layer, rate, cycle in zip(*rows.values(), strict=True):
        energies = [row["inference"]["energy_uJ"] for row in (network, layer, rate, cycle)]
        assert len({str({**energy, "static": 0}) for energy in energies}) == 1
        of_network, of_layer, at_rate, half = (energy["static"] for energy in energies)
        assert half == pytest.approx(2 * of_network)
        assert of_layer < of_network < at_rate
        power = of_network / network["inference"]["sequential_s"]
        assert at_rate == pytest.approx(power / 10)
    text = (tmp_path / "network" / "sharing_cost.md").read_text()
    assert "## When arrays draw static power" in text
    assert "always on, 1000 /s" in text
    assert (tmp_path / "network" / "static_power.png").exists()


def test_a_single_run_is_priced(finished, capsys):
    folder, content = finished
    row = content["rows"][0]
    run = folder / "study" / row["run"]
    assert main(["sharing-cost", "--profile", "isaac-reram", "--from", str(run)]) == 0
    assert "| `time_multiplexed` |" in capsys.readouterr().out
    priced = json.loads((run / "cost-isaac-reram.json").read_text())
    expected = price(RunEvents.read(run / "ledger.json").training, load_profile("isaac-reram"))
    assert sum(priced["training"]["energy_uJ"].values()) == pytest.approx(expected.with_digital / 8)


def test_a_finished_study_is_not_repeated(finished, monkeypatch):
    folder, content = finished
    monkeypatch.setattr("experiments.studies.study.run_train", lambda wish: pytest.fail("trained again"))
    assert study(folder)["rows"] == content["rows"]


def test_stopped_in_mid_run_and_continued_it_comes_to_the_same(finished, tmp_path, monkeypatch, capsys):
    """Ctrl-C in the third step of the second run; then the same command again."""
    steps = []
    take_step = training._take_step

    def counting(*arguments):
        steps.append(None)
        if len(steps) == 11:
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(*arguments)

    monkeypatch.setattr(training, "_take_step", counting)
    command = [*TINY, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "study")]
    assert main(command) == 130
    assert "Continue with: the same command" in capsys.readouterr().err
    assert not (tmp_path / "study" / "sharing_cost.json").exists()
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 1
    assert len(list(tmp_path.glob("runs/*/checkpoint.safetensors"))) == 1
    assert without_places(study(tmp_path)) == without_places(finished[1])
    assert len(steps) == 5 * 8  # no step was done twice


def test_a_run_that_breaks_off_does_not_stop_the_others(tmp_path, monkeypatch):
    from experiments.commands.train import run_train

    def train_or_fail(wish):
        if wish.placement == SCHEMES[1]:
            raise ValueError("the loss became\n nan")
        run_train(wish)

    monkeypatch.setattr("experiments.studies.study.run_train", train_or_fail)
    content = study(tmp_path, "--mechanisms", "in-situ")
    assert content["failed"] == {f"ecram, in-situ, {SCHEMES[1]}, seed 0": "the loss became nan"}
    assert len(content["rows"]) == 3
    assert "- the loss became nan: ecram, in-situ" in (tmp_path / "study" / "sharing_cost.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "nowhere"], "xbar: `from` must be a folder, but there is none at nowhere."),
        (["--from", "."], "xbar: `run` must be a run folder, but . holds no config.json."),
        (
            ["--profile", "nothing.toml", "--quick"],
            "xbar: `profile` must be one of bulk-rram, hermes-pcm",
        ),
        (["--devices", "idealized"], "xbar: `profile` must be given for idealized"),
        (["--schemes", "blocks(rows=9,cols=1)"], "xbar: `schemes` and `tile_counts` must fit cnn_digits"),
        (
            ["--mechanisms", "hwa", "--devices", "ecram"],
            "xbar: `mechanisms` must fit the devices and schemes",
        ),
    ],
)
def test_refusals_come_before_any_training(words, message, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["sharing-cost", *words]) == 2
    assert capfd.readouterr().err.startswith(message)
    assert not list(tmp_path.rglob("config.json"))


def test_an_unfinished_run_is_refused(finished, tmp_path, capfd):
    folder, content = finished
    run = folder / "study" / content["rows"][0]["run"]
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    assert main(["sharing-cost", "--from", str(tmp_path)]) == 2
    assert "`run` must be finished, but" in capfd.readouterr().err


@pytest.mark.slow
def test_side_by_side_is_one_by_one(finished, tmp_path):
    """Two processes, one thread each, give the same numbers as one after the other."""
    assert without_places(study(tmp_path, "--jobs", "2")) == without_places(finished[1])


def test_help_explains(capsys):
    with pytest.raises(SystemExit):
        main(["sharing-cost", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    for part in (
        "What does sharing weights cost",
        "sync_every=k",
        "--from PATH",
        "xbar sharing-cost --quick",
    ):
        assert part in words
