"""`xbar bench --quick` runs through: what it writes is whole and fits together. Times are never judged."""

import json
from itertools import product
from pathlib import Path
from time import sleep

import pytest
import torch
from threadpoolctl import threadpool_info

from experiments.bench.bench import BenchConfig, run
from experiments.bench.growth import LARGEST_LOOP, measure_point
from experiments.bench.in_place import (
    IN_PLACE_CONTESTANTS,
    IN_PLACE_NETWORKS,
    QUICK_RULES,
    network_learners,
    small_learners,
)
from experiments.bench.speed import (
    CONFIGURATIONS,
    CONTESTANTS,
    WORKS,
    Comparison,
    Contestant,
    LoopLayer,
    Spread,
    local_layers,
    take_turns,
    use_threads,
)
from experiments.bench.step import structured_images, training_images
from experiments.bench.tables import wires_table
from experiments.bench.update import (
    GRADIENTS,
    RULES,
    UPDATE_CONTESTANTS,
    UpdateComparison,
    make_learners,
)
from experiments.bench.wires import OHM, measure_wires
from experiments.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "new folder"
    return run(BenchConfig(quick=True, threads=1, out=out)), out


@pytest.mark.slow
def test_every_piece_of_work_is_measured_once(bench):
    result, _ = bench
    measured = [(c["configuration"], c["batch_size"], c["layers"], c["work"]) for c in result["speed"]]
    expected = list(product(CONFIGURATIONS, (8,), ("local1", "local2", "together"), WORKS))
    assert sorted(measured) == sorted(expected)


@pytest.mark.slow
def test_times_and_ratios_are_positive_and_ordered(bench):
    result = bench[0]
    for kind, contestants in (
        ("speed", CONTESTANTS),
        ("update", UPDATE_CONTESTANTS),
        ("step", CONTESTANTS),
        ("in_place", IN_PLACE_CONTESTANTS),
    ):
        for comparison in result[kind]:
            assert tuple(comparison["seconds"]) == contestants
            ratios = [comparison[name] for name in comparison if "_over_" in name]
            assert len(ratios) == len(contestants) - 1
            for spread in (*comparison["seconds"].values(), *ratios):
                lower, upper = spread["quartiles"]
                assert 0 < lower <= spread["median"] <= upper < float("inf")


@pytest.mark.slow
def test_every_rule_and_some_steps_are_measured(bench):
    result, _ = bench
    measured = [(c["rule"], c["gradients"], c["batch_size"]) for c in result["update"]]
    assert measured == list(product(RULES, GRADIENTS, (8,)))
    assert [c["step"] for c in result["step"]] == [1, 5]
    assert result["step_images"] == "digits"


@pytest.mark.slow
def test_networks_and_small_tiles_learn_in_place(bench):
    measured = [(c["what"], c["rule"], c["batch_size"]) for c in bench[0]["in_place"]]
    networks = list(product(IN_PLACE_NETWORKS, QUICK_RULES, (1, 8)))
    assert measured == networks + [("1 tile of 20 x 20", rule, 1) for rule in QUICK_RULES]


def test_both_networks_that_learn_in_place_begin_alike_and_learn():
    images = structured_images((1, 28, 28), 16)
    learners = network_learners("784-256-128-10", RULES["ConstantStep"](), images, 8)
    weights = {}
    for name, learner in learners.items():
        layer = learner.model[1]
        before = layer.get_weights()[0].clone()
        learner.step()
        after = layer.get_weights()[0]
        assert not torch.equal(before, after)
        weights[name] = before
    # Devices of both clip what lies beyond their own bounds, 0.6 +- 0.18, of which one in a thousand is below 1 / 28.
    differs = (weights["aihwkit_loop"] - weights["ours"]).abs() > 1e-6
    assert differs.float().mean() < 0.003


def test_small_tiles_of_both_learn():
    for learner in small_learners(2, RULES["ConstantStep"]()).values():
        learner.update()
        assert learner.layers[0].weights().abs().sum() > 0


@pytest.mark.slow
def test_tiles_are_counted_for_both_kinds(bench):
    points = {(point["contestant"], point["tiles"]): point for point in bench[0]["growth"]}
    assert set(points) == {("ours", 10), ("ours", 100), ("aihwkit_loop", 10), ("aihwkit_loop", 100)}
    for (_, tiles), point in points.items():
        assert point["weight_bytes"] == tiles * 32 * 9 * 4
        assert point["tensor_bytes"] > point["weight_bytes"]
        assert point["construction_seconds"] > 0
        assert point["pass_seconds"] > 0


