"""The commands of `xbar` that are no study: train, resume, evaluate, report, devices, fit-device, verify."""
