"""Exports of measuring stations: one small file for each habit, read with no manual edit, or refused in one sentence.

All files hold the same device: 30 steps up of 0.3 µS from 2 µS, then 30 down of 0.25 µS.
"""

from pathlib import Path

import numpy as np
import pytest

from devices.device_file import read_device_file
from devices.fitting import fit_reads, fit_writes
from devices.measurements import (
    PulseTrace,
    layout_of,
    read_drift_traces,
    read_pulse_traces,
    read_repeated_reads,
    read_writes,
    refuse_unused,
)

UP = 2 + 0.3 * np.arange(31)
G = [*UP, *(UP[-1] - 0.25 * np.arange(1, 31))]
WAYS = [0] + [1] * 30 + [-1] * 30


def rows(pattern: str, **words: object) -> str:
    """Write a line for the first reading and each pulse: {n} its number, {way} its direction, {g} in µS."""
    lines = []
    for n, (way, g) in enumerate(zip(WAYS, G, strict=True)):
        volts = {0: 0.1, 1: 1.5, -1: -1.2}[way]
        name = {0: "read", 1: "SET", -1: "RESET"}[way]
        lines.append(pattern.format(n=n, way=way, g=g, volts=volts, name=name, siemens=g * 1e-6, kilo=1e3 / g,
                                    amps=g * 1e-7, nano=g * 1e3, comma=f"{g:.4f}".replace(".", ","),
                                    **words))  # fmt: skip
    return "\n".join(lines) + "\n"


PLAIN = "pulse,conductance\n" + rows("{way},{g:.4f}")
HABITS = {
    "plain": (PLAIN, {}),
    "semicolons, decimal commas": ("Puls;Leitwert (µS)\n" + rows("{way};{comma}"), {}),
    "tabs": ("pulse\tconductance\n" + rows("{way}\t{g:.4f}"), {}),
    "blanks, lines above, a line of units": (
        "# station 7\nProbe: 12, site 3\nOperator Me\npulse voltage current\n- V nA\n"
        + rows("{n} {volts} {amps:.7e}"),
        {"unit": "A@0.1V", "scale": 1e9},
    ),
    "quoted": ('"pulse","conductance"\n' + rows('"{way}","{comma}"'), {}),
    "a separator at the end": ("pulse;conductance;\n" + rows("{way};{g:.4f};"), {}),
    "other names": ("nr,art,g,dev\n" + rows("{n},{name},{g:.4f},A"),
                    {"columns": "pulse=nr,conductance=g,device=dev,direction=art"}),
    "words": ("Pulse No.,operation,G [µS]\n" + rows("{n},{name},{g:.4f}"), {}),
    "voltages": ("Voltage (V),R (kOhm)\n" + rows("{volts},{kilo:.6f}"), {}),
    "minus is up": ("Voltage (V),G (uS)\n" + rows("{volts},{g:.4f}").replace("-1.2", "x").replace("1.5", "-1.5")
                    .replace("x", "1.2"), {}),
    "signed numbers": ("nr,G/µS\n" + "".join(f"{n * (1 if n <= 30 else -1)},{g:.4f}\n" for n, g in enumerate(G)), {}),
    "numbers and a scheme": ("pulse,G_uS\n" + rows("{n},{g:.4f}"), {"scheme": "30up,30down"}),
    "nS in the header": ("pulse,conductance (nS)\n" + rows("{way},{nano:.2f}"), {}),
    "S by option": ("pulse,conductance\n" + rows("{way},{siemens:.6e}"), {"unit": "S"}),
    "current, voltage by option": ("pulse,Id (A)\n" + rows("{way},{amps:.6e}"), {"unit": "A@0.1V"}),
    "columns by number": (rows("x7,{way},{g:.4f}"), {"columns": "pulse=2,conductance=3"}),
    "reads between pulses": ("op,g\nread,2.0\n" + "".join(
        f"{'set' if n <= 30 else 'reset'},\nread,{g + 0.02:.4f}\nread,{g:.4f}\n" for n, g in enumerate(G) if n), {}),
    "two columns of voltages": ("v_set,v_reset,g (uS)\n" + "".join(
        f"{1.5 * (way > 0)},{-1.2 * (way < 0)},{g:.4f}\n" for way, g in zip(WAYS, G, strict=True)), {}),
}  # fmt: skip