@pytest.mark.slow
def test_files_hold_what_was_returned(bench):
    result, out = bench
    assert sorted(path.name for path in out.iterdir()) == ["bench.json", "bench.png", "bench_update.png"]
    assert json.loads((out / "bench.json").read_text()) == json.loads(json.dumps(result))
    for name in ("bench.png", "bench_update.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert result["environment"]["threads"] == 1


def test_every_library_gets_the_threads_and_they_are_given_back(tmp_path, monkeypatch):
    def openmp_threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"}

    seen = []

    def stop(*_):
        seen.extend([{torch.get_num_threads()}, openmp_threads()])
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.bench.bench.measure_speed", stop)
    before = torch.get_num_threads(), openmp_threads()
    wish = before[0] + 1
    with pytest.raises(KeyboardInterrupt):
        run(BenchConfig(quick=True, threads=wish, out=tmp_path))
    assert seen == [{wish}, {wish}]
    assert (torch.get_num_threads(), openmp_threads()) == before


def test_tables_are_printed(tmp_path, monkeypatch, capsys):
    spread = Spread(median=2.0, quartiles=(1.0, 3.0))
    comparison = Comparison(
        configuration="StandardHWATrainingPreset",
        batch_size=64,
        layers="together",
        tiles="169 of 32x9",
        work="training_step",
        seconds=dict.fromkeys(CONTESTANTS, Spread(median=0.5, quartiles=(0.25, 0.75))),
        loop_over_ours=spread,
        ours_over_digital=Spread(median=4.0, quartiles=(3.5, 4.5)),
    )
    monkeypatch.setattr("experiments.bench.bench.measure_speed", lambda *_: [comparison])
    monkeypatch.setattr("experiments.bench.bench.measure_growth", lambda *_: [measure_point("ours", 2, 1)])
    updates = [
        UpdateComparison(
            rule="ConstantStep",
            gradients=gradients,
            batch_size=64,
            rounds=3,
            seconds=dict.fromkeys(UPDATE_CONTESTANTS, Spread(median=0.5, quartiles=(0.25, 0.75))),
            loop_over_ours=spread,
            loop_over_exact=Spread(median=1.5, quartiles=(1.0, 2.0)),
        )
        for gradients in GRADIENTS
    ]
    monkeypatch.setattr("experiments.bench.bench.measure_updates", lambda *_: updates)
    monkeypatch.setattr("experiments.bench.bench.measure_steps", lambda *_: ("drawn", []))
    monkeypatch.setattr("experiments.bench.bench.measure_in_place", lambda *_: [])
    monkeypatch.setattr("experiments.bench.bench.measure_wires", lambda *_: [])
    monkeypatch.setattr("experiments.bench.bench.measure_other_layers", lambda *_: [])
    result = run(BenchConfig(threads=1, out=tmp_path))
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if "all of them together" in line)
    assert " ".join(row.split()).endswith("500.00 500.00 500.00 2.0 (1.0 to 3.0) 4.0 (3.5 to 4.5)")
    assert "faster than the loop by: 2.0x (target: at least 8x)" in printed
    assert "times the digital step: 4.0 (target: at most 2.0)" in printed
    row = next(line for line in printed.splitlines() if "ConstantStep" in line and "dense" in line)
    assert " ".join(row.split()).endswith("dense 500.00 500.00 500.00 2.0 (1.0 to 3.0) 1.5 (1.0 to 2.0) 3")
    assert "ConstantStep, dense gradients, faster than the loop by: 2.0x (target: at least 25x)" in printed
    assert "ConstantStep, dense gradients, exact engine, faster" in printed
    assert "ConstantStep, small gradients, faster than the loop by: 2.0x (target: at least 4x)" in printed
    measured = [target["measured"] for target in result["targets"]]
    assert measured == ["4.0", "2.0x", "2.0x", "1.5x", "2.0x"]


@pytest.mark.parametrize(
    ("part", "files"),
    [("growth", ["bench.json", "bench.png"]), ("step", ["bench.json", "bench_update.png"])],
)
def test_one_part_can_be_measured_alone(tmp_path, monkeypatch, part, files):
    monkeypatch.setattr("experiments.bench.bench.measure_growth", lambda *_: [measure_point("ours", 2, 1)])
    result = run(BenchConfig(quick=True, threads=1, only=part, out=tmp_path))
    assert [name for name in ("speed", "growth", "update", "step") if result[name]] == [part]
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def test_the_error_of_the_aggregated_update_is_measured_alone(tmp_path, capsys):
    words = ["bench", "--quick", "--only", "update-error", "--threads", "1", "--out", str(tmp_path)]
    assert main(words) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["update_error.json", "update_error.png"]
    content = json.loads((tmp_path / "update_error.json").read_text())
    published = json.loads((REPOSITORY / "docs" / "update_error.json").read_text())
    assert content.keys() == published.keys()
    assert content["promised"] == published["promised"]
    assert {tuple(error) for error in (*content["errors"], *published["errors"])} == {
        tuple(content["errors"][0])
    }
    assert capsys.readouterr().out.count("of its spread; spread") == len(content["errors"]) == 2


