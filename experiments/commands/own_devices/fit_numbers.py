"""The numbers of the figure of `xbar fit-device`: what was measured, the predictive band, and what is left over."""

from devices.fitting import PredictiveCheck


def response_csv(check: PredictiveCheck) -> str:
    """Return a table of all pulses: reading, ends and middle of the band of 90 %, reading less middle; in µS.

    Args:
        check: The comparison of the measurement with simulated devices.
    """
    lines = [
        "# in µS; low, high: of 90 % of simulated devices",
        "device,number,pulse,measured,low,middle,high,residual",
    ]
    for own in check.traces:
        columns = zip(own.trace.pulses, own.trace.after, own.low, own.middle, own.high, strict=True)
        for number, (pulse, measured, low, middle, high) in enumerate(columns, start=1):
            values = ",".join(f"{value:.6g}" for value in (measured, low, middle, high, measured - middle))
            device = own.trace.device.replace('"', '""')
            lines.append(f'"{device}",{number},{pulse:.0f},{values}')
    return "\n".join(lines) + "\n"