def read(
    folder: Path, text: str, notes: list[str] | None = None, encoding: str = "utf-8", **words: str
) -> list[PulseTrace]:
    path = folder / "export.csv"
    path.write_bytes(text.encode(encoding))
    layout = layout_of(words.get("columns"), words.get("unit"), words.get("scheme"))
    traces = read_pulse_traces(path, layout, notes)
    refuse_unused(layout)
    return traces


@pytest.mark.parametrize("habit", HABITS)
def test_each_habit_is_read(habit: str, tmp_path: Path) -> None:
    text, words = HABITS[habit]
    scale = words.get("scale")
    if scale:  # the column says nA
        lines = text.splitlines()
        text = "\n".join(
            lines[:5] + [f"{a} {b} {float(c) * scale:.6g}" for a, b, c in map(str.split, lines[5:])]
        )
    (trace,) = read(tmp_path, text, **{name: value for name, value in words.items() if name != "scale"})
    # Files have four digits behind the point; currents and resistances six or seven in all.
    np.testing.assert_allclose(trace.after, G[1:], rtol=2e-6, atol=1e-4)
    np.testing.assert_allclose(trace.before, G[:-1], rtol=2e-6, atol=1e-4)
    assert trace.pulses.tolist() == WAYS[1:]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    notes: list[str] = []
    (trace,) = read(tmp_path, "pulse,G (µS)\n" + rows("{way},{g:.4f}"), notes, encoding)
    assert trace.after[-1] == pytest.approx(G[-1])
    assert "encoding" in notes[0]


def test_what_was_found_is_said_and_a_plain_file_is_silent(tmp_path: Path) -> None:
    notes: list[str] = []
    read(tmp_path, PLAIN, notes)
    assert notes == []
    read(tmp_path, "Puls;Leitwert (nS);Temp\n" + rows("{way};{comma};25"), notes)
    assert notes == [
        "separated by semicolons", "decimal comma",
        "pulse from 'Puls', conductance from 'Leitwert (nS)'; left out: 'Temp'", "conductances from nS",
    ]  # fmt: skip


def test_series_of_devices_cycles_and_after_gaps(tmp_path: Path) -> None:
    wide = read(
        tmp_path,
        "pulse,G1,G2\n" + "".join(f"{w},{g:.4f},{2 * g:.4f}\n" for w, g in zip(WAYS, G, strict=True)),
    )
    assert [(trace.device, float(trace.after[-1])) for trace in wide] == [("G1", 3.5), ("G2", 7.0)]
    grid = "row,col,pulse,conductance\n" + "".join(
        rows("{r},{c},{way},{g:.4f}", r=r, c=c) for r in (0, 1) for c in (3, 4)
    )
    assert [trace.device for trace in read(tmp_path, grid)] == ["0.3", "0.4", "1.3", "1.4"]
    again = "cycle,pulse,conductance\n" + "".join(rows("{c},{way},{g:.4f}", c=c) for c in range(3))
    (trace,) = read(tmp_path, again)
    assert len(trace.pulses) == 180
    assert trace.before[60] == 2.0  # not where the cycle before ended
    notes: list[str] = []
    numbered = "nr,dir,g\n" + rows("{n},{way},{g:.4f}")
    lines = [line for line in numbered.splitlines() if not line.startswith(("8,", "9,", "41,"))]
    (trace,) = read(tmp_path, "\n".join(lines), notes)
    assert len(trace.pulses) == 60 - 3 - 2  # those not written down, and those before which nothing was read
    assert np.abs(trace.after - trace.before).max() == pytest.approx(0.3)
    assert "2 gaps in the pulses: the series begin anew there" in notes