def test_long_work_is_done_less_often():
    clock, done = [0.0], []

    def work(name, seconds):
        done.append(name)
        clock[0] += seconds

    pieces = {"slow": lambda: work("slow", 3.0), "fast": lambda: work("fast", 1.0)}
    rounds = take_turns(pieces, 10, lambda: clock[0])
    assert rounds == [{"slow": 3.0, "fast": 1.0}] * 3
    assert done == ["slow", "fast", "fast"] * 4  # with one round of warm-up
    assert len(take_turns({"fast": pieces["fast"]}, 10, lambda: clock[0])) == 10
    done.clear()
    take_turns({"fast": pieces["fast"]}, 10, lambda: clock[0], times_a_turn=1)
    assert len(done) == 11


@pytest.mark.parametrize("contestant", UPDATE_CONTESTANTS)
def test_every_contestant_of_an_update_learns_the_whole_gradient(contestant):
    layers = list(local_layers("fcn_digits").values())
    learner = make_learners(layers, RULES["ConstantStep"](), 64, GRADIENTS["dense"])[contestant]
    ideals = [-0.1 * torch.bmm(d.transpose(1, 2), x) for d, x in zip(learner.now, learner.x, strict=True)]
    learner.update()
    for cells, ideal in zip(learner.layers, ideals, strict=True):
        slope = (cells.weights() * ideal).sum() / ideal.square().sum()
        # Pulse noise is at most as large as the ideal step (7.7e-3 of 60 pulses of 1e-3, 1.2e-2), devices differ by
        # 0.3: 1.05 / sqrt(5184 devices) = 1.5 %, of which 4.9 is 7 %: one false alarm in a million.
        assert abs(slope - 1) < 0.07


def test_every_second_update_goes_back():
    layers = [local_layers("fcn_digits")["local1"]]
    learner = make_learners(layers, RULES["ConstantStep"](), 64, GRADIENTS["dense"])["ours"]
    learner.update()
    away = learner.layers[0].weights().abs().mean()
    learner.update()
    assert learner.layers[0].weights().abs().mean() < away


def test_drawn_images_look_like_images_and_can_be_learned(tmp_path):
    kind, images = training_images((1, 28, 28), tmp_path)
    assert kind == f"drawn, as mnist is not in {tmp_path}"
    assert images.pixels.shape == (6400, 1, 28, 28)
    assert images.pixels.min() >= 0
    assert images.pixels.max() <= 1
    lit = (images.pixels > 0).float().mean()
    assert 0.1 < lit < 0.3  # MNIST: 0.19
    assert torch.equal(images.pixels, structured_images((1, 28, 28), 6400).pixels)
    mean = torch.stack([images.pixels[images.labels == label].mean(dim=0) for label in range(10)])
    nearest = torch.cdist(images.pixels.flatten(1), mean.flatten(1)).argmin(dim=1)
    assert (nearest == images.labels).float().mean() > 0.9


def test_ratios_are_formed_within_rounds():
    # The machine is ten times slower in the second round; ratios do not see it.
    rounds = [{"aihwkit_loop": 8.0 * k, "ours": 2.0 * k, "digital": 1.0 * k} for k in (1, 10)]
    names = {"configuration": "", "batch_size": 1, "layers": "", "tiles": "", "work": ""}
    comparison = Comparison.of(rounds, **names)
    assert comparison.loop_over_ours == Spread(median=4.0, quartiles=(4.0, 4.0))
    assert comparison.ours_over_digital == Spread(median=2.0, quartiles=(2.0, 2.0))
    assert comparison.seconds["ours"] == Spread(median=11.0, quartiles=(6.5, 15.5))


@pytest.mark.parametrize("configuration", list(CONFIGURATIONS))
def test_the_loop_computes_the_layer_and_learns(configuration):
    layer = local_layers("fcn_digits")["local2"]
    config = CONFIGURATIONS[configuration]()
    config.forward.is_perfect = True
    # aihwkit drops the gradient of outputs beyond its ADC's bound also on a perfect tile.
    config.forward.out_bound = 1e6
    config.pre_post.input_range.enable = False
    loop = LoopLayer(layer, config)
    contestant = Contestant([loop])
    x = torch.rand(3, 16, 6, 6, requires_grad=True)
    expected = layer(x)
    # float32 sums of 144 products of size 0.1: 144 * 0.1 * 2**-24 is 1e-6; mapping there and back, a few times that.
    torch.testing.assert_close(loop(x), expected, atol=1e-5, rtol=0)

    gradient = torch.ones_like(expected)
    (slope,) = torch.autograd.grad(expected, x, gradient)
    contestant.do("training_step", x, gradient)
    torch.testing.assert_close(x.grad, slope, atol=1e-4, rtol=0)
    assert not torch.allclose(loop(x), expected, atol=1e-4)


