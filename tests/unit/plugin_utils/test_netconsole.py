# Targets of netconsole as people write them: what is made of them, and what is refused.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import sys

import pytest
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.netconsole import check
from hypothesis import given
from hypothesis import strategies as st

GOOD = {"name": "dc1", "remote_ip": "192.0.2.10"}


def test_addresses_ports_and_mac_come_out_in_their_usual_form():
    target = {"name": "dc1", "remote_ip": "2001:0db8:0::1", "local_ip": "2001:db8::2", "remote_port": "6000", "remote_mac": "00-1b-77-49-54-FD"}
    assert check([target]) == [
        {
            "name": "dc1",
            "remote_ip": "2001:db8::1",
            "local_ip": "2001:db8::2",
            "remote_port": 6000,
            "remote_mac": "00:1b:77:49:54:fd",
        }
    ]
    assert check([GOOD]) == [GOOD] and check([]) == []


@pytest.mark.parametrize(
    "targets, words",
    [
        ("192.0.2.10", "expected a list of dicts"),
        ([{"remote_ip": "192.0.2.10"}], "expected a dict with a name"),
        ([{**GOOD, "name": "a b"}], "expected a dict with a name"),
        ([{"name": "dc1", "remote_ip": None, "local_ip": "::1"}], "remote_ip: expected the address of the host that receives"),
        ([{"name": "dc1"}], "remote_ip: expected the address of the host that receives"),
        ([{**GOOD, "remote_ip": "192.0.2"}], "remote_ip: expected an IPv4 or IPv6 address, found '192.0.2'"),
        ([{**GOOD, "remote_ip": "224.0.0.1"}], "remote_ip: expected the address of one host, found 224.0.0.1"),
        ([{**GOOD, "remote_ip": "0.0.0.0"}], "expected the address of one host"),
        ([{**GOOD, "local_ip": "::1"}], "local_ip: expected the family of remote_ip"),
        ([{**GOOD, "remote_port": 0}], "remote_port: expected 1 to 65535, found 0"),
        ([{**GOOD, "local_port": "http"}], "local_port: expected 1 to 65535, found 'http'"),
        ([{**GOOD, "remote_mac": "00:11"}], "remote_mac: expected a MAC address, found '00:11'"),
        ([{**GOOD, "port": 1}], "port: expected one of name, dev_name"),
        ([GOOD, GOOD], "expected one of that name, found 2"),
    ],
)
def test_what_cannot_be_a_target_is_refused_with_its_name_and_reason(targets, words):
    with pytest.raises(RolloutError) as caught:
        check(targets)
    assert words in str(caught.value)


def test_without_netaddr_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "netaddr", None)
    with pytest.raises(RolloutError, match="pip install netaddr"):
        check([GOOD])


# What addresses are written with, and a letter beyond ASCII.
TEXT = st.text("0123456789abcdefx.:-/ \u0663", max_size=20)
VALUES = st.one_of(st.none(), TEXT, st.integers(), st.floats(), st.lists(TEXT, max_size=2))


@given(st.lists(st.dictionaries(st.sampled_from(["name", "remote_ip", "local_ip", "remote_port", "remote_mac"]), VALUES), max_size=3))
def test_whatever_is_given_is_returned_or_refused(targets):
    try:
        check(targets)
    except RolloutError:
        pass
