"""aiemp's daemon and its two command-line programs."""

__version__ = "0.1.0"