def test_evaluation_records_nothing_and_learns_nothing():
    layer = local_layers("fcn_digits")["local1"]
    contestant, before = Contestant([layer]), layer.weight.clone()
    x, gradient = torch.rand(2, 1, 8, 8), torch.ones(2, 16, 6, 6)
    for work in ("training_forward", "evaluation_forward"):
        contestant.do(work, x, gradient)
        assert torch.equal(layer.weight, before)
    contestant.do("training_step", x, gradient)
    assert not torch.equal(layer.weight, before)


def test_the_loop_is_spared_the_largest_numbers(monkeypatch):
    asked = []
    monkeypatch.setattr("experiments.bench.growth._in_a_fresh_process", lambda *task: asked.append(task[:2]))
    from experiments.bench.growth import measure_growth

    measure_growth((1, LARGEST_LOOP, LARGEST_LOOP + 1), 1, 1)
    largest = [max(tiles for name, tiles in asked if name == kind) for kind in ("ours", "aihwkit_loop")]
    assert largest == [LARGEST_LOOP + 1, LARGEST_LOOP]


def test_a_failed_process_is_named():
    from experiments.bench.growth import measure_growth

    with pytest.raises(RuntimeError, match=r"measuring 0 tiles \(ours\) failed: ValueError"):
        measure_growth((0,), 1, 1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"repeats": 0}, "`repeats` must be 1 or more, but is 0"),
        ({"threads": 0}, "`threads` must be 1 or more, but is 0"),
        ({"batch_sizes": (8, 0)}, "`batch_sizes` must be 1 or more, but is 0"),
        ({"tile_counts": ()}, "`tile_counts` must hold at least one number, but is empty"),
        ({"model": "cnn_mnist"}, "`model` must be one of .*fcn_mnist, but is 'cnn_mnist'"),
    ],
)
def test_impossible_measurements_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        BenchConfig(**flags)


@pytest.mark.slow
def test_wires_are_measured_for_every_layer(bench):
    """Two polarities of every tile, and one array beside them."""
    sizes = [(t["layer"], t["arrays"], t["bit_lines"], t["word_lines"]) for t in bench[0]["wires"]]
    assert sizes == [("one array", 1, 128, 128), ("local1", 72, 16, 9), ("local2", 32, 32, 144)]
    assert all(0 < t["read"] < t["once"] for t in bench[0]["wires"])


def test_badcrossbar_stands_beside_them_where_it_is_installed(monkeypatch):
    """Its arrays are word lines first, and its time for a layer is that of one array times their number."""
    shapes = []

    def compute(voltages, resistances, **options):
        shapes.append((voltages.shape, resistances.shape))
        assert options["r_i"] == OHM

    monkeypatch.setattr("experiments.bench.wires._badcrossbar", lambda: compute)
    timings = measure_wires("fcn_digits", 1)
    assert set(shapes) == {((n, 16), (n, m)) for m, n in ((128, 128), (16, 9), (32, 144))}
    assert all(t.badcrossbar is not None and t.badcrossbar > 0 for t in timings)
    text = "\n".join(wires_table(timings))
    assert "not installed" not in text
    assert "104" in text


def test_other_layers_are_measured_by_the_processor_and_beside_aihwkit(tmp_path, capsys):
    words = ["bench", "--quick", "--only", "layers", "--threads", "1", "--out", str(tmp_path)]
    assert main(words) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    measured = json.loads((tmp_path / "bench.json").read_text())["layers"]
    assert [row["what"] for row in measured] == ["conv1d", "LSTM"]
    for row in measured:
        median = {name: spread["median"] for name, spread in row["seconds"].items()}
        assert 0 < median["ours"] < 10
        assert 0 < median["aihwkit"] < 10
    assert "aihwkit / ours" in capsys.readouterr().out


def test_turns_are_timed_by_the_clock_that_is_given():
    ticks = iter(range(1000))
    rounds = take_turns({"one": lambda: None, "other": lambda: None}, 2, clock=lambda: 0.1 * next(ticks))
    assert [round(seconds, 6) for times in rounds for seconds in times.values()] == [0.1] * 4


@pytest.mark.parametrize(("threads", "counts_waiting"), [(1, False), (2, True)])
def test_on_one_thread_only_the_processor_is_timed(threads, counts_waiting):
    with use_threads(threads):
        seconds = take_turns({"waits": lambda: sleep(0.05)}, 1)[0]["waits"]
    assert (seconds >= 0.05) is counts_waiting
