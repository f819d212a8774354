"""Engines: how the pulses of a batch move the devices of an array, one by one or in distribution."""
