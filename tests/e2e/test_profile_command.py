"""`hetcomp profile` end to end, with a budget so short that it measures next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetcomp.cost.profile_file import load_profile
from hetcomp.devices import describe_devices, fingerprint
from hetcomp.errors import ProfileError
from hetcomp.profile.options import ProfileOptions
from hetcomp.profile.run import _Run, profile_device

SHORT = ProfileOptions(quick=True, workers=1, budget_s=8.0)


def test_a_device_is_measured(tmp_path: Path) -> None:
    heard: list[str] = []
    path = tmp_path / "device.json"
    profile = profile_device(path, SHORT, lambda text, _part: heard.append(text))
    pinned = profile.limits["start-up.pinned"] == 1.0
    assert load_profile(path, device=fingerprint(describe_devices(), pinned=pinned)) == profile
    assert [item.name for item in tmp_path.iterdir()] == ["device.json"]
    assert profile.limits["cpu.flops_per_us"] > profile.limits["cpu.bytes_per_us"] / 64
    if "svm-ahead" in profile.sync:
        # Without caches the driver compiles all kernels.
        assert profile.limits["start-up.first_open_us"] > 2 * profile.limits["start-up.open_us"]
    assert "compiling" in heard
    assert heard[-1].startswith("training")
    for sample in profile.samples:
        assert sample.work.facts["flops"] >= 0.0
        assert all(time_us >= 0.0 for time_us in sample.times_us)
    if "svm-ahead" in profile.sync:
        sync = profile.sync["svm-ahead"]
        # All steps may be one launch; then a further one costs nothing, but for noise.
        assert 0.0 <= sync.enqueue_us < sync.wake_us
        assert min(sync.to_cpu_line_ns, sync.to_gpu_line_ns) > 0.0


def test_a_profile_of_another_device_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    path.write_text("{}")
    with pytest.raises(ProfileError, match="not a device profile"):
        profile_device(path, SHORT)
    assert path.read_text() == "{}"


def test_without_kernels_there_is_no_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: _Run) -> None:
        run._log.put_failure(0, "DeviceError: the driver is gone")

    monkeypatch.setattr(_Run, "measure", fail)
    with pytest.raises(ProfileError, match=r"no kernel was measured.*the driver is gone"):
        profile_device(tmp_path / "device.json", SHORT)
    assert [item.name for item in tmp_path.iterdir()] == ["device.json.log"]
