"""Sample events of every source that calls functions, written from AWS's documented shapes, for `lambent invoke`."""

from lambent.cli.samples.catalogue import SAMPLES, sample_event
from lambent.cli.samples.sample import Given, Sample, SampleError

__all__ = ["SAMPLES", "Given", "Sample", "SampleError", "sample_event"]
