"""The table of peaks: JAX's names find the right device, figures are dense, and MFU follows its definition."""

import pytest

from scaling.accounting import palm
from scaling.devices import PEAKS, mfu, peak_of
from scaling.spec import Model


@pytest.mark.parametrize(
    ("kind", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA H200", 989.5),
        ("NVIDIA H200 NVL", 835.5),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA A10G", 70),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362.05),
        ("Tesla V100-SXM2-16GB", 125),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("TPU v5 lite", 197),
        ("TPU v5", 459),
        ("TPU v6 lite", 918),
    ],
)
def test_a_device_is_found_by_the_longest_of_its_names(kind, teraflops):
    assert peak_of(kind).half == teraflops * 1e12


@pytest.mark.parametrize(
    "kind",
    [
        "cpu",
        "Radeon",
        "NVIDIA L40",
        "NVIDIA A1000",
        "NVIDIA H20",
        "NVIDIA A10-24Q",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 3090 Ti",
    ],
)
def test_another_device_of_a_similar_name_is_unknown(kind):
    assert peak_of(kind) is None


def test_every_name_in_the_table_finds_itself():
    assert all(peak_of(name) is peak for name, peak in PEAKS.items())


@pytest.mark.parametrize(("kind", "chip"), [("TPU v2", 45e12), ("TPU v3", 123e12), ("TPU7x", 2307e12)])
def test_a_chip_that_jax_counts_as_two_devices_has_half_its_figures_on_each(kind, chip):
    assert 2 * peak_of(kind).half == chip


def test_no_figure_is_one_for_sparse_matrices():
    """Dense tf32 is half of dense bf16 on every tensor core since Ampere: a sparse figure in one column breaks that."""
    for name, peak in PEAKS.items():
        if peak.unit == "tf32":
            assert peak.float32 / peak.half == pytest.approx(0.5, rel=0.02), (
                name
            )  # as rounded in the data sheets


def test_figures_are_in_units_of_one():
    for name, peak in PEAKS.items():
        assert 1e13 < peak.half < 1e16, name
        assert 4e9 < peak.memory < 3e11, name
        assert 1e11 < peak.bandwidth < 1e13, name
        assert 10 < peak.half / peak.bandwidth < 1000, name
        assert peak.source, name


def test_palms_published_utilisation_is_found_again():
    """Chowdhery et al. 2022, table 3 and appendix B: 540B parameters, 238.3K tokens/s on 6144 TPU v4, 46.2 %."""
    flops = 6 * 540.35e9 + 12 * 118 * 48 * 256 * 2048
    assert mfu(flops, 238.3e3, 6144, peak_of("TPU v4")) == pytest.approx(0.462, abs=0.0006)  # three digits


def test_float32_is_measured_against_what_multiplies_float32():
    """Half of bf16 to the digits of the data sheet."""
    peak = peak_of("NVIDIA H100 80GB HBM3")
    half = mfu(1e9, 1e5, 1, peak)
    assert mfu(1e9, 1e5, 1, peak, "float32") == pytest.approx(2 * half, rel=1e-3)


def test_utilisation_falls_with_devices_and_is_missing_for_unknown_ones():
    flops, peak = palm(Model()), peak_of("TPU v4")
    assert mfu(flops, 1e6, 4, peak) == pytest.approx(mfu(flops, 1e6, 1, peak) / 4, rel=1e-12)
    assert mfu(flops, 1e6, 1, peak_of("cpu")) is None