def test_ramps_side_by_side(tmp_path: Path) -> None:
    text = "G_LTP (nS),G_LTD (nS)\n" + "".join(
        f"{1e3 * a},{1e3 * b}\n" for a, b in zip(UP, G[30:], strict=True)
    )
    (trace,) = read(tmp_path, text)
    assert trace.pulses.tolist() == WAYS[1:]
    np.testing.assert_allclose(trace.after, G[1:])


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("", {}, "must have the columns pulse, conductance .* are 'empty': no conductance is found"),
        ("pulse,x\n1,2\n", {}, "--columns conductance=..."),
        ("pulse,conductance\n", {}, "has none below its header"),
        ("1,2,3\n" * 30, {}, "'without names': no conductance"),
        ("nr,g\n" + rows("{n},{g:.4f}"), {}, r"they are only numbered. Name .* the scheme \(--scheme 50up,50down\)"),
        ("V,G (uS)\n" + "".join(f"{0.8 + 0.02 * n:.2f},{g:.4f}\n" for n, g in enumerate(UP)), {},
         r"must hold identical pulses, .* 0.8 to 1.4 V up \(incremental pulses, ISPP\)"),
        ("nr,dir,g\n" + "".join(f"{n},{WAYS[n]},{G[n]}\n" for n in range(0, 60, 5)), {},
         "11 of 11 readings follow pulses that"),
        ("pulse,G\n" + rows("{way},{siemens:.6e}"), {}, r"its median is 6.8e-06 µS .* Is it S\? Then give --unit S"),
        ("pulse,I (A)\n" + rows("{way},{amps:.6e}"), {}, "Give --unit A@0.1V, with your voltage"),
        ("pulse,G (nS)\n" + rows("{way},{g:.4f}"), {"unit": "nS"},
         "`unit` must be left out here, but is nS: the headers"),
        (PLAIN, {"scheme": "30up,30down"}, "`scheme` must be left out here"),
        (PLAIN, {"columns": "device=wafer"}, "none has device=wafer"),
        (PLAIN, {"columns": "puls=nr"}, "`columns` must name conductance, .* but names 'puls'"),
        (PLAIN, {"columns": "nr"}, "`columns` must be like pulse=nr"),
        (PLAIN, {"unit": "A"}, "`unit` must be nS, uS, .* but is 'A'"),
        (PLAIN, {"scheme": "up"}, "`scheme` must be like 50up,50down, but is 'up'"),
        ("PK\x03\x04" + "\0" * 50, {}, "is a spreadsheet or an archive. Export it as CSV"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(
    text: str, words: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, **words)


def test_all_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    lines[4], lines[5], lines[9], lines[20], lines[21], lines[22] = (
        "1,x",
        "1,3.2,7",
        "7,1",
        "1,nan",
        "1,inf",
        "1,1e99",
    )
    with pytest.raises(ValueError, match="must be right in every line") as error:
        read(tmp_path, "\n".join([*lines, "End of data,"]))
    text = str(error.value)
    assert "there must be 2 columns in line 6 (is 3)" in text
    assert "`conductance` must be a finite number in lines 5 and 21-23 (is first 'x')" in text
    assert "`pulse` must be 1, -1 or 0 in line 10 (is 7)" in text
    assert "`pulse` must be a number in line 63 (is 'End of data')" in text


def test_drift_in_hours_with_targets_and_its_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "drift.csv"
    path.write_bytes(
        "Gerät;Zeit [h];G (nS);Ziel\n1;0,5;2000;2100\n1;1;1900;2100\n2;1;3000;\n".encode("cp1252")
    )
    first, second = read_drift_traces(path)
    assert (first.times.tolist(), first.conductances.tolist(), first.target) == (
        [1800.0, 3600.0],
        pytest.approx([2.0, 1.9]),
        pytest.approx(2.1),
    )
    assert (second.device, second.target) == ("2", None)
    path.write_text("device,time,conductance\n1,20,5\n1,20,4\n1,x,4\n1,30,-1\n")
    with pytest.raises(
        ValueError, match=r"`time` must be later .* line 3 .*finite number in line 4 .*above 0 µS in line 5"
    ):
        read_drift_traces(path)


def test_writes_and_reads_and_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("cell,target (uS),reached (uS)\n" + "1,5,5.1\n2,6,5.8\n" * 6)
    writes = read_writes(path)
    assert (writes.devices, writes.targets[:2].tolist(), writes.reached[:2].tolist()) == (
        2,
        [5, 6],
        [5.1, 5.8],
    )
    path.write_text("target,reached\n5,5.1\n,5\n-1,5\n")
    with pytest.raises(ValueError, match=r"finite number in line 3 .* 0 µS or more in line 4"):
        read_writes(path)
    path.write_text("device,conductance\n1,5\n1,5.1\n1,5.2\n2,4\n")
    (series,) = read_repeated_reads(path)
    assert (series.device, series.conductances.tolist()) == ("1", [5, 5.1, 5.2])
    path.write_text("device,value\n1,5\n")
    with pytest.raises(ValueError, match="no conductance is found"):
        read_repeated_reads(path)


def test_the_programming_error_is_found_by_target(tmp_path: Path) -> None:
    """Of 4,000 writes with sigma = 0.1 + 0.3 x + 0.2 x²: to 4.5 / sqrt(2 * 800) at each of five targets."""
    rng = np.random.default_rng(0)
    targets = np.repeat([2.0, 6.0, 10.0, 15.0, 20.0], 800)
    sigma = 0.1 + 0.3 * targets / 20 + 0.2 * (targets / 20) ** 2
    reached = targets + sigma * rng.normal(size=len(targets))
    path = tmp_path / "writes.csv"
    path.write_text(
        "target,conductance\n" + "".join(f"{t},{g:.6f}\n" for t, g in zip(targets, reached, strict=True))
    )
    fit = fit_writes(path)
    where = np.unique(targets)
    np.testing.assert_allclose(fit.spread(where), np.unique(sigma), rtol=4.5 / np.sqrt(1600))
    assert abs(fit.miss) < 4.5 * fit.miss_error
    assert [count for *_, count in fit.by_target()] == [800] * 5


def test_the_noise_of_readings_is_told_from_slow_changes(tmp_path: Path) -> None:
    """20 devices, 100 readings with 0.05 µS and a drift of 0.5 µS: sigma to 4.5 of its own errors."""
    rng = np.random.default_rng(1)
    slow = np.linspace(0, 0.5, 100)
    path = tmp_path / "reads.csv"
    path.write_text("device,conductance\n" + "".join(
        f"{device},{5 + device + slow[n] + 0.05 * rng.normal():.6f}\n" for device in range(20) for n in range(100)
    ))  # fmt: skip
    fit = fit_reads(path)
    assert abs(fit.noise - 0.05) < 4.5 * fit.error
    assert fit.error == pytest.approx(0.05 * np.sqrt(0.75 / 1980), rel=0.1)
    assert fit.slow == pytest.approx(slow.std(ddof=1), rel=0.1)
    assert not fit.depends_on_conductance


def test_read_noise_of_a_device_file_is_that_of_two_devices_or_of_one(tmp_path: Path) -> None:
    """A range of 10 µS: a pair's weight 1 is 10 µS, and of one device, which spans -1 to 1, 5 µS."""
    path = tmp_path / "my.toml"
    path.write_text(
        'name = "a"\ntechnology = "b"\nsource = "c"\n[conductance]\ng_min = 2\ng_max = 12\n[pulses]\n'
        'law = "ConstantStep"\n[drift]\nexponent = 0\nreference_time = 1\nlast_time = 0\n'
        "programming_noise = [0.1, 0.2]\n[reads]\nnoise = 0.05\n"
    )
    device = read_device_file(path)
    assert device.rpu_config().forward.w_noise == pytest.approx(np.sqrt(2) * 0.05 / 10)
    training = device.training_config()
    assert training.forward.w_noise == training.backward.w_noise == pytest.approx(0.05 / 5)
    assert device.noise_model().prog_coeff == [0.1, 0.2, 0.0]
    assert device.is_extrapolated(1.0)
    for old, new, message in (
        ("[0.1, 0.2]", "[0.1, -0.2]", "be 0 µS or more from 0 to g_max, but is -0.1"),
        ("[0.1, 0.2]", "[1, 2, 3, 4]", "have 1 to 3 coefficients"),
        ("noise = 0.05", "noise = -1", "`reads.noise` in .* must be 0 or more"),
        ("noise = 0.05", "", "`reads.noise` in .* must be given"),
    ):
        wrong = tmp_path / "wrong.toml"
        wrong.write_text(path.read_text().replace(old, new))
        with pytest.raises(ValueError, match=message):
            read_device_file(wrong)
