"""What a plugin must do, as pytest suites: subclass one in a test module and give it what you offer.

Each kit is a class whose attributes you set; its tests are the promises that azft relies on, hypothesis inside.
"""

from azft.testing.contract import BackendContract
from azft.testing.kits.checks import CheckKit
from azft.testing.kits.converters import ConverterKit
from azft.testing.kits.naming import NamingKit
from azft.testing.kits.readers import ReaderKit
from azft.testing.kits.row_formats import RowFormatKit
from azft.testing.kits.trainers import TrainerKit

__all__ = [
    "BackendContract",
    "CheckKit",
    "ConverterKit",
    "NamingKit",
    "ReaderKit",
    "RowFormatKit",
    "TrainerKit",
]
