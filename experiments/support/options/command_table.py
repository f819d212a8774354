"""All commands of `xbar`, one entry each; nothing of them is imported before one is asked for."""

from dataclasses import dataclass
from typing import Final, Literal, final


@final
@dataclass(frozen=True)
class Command:
    """One command of `xbar`.

    Attributes:
        name: The word after `xbar`.
        summary: What the overview says of it.
        config: What it can be asked for, "module:class"; tyro reads the command line into it.
        function: What does it, "module:function", called with an instance of that class; it returns what --json
            prints, an `Answer`.
        threads: How many threads it has: as --threads says ("asked"); the same for each of its jobs ("jobs"), after
            `resolved()` of its configuration, which the function then gets, has counted the cores for them; or all
            that are available ("all").
        is_swept: Whether `xbar sweep` can do it for lists of options: it computes something that they decide about.
    """

    name: str
    summary: str
    config: str
    function: str
    threads: Literal["asked", "jobs", "all"]
    is_swept: bool = False


COMMANDS: Final = (
    Command(
        "demo",
        "what sharing costs and what happens without it, small: one table, one figure, two minutes",
        ".studies.demo.config:DemoConfig",
        ".studies.demo.study:run_demo",
        "jobs",
    ),
    Command(
        "train",
        "train a network, program it onto chips, follow its accuracy over time",
        ".runs.options.config:TrainConfig",
        ".commands.train:run_train",
        "asked",
        is_swept=True,
    ),
    Command(
        "resume",
        "continue an interrupted run",
        ".commands.config:ResumeConfig",
        ".commands.resume:run_resume",
        "all",
    ),
    Command(
        "evaluate",
        "program a trained network onto other devices, for other times",
        ".commands.config:EvaluateConfig",
        ".commands.evaluate:run_evaluate",
        "asked",
        is_swept=True,
    ),
    Command(
        "report",
        "draw the figures of a run, also what its updates did to the devices",
        ".commands.config:ReportConfig",
        ".studies.report:run_report",
        "all",
    ),
    Command(
        "does-it-matter",
        "which non-idealities change a run's result, and which settings had no effect",
        ".studies.does_it_matter.config:DoesItMatterConfig",
        ".studies.does_it_matter.study:run_does_it_matter",
        "all",
        is_swept=True,
    ),
    Command(
        "tune",
        "learning rates searched on validation images, with the same effort for every training",
        ".studies.tune.config:TuneConfig",
        ".studies.tune.study:run_tune",
        "jobs",
        is_swept=True,
    ),
    Command(
        "what-if",
        "which property of a device to improve, by how much, for which gain",
        ".studies.what_if.config:WhatIfConfig",
        ".studies.what_if.study:run_what_if",
        "jobs",
        is_swept=True,
    ),
    Command(
        "sweep",
        "any command for lists of its options: one run for each combination, one table, one figure",
        ".studies.sweep.config:SweepConfig",
        ".studies.sweep.study:run_sweep",
        "jobs",
    ),
    Command(
        "sharing-cost",
        "what sharing weights costs in energy, time, area and wear, and what it buys in accuracy",
        ".studies.sharing_cost.config:SharingCostConfig",
        ".studies.sharing_cost.study:run_sharing_cost",
        "jobs",
        is_swept=True,
    ),
    Command(
        "paper",
        "the seed paper's four questions on sharing, in floating point and on hardware",
        ".studies.paper.config:PaperConfig",
        ".studies.paper.study:run_paper",
        "jobs",
        is_swept=True,
    ),
    Command(
        "published",
        "tables of other papers computed anew, each cell judged by a rule written before",
        ".studies.published.config:PublishedConfig",
        ".studies.published.study:run_published",
        "jobs",
    ),
    Command(
        "compare-devices",
        "the same networks on many devices: which learns best, which remembers",
        ".studies.compare_devices.config:CompareDevicesConfig",
        ".studies.compare_devices.study:run_compare_devices",
        "jobs",
        is_swept=True,
    ),
    Command(
        "in-situ",
        "shared and unshared kernels, learning by pulses on several devices",
        ".studies.in_situ.config:InSituConfig",
        ".studies.in_situ.study:run_in_situ",
        "jobs",
        is_swept=True,
    ),
    Command(
        "share",
        "kernels that learned apart, made one afterwards: what is lost, what learning on brings back",
        ".studies.share.config:ShareConfig",
        ".studies.share.study:run_share",
        "jobs",
        is_swept=True,
    ),
    Command(
        "patterns",
        "is it the weights of copies that are hard to share, or which devices they lack?",
        ".studies.patterns.config:PatternsConfig",
        ".studies.patterns.study:run_patterns",
        "jobs",
        is_swept=True,
    ),
    Command(
        "retention",
        "evaluations of several runs put together: accuracy over a year, by device and compensation",
        ".studies.retention.config:RetentionConfig",
        ".studies.retention.study:run_retention",
        "all",
    ),
    Command(
        "scaling",
        "what sharing costs in a training step, against image, kernels, batch and machines",
        ".studies.scaling.config:ScalingConfig",
        ".studies.scaling.study:run_scaling",
        "all",
        is_swept=True,
    ),
    Command(
        "wires",
        "what the resistance of wires does to a trained network, exactly",
        ".studies.wires.config:WiresConfig",
        ".studies.wires.study:run_wires",
        "asked",
        is_swept=True,
    ),
    Command(
        "wires-training",
        "studies of wires put together: accuracy trained with and without the wires",
        ".studies.wires_training.config:WiresTrainingConfig",
        ".studies.wires_training.study:run_wires_training",
        "all",
    ),
    Command(
        "verify",
        "compute the reference numbers of the README anew, and say whether they hold",
        ".commands.config:VerifyConfig",
        ".commands.verify:run_verify",
        "asked",
    ),
    Command(
        "devices",
        "list the memory cells, or describe one",
        ".commands.config:DevicesConfig",
        ".commands.device_list:run_devices",
        "all",
    ),
    Command(
        "fit-device",
        "make a device file from measurements of your own",
        ".commands.own_devices.config:FitDeviceConfig",
        ".commands.own_devices.fit_device:run_fit_device",
        "all",
    ),
    Command(
        "import-device",
        "make a device file from parameters of NeuroSim, CrossSim or aihwkit",
        ".commands.own_devices.import_config:ImportDeviceConfig",
        ".commands.own_devices.import_device:run_import_device",
        "all",
    ),
    Command(
        "runs",
        "list the folder of runs: when, what came out, how large",
        ".commands.config:RunsConfig",
        ".commands.run_list:run_list",
        "all",
    ),
    Command(
        "bench",
        "measure the speed of the tile arrays",
        ".bench.bench:BenchConfig",
        ".bench.bench:run",
        "all",
    ),
)
