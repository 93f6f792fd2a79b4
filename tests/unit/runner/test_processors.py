"""The processors that a process may use are those of its tightest control group, or of its affinity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.processors import count_processors

V2 = "0::/kubepods/pod\n"
V1 = "12:pids:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"


def cfs(group: str, quota: str) -> dict[str, str]:
    return {f"{group}/cpu.cfs_quota_us": quota, f"{group}/cpu.cfs_period_us": "100000"}


@pytest.fixture(autouse=True)
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)))


@pytest.mark.parametrize(
    ("own", "files", "count"),
    [
        (V2, {}, 16),
        (V2, {"cpu.max": "max 100000"}, 16),
        (V2, {"cpu.max": "200000 100000"}, 2),
        (V2, {"kubepods/pod/cpu.max": "250000 100000"}, 2),
        (V2, {"kubepods/cpu.max": "100000 100000", "kubepods/pod/cpu.max": "400000 100000"}, 1),
        (V2, {"kubepods/cpu.max": "300000 50000", "kubepods/pod/cpu.max": "max 100000"}, 6),
        (V2, {"cpu.max": "50000 100000"}, 1),
        (V2, {"cpu.max": "9900000 100000"}, 16),
        (V2, {"cpu.max": ""}, 16),
        (V2, {"cpu.max": "0 100000"}, 16),
        (V1, cfs("cpu,cpuacct/docker/abc", "-1"), 16),
        (V1, cfs("cpu,cpuacct/docker/abc", "400000"), 4),
        # In a container the group's own directory is the root of what is mounted.
        (V1, cfs("cpu", "300000"), 3),
        (V1, cfs("pids", "100000"), 16),
        ("", {"cpu.max": "200000 100000"}, 16),
        (None, {}, 16),
    ],
)
def test_the_smallest_quota_counts(tmp_path: Path, own: str | None, files: dict[str, str], count: int) -> None:
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text + "\n")
    if own is not None:
        (tmp_path / "own").write_text(own)
    assert count_processors(tmp_path / "cgroup", tmp_path / "own") == count


def test_the_affinity_counts_where_it_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("800000 100000")
    (tmp_path / "own").write_text("0::/\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3})
    assert count_processors(tmp_path, tmp_path / "own") == 1


def test_this_machine_has_at_least_one() -> None:
    assert count_processors() >= 1
