"""The tutorial's dataset, and the sample that ships with azft."""

from azft.domain.specs import DatasetSize, DatasetSpec
from azft.plugins import hookimpl


@hookimpl
def azft_datasets() -> list[DatasetSpec]:
    """Offer ultrachat_200k and the offline sample in its schema."""
    sample = "sample://ultrachat"
    return [
        DatasetSpec(
            "ultrachat_200k",
            source="hf://HuggingFaceH4/ultrachat_200k",
            train_split="train_sft",
            test_split="test_sft",
            label="ultrachat",
            stand_in=sample,
            # 31 of its 207,865 training rows and 3 of its 23,110 test rows hold a blank message.
            leave_out=("AZFT-R010",),
            # Rows of its files on the hub, and their 6,721 bytes of JSON in 6.6 messages at 4.4 bytes a token.
            size=DatasetSize(207_865, 23_110, tokens=1_500),
        ),
        DatasetSpec("ultrachat_sample", sample, train_split="train_sft", test_split="test_sft", label="ultrachat"),
    ]
