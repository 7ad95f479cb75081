"""What the vendor publishes of its own CenterNet models, digit by digit.

README.md of sample/CenterNet in sophgo/sophon-demo at commit c7c94bb: sections 3 (models), 6.2 (accuracy), 7.1
(bmrt_test) and 7.2 (stage times). All of it was measured by the vendor, on its own boards and cards.
"""

from __future__ import annotations

from typing import NamedTuple

SOURCE = "README.md of sample/CenterNet, sophgo/sophon-demo, commit c7c94bb"


DIGEST = "sha256:dfdbcefbe296657cebd58a5b2bd5eda85521e129517e0611c0030d6ee2842f40"
"""Of the tables below, as a test writes them: whoever corrects a number has looked it up there, and says so here."""


class PublishedAccuracy(NamedTuple):
    """A row of section 6.2, as published: platform, program, the model's stem, AP@IoU=0.5:0.95, AP@IoU=0.5."""

    platform: str
    program: str
    stem: str
    ap: str
    ap50: str


class PublishedTimes(NamedTuple):
    """A row of section 7.2, as published: platform, program, the model's stem, milliseconds an image in each stage."""

    platform: str
    program: str
    stem: str
    decode: str
    preprocess: str
    inference: str
    postprocess: str


ACCURACY = (
    PublishedAccuracy("BM1684 PCIe", "centernet_opencv.py", "centernet_fp32_1b", "0.302", "0.487"),
    PublishedAccuracy("BM1684 PCIe", "centernet_opencv.py", "centernet_int8_1b", "0.294", "0.484"),
    PublishedAccuracy("BM1684 PCIe", "centernet_bmcv.py", "centernet_fp32_1b", "0.255", "0.409"),
    PublishedAccuracy("BM1684 PCIe", "centernet_bmcv.py", "centernet_int8_1b", "0.249", "0.405"),
    PublishedAccuracy("BM1684 PCIe", "centernet_sail.pcie", "centernet_fp32_1b", "0.297", "0.481"),
    PublishedAccuracy("BM1684 PCIe", "centernet_sail.pcie", "centernet_int8_1b", "0.290", "0.476"),
    PublishedAccuracy("BM1684 PCIe", "centernet_bmcv.pcie", "centernet_fp32_1b", "0.268", "0.430"),
    PublishedAccuracy("BM1684 PCIe", "centernet_bmcv.pcie", "centernet_int8_1b", "0.258", "0.422"),
    PublishedAccuracy("BM1684X PCIe", "centernet_opencv.py", "centernet_fp32_1b", "0.302", "0.487"),
    PublishedAccuracy("BM1684X PCIe", "centernet_opencv.py", "centernet_fp16_1b", "0.302", "0.487"),
    PublishedAccuracy("BM1684X PCIe", "centernet_opencv.py", "centernet_int8_1b", "0.299", "0.485"),
    PublishedAccuracy("BM1684X PCIe", "centernet_bmcv.py", "centernet_fp32_1b", "0.258", "0.421"),
    PublishedAccuracy("BM1684X PCIe", "centernet_bmcv.py", "centernet_fp16_1b", "0.258", "0.422"),
    PublishedAccuracy("BM1684X PCIe", "centernet_bmcv.py", "centernet_int8_1b", "0.257", "0.419"),
    PublishedAccuracy("BM1684X PCIe", "centernet_sail.pcie", "centernet_fp32_1b", "0.296", "0.480"),
    PublishedAccuracy("BM1684X PCIe", "centernet_sail.pcie", "centernet_fp16_1b", "0.296", "0.480"),
    PublishedAccuracy("BM1684X PCIe", "centernet_sail.pcie", "centernet_int8_1b", "0.294", "0.477"),
    PublishedAccuracy("BM1684X PCIe", "centernet_bmcv.pcie", "centernet_fp32_1b", "0.268", "0.429"),
    PublishedAccuracy("BM1684X PCIe", "centernet_bmcv.pcie", "centernet_fp16_1b", "0.268", "0.430"),
    PublishedAccuracy("BM1684X PCIe", "centernet_bmcv.pcie", "centernet_int8_1b", "0.264", "0.425"),
    PublishedAccuracy("BM1688 SoC", "centernet_opencv.py", "centernet_fp32_1b", "0.302", "0.487"),
    PublishedAccuracy("BM1688 SoC", "centernet_opencv.py", "centernet_fp16_1b", "0.302", "0.487"),
    PublishedAccuracy("BM1688 SoC", "centernet_opencv.py", "centernet_int8_1b", "0.298", "0.489"),
    PublishedAccuracy("BM1688 SoC", "centernet_bmcv.py", "centernet_fp32_1b", "0.258", "0.421"),
    PublishedAccuracy("BM1688 SoC", "centernet_bmcv.py", "centernet_fp16_1b", "0.258", "0.422"),
    PublishedAccuracy("BM1688 SoC", "centernet_bmcv.py", "centernet_int8_1b", "0.255", "0.414"),
    PublishedAccuracy("BM1688 SoC", "centernet_bmcv.soc", "centernet_fp32_1b", "0.268", "0.429"),
    PublishedAccuracy("BM1688 SoC", "centernet_bmcv.soc", "centernet_fp16_1b", "0.267", "0.429"),
    PublishedAccuracy("BM1688 SoC", "centernet_bmcv.soc", "centernet_int8_1b", "0.264", "0.422"),
    PublishedAccuracy("BM1688 SoC", "centernet_sail.soc", "centernet_fp32_1b", "0.296", "0.480"),
    PublishedAccuracy("BM1688 SoC", "centernet_sail.soc", "centernet_fp16_1b", "0.296", "0.480"),
    PublishedAccuracy("BM1688 SoC", "centernet_sail.soc", "centernet_int8_1b", "0.289", "0.467"),
)

