"""The parts that data is divided into: what is learned, what is looked at meanwhile, what is measured at the end."""

SPLITS = ("train", "validation", "test")
