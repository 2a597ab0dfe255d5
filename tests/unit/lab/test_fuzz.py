# The runner of the fuzz targets: what it counts, and what it adds up.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from tests import fuzz
from tests.fuzz import __main__ as runner
from tests.fuzz import inputs


def test_executions_are_those_of_the_final_statistics_or_of_the_last_progress_line():
    progress = "#2\tINITED cov: 3\n#4096\tpulse  cov: 4 exec/s: 9\n==1== ERROR: libFuzzer: timeout\n"
    assert runner.executed(progress) == 4096
    assert runner.executed(progress + "stat::number_of_executed_units: 5000\n") == 5000
    assert runner.executed("") == 0


def test_runs_add_up_over_time_and_the_table_has_their_sum(tmp_path):
    total = tmp_path / "total.json"
    runner.add_up(total, [runner.Run("a", 10, 1.0, 0), runner.Run("b", 5, 1.0, 1)])
    sums = runner.add_up(total, [runner.Run("a", 30, 3.0, 0)])
    assert list(runner.table(sums))[2:] == ["| a | 40 | 10 | 0 |", "| b | 5 | 5 | 1 |", "| all | 45 | 9 | 1 |"]


def test_an_unknown_target_is_refused(capsys):
    with pytest.raises(SystemExit):
        runner.parse_arguments(["nothing"])
    assert "unknown targets: nothing" in capsys.readouterr().err


def test_every_target_has_seeds_and_is_an_input_of_bytes():
    for name in fuzz.names():
        target = fuzz.load(name)
        assert target.SEEDS and all(isinstance(seed, bytes) for seed in target.SEEDS), name


def test_parts_come_back_and_repetitions_are_spelt_out():
    assert inputs.split(inputs.join(b"a", b"", b"c"), 4) == [b"a", b"", b"c", b""]
    assert inputs.repeated(b"x" + inputs.times(b"ab", 128) + b"y") == b"x" + b"ab" * 128 + b"y"
    assert len(inputs.repeated(inputs.times(b"a" * 255, 16384) * 9)) == inputs.LONGEST