# Chip and stem to `calculate time`, milliseconds an image. The models of section 3 are the same fifteen.
CHIP_MS = {
    "BM1684/centernet_fp32_1b": "46.2",
    "BM1684/centernet_int8_1b": "22.5",
    "BM1684/centernet_int8_4b": "8.1",
    "BM1684X/centernet_fp32_1b": "55.1",
    "BM1684X/centernet_fp16_1b": "9.2",
    "BM1684X/centernet_int8_1b": "4.4",
    "BM1684X/centernet_int8_4b": "4.0",
    "BM1688/centernet_fp32_1b": "333.2",
    "BM1688/centernet_fp16_1b": "48.5",
    "BM1688/centernet_int8_1b": "21.9",
    "BM1688/centernet_int8_4b": "20.5",
    "BM1688/centernet_fp32_1b_2core": "248.8",
    "BM1688/centernet_fp16_1b_2core": "32.9",
    "BM1688/centernet_int8_1b_2core": "15.1",
    "BM1688/centernet_int8_4b_2core": "11.5",
}

TIMES = (
    PublishedTimes("BM1684 SoC", "centernet_opencv.py", "centernet_fp32_1b", "15.33", "40.37", "59.70", "822.85"),
    PublishedTimes("BM1684 SoC", "centernet_opencv.py", "centernet_int8_1b", "15.46", "40.83", "44.46", "812.17"),
    PublishedTimes("BM1684 SoC", "centernet_opencv.py", "centernet_int8_4b", "15.32", "39.22", "28.77", "842.73"),
    PublishedTimes("BM1684 SoC", "centernet_bmcv.py", "centernet_fp32_1b", "3.03", "2.61", "50.53", "820.98"),
    PublishedTimes("BM1684 SoC", "centernet_bmcv.py", "centernet_int8_1b", "3.04", "2.25", "26.18", "827.04"),
    PublishedTimes("BM1684 SoC", "centernet_bmcv.py", "centernet_int8_4b", "2.89", "2.11", "11.79", "851.17"),
    PublishedTimes("BM1684 SoC", "centernet_sail.soc", "centernet_fp32_1b", "3.48", "1.87", "46.94", "1350.56"),
    PublishedTimes("BM1684 SoC", "centernet_sail.soc", "centernet_int8_1b", "3.53", "1.29", "23.11", "1352.22"),
    PublishedTimes("BM1684 SoC", "centernet_sail.soc", "centernet_int8_4b", "3.24", "1.01", "8.46", "1352.32"),
    PublishedTimes("BM1684 SoC", "centernet_bmcv.soc", "centernet_fp32_1b", "5.46", "1.47", "46.27", "1179.17"),
    PublishedTimes("BM1684 SoC", "centernet_bmcv.soc", "centernet_int8_1b", "5.42", "1.46", "22.51", "1180.33"),
    PublishedTimes("BM1684 SoC", "centernet_bmcv.soc", "centernet_int8_4b", "5.37", "1.50", "7.9", "1189.37"),
    PublishedTimes("BM1684X SoC", "centernet_opencv.py", "centernet_fp32_1b", "15.31", "40.02", "71.32", "817.13"),
    PublishedTimes("BM1684X SoC", "centernet_opencv.py", "centernet_int8_1b", "15.37", "40.12", "19.9", "802.71"),
    PublishedTimes("BM1684X SoC", "centernet_opencv.py", "centernet_int8_4b", "15.23", "38.37", "18.32", "836.56"),
    PublishedTimes("BM1684X SoC", "centernet_bmcv.py", "centernet_fp32_1b", "2.98", "1.99", "60.61", "817.42"),
    PublishedTimes("BM1684X SoC", "centernet_bmcv.py", "centernet_int8_1b", "2.99", "1.99", "8.97", "801.77"),
    PublishedTimes("BM1684X SoC", "centernet_bmcv.py", "centernet_int8_4b", "2.80", "1.84", "8.15", "841.5"),
    PublishedTimes("BM1684X SoC", "centernet_sail.soc", "centernet_fp32_1b", "2.9", "1.63", "57.1", "1356.13"),
    PublishedTimes("BM1684X SoC", "centernet_sail.soc", "centernet_int8_1b", "2.92", "1.63", "5.6", "1357.22"),
    PublishedTimes("BM1684X SoC", "centernet_sail.soc", "centernet_int8_4b", "2.64", "1.57", "5.08", "1358.17"),
    PublishedTimes("BM1684X SoC", "centernet_bmcv.soc", "centernet_fp32_1b", "4.77", "0.75", "56.53", "1184.43"),
    PublishedTimes("BM1684X SoC", "centernet_bmcv.soc", "centernet_int8_1b", "4.8", "0.75", "4.99", "1185.35"),
    PublishedTimes("BM1684X SoC", "centernet_bmcv.soc", "centernet_int8_4b", "4.47", "0.68", "4.52", "1185.1"),
    PublishedTimes("BM1688 SoC", "centernet_opencv.py", "centernet_fp32_1b", "19.49", "52.54", "349.78", "1116.06"),
    PublishedTimes("BM1688 SoC", "centernet_opencv.py", "centernet_fp16_1b", "19.39", "52.20", "64.80", "1093.04"),
    PublishedTimes("BM1688 SoC", "centernet_opencv.py", "centernet_int8_1b", "19.47", "52.17", "38.51", "1083.13"),
    PublishedTimes("BM1688 SoC", "centernet_opencv.py", "centernet_int8_4b", "19.39", "50.10", "36.29", "1113.67"),
    PublishedTimes("BM1688 SoC", "centernet_bmcv.py", "centernet_fp32_1b", "4.58", "4.52", "337.37", "1093.85"),
    PublishedTimes("BM1688 SoC", "centernet_bmcv.py", "centernet_fp16_1b", "4.53", "4.51", "52.45", "1087.40"),
    PublishedTimes("BM1688 SoC", "centernet_bmcv.py", "centernet_int8_1b", "4.57", "4.51", "25.96", "1063.44"),
    PublishedTimes("BM1688 SoC", "centernet_bmcv.py", "centernet_int8_4b", "4.29", "4.20", "24.56", "1129.51"),
    PublishedTimes("BM1688 SoC", "centernet_bmcv.soc", "centernet_fp32_1b", "6.10", "1.70", "332.19", "1620.93"),
    PublishedTimes("BM1688 SoC", "centernet_bmcv.soc", "centernet_fp16_1b", "6.11", "1.71", "47.42", "1620.83"),
    PublishedTimes("BM1688 SoC", "centernet_bmcv.soc", "centernet_int8_1b", "6.13", "1.70", "20.83", "1622.64"),
    PublishedTimes("BM1688 SoC", "centernet_bmcv.soc", "centernet_int8_4b", "5.85", "1.55", "20.03", "1623.05"),
    PublishedTimes("BM1688 SoC", "centernet_sail.soc", "centernet_fp32_1b", "4.18", "3.19", "333.22", "1859.35"),
    PublishedTimes("BM1688 SoC", "centernet_sail.soc", "centernet_fp16_1b", "4.21", "3.19", "48.40", "1859.22"),
    PublishedTimes("BM1688 SoC", "centernet_sail.soc", "centernet_int8_1b", "4.21", "3.18", "21.79", "1861.07"),
    PublishedTimes("BM1688 SoC", "centernet_sail.soc", "centernet_int8_4b", "3.85", "3.04", "21.08", "1861.63"),
)


def chip_of(platform: str) -> str:
    """Return the chip of a platform: ``BM1684`` of ``BM1684 PCIe``."""
    return platform.split(maxsplit=1)[0]
