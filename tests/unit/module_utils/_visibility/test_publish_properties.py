# Metrics whatever the names are.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts, metrics


@given(words=st.text())
def test_any_text_in_a_label_stays_on_its_line(tmp_path_factory, words):
    facts = kernel_facts.gather(str(tmp_path_factory.getbasetemp()))
    lines = metrics.render(dict(facts, effective_release=words)).split("\n")
    assert sum(line.startswith("livepatch_info{") and line.endswith("} 1") for line in lines) == 1
    assert len(lines) == len(metrics.render(facts).split("\n"))
