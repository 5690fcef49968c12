"""How many jobs a cluster holds beside those that it has, and when one that does not end is killed: without Ray."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_launch import MODELS, SIZES, tasks_of
from test_resources import host, node

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.engine import Order
from scaling.launching.engines import attempt as attempts
from scaling.launching.engines.attempt import Attempt
from scaling.launching.engines.autoscaling import MOST_QUEUED, QUEUED
from scaling.launching.engines.capacity import Capacity
from scaling.launching.engines.packing import packed
from scaling.launching.engines.resources import demand_of, demand_of_slice, places
from scaling.launching.engines.slices import intact_slices
from scaling.launching.journal import Beat, write_beat
from scaling.launching.launch import Launch

EIGHT = {"CPU": 64.0, "GPU": 8.0}


def capacity(launch, nodes, tasks=(), grows=False):
    made = Capacity(Launch(on="ray", **launch), grows)
    made.check(tasks, nodes)
    return made


@given(
    gpus=st.lists(st.integers(0, 5), max_size=5),
    hosts=st.integers(1, 3),
    each=st.integers(1, 3),
    begun=st.integers(0, 8),
)
@settings(deadline=None)
def test_equal_jobs_leave_as_many_places_as_there_are_without_them_less_their_number(
    gpus, hosts, each, begun
):
    nodes = [node(CPU=64.0, GPU=float(count)) for count in gpus]
    demand = demand_of(Launch(on="ray", accelerators=each, hosts=hosts), nodes, "GPU")
    left, waiting = packed([demand] * begun, nodes)
    there = places(demand, nodes)
    assert waiting == max(0, begun - there)
    assert places(demand, left) == max(0, there - begun)


def test_small_jobs_take_what_large_ones_that_run_or_wait_do_not_need():
    nodes = [node(**EIGHT), node(**EIGHT), node(CPU=64.0, GPU=4.0)]
    sizes = {"accelerators": 1, "larger": (f"{SIZES[1]}=8",)}
    of = capacity(sizes, nodes, tasks_of(*MODELS[:2]))
    small, large = (of.demand(asked, nodes) for asked in of.asked)
    assert of.places(nodes) == of.room([], nodes) == 20
    assert of.room([large], nodes) == 12
    assert of.room([large] * 2, nodes) == of.room([large] * 5, nodes) == 4
    assert of.room([small] * 8 + [large], nodes) == 4, "a large job that came later keeps its room"
    assert of.room([large] * 3 + [small] * 4, nodes) == 0
    assert of.room([large] * (MOST_QUEUED + 2), nodes) == 0


def test_a_slice_that_a_job_has_is_left_to_no_other():
    nodes = [host("a", 0), host("a", 1), host("b", 0), host("b", 1)]
    launch = Launch(on="ray", slice="v4-16")
    first, second = (demand_of_slice(launch, one) for one in intact_slices(nodes, "v4-16"))
    nodes[0]["Resources"]["TPU-v4-16-head"] = nodes[2]["Resources"]["TPU-v4-16-head"] = 1.0
    of = capacity({"slice": "v4-16"}, nodes)
    assert [of.room(held, nodes) for held in ([], [first], [first, second])] == [2, 1, 0]
    assert of.room([first], nodes[:1]) == 0


@pytest.mark.parametrize("grows", [False, True])
def test_the_largest_job_is_refused_too_where_no_node_has_what_it_takes(grows):
    sizes = {"accelerators": 1, "larger": (f"{SIZES[2]}=v4-32",)}
    said = r"a job asks for a TPU slice v4-32, and the cluster can never give it that"
    with pytest.raises(UserError, match=said):
        capacity(sizes, [host("a", 0), host("a", 1)], tasks_of(*MODELS), grows)
    capacity(sizes, [host("a", 0), host("a", 1)], tasks_of(*MODELS[:2]), grows)


def test_no_more_jobs_are_ordered_than_are_wanted_at_once():
    for grows in (False, True):
        of = capacity({"jobs_at_once": 3}, [node(CPU=64.0)], grows=grows)
        demand = of.demand(of.asked[0], ())
        assert of.places([node(CPU=64.0)]) == 3
        assert [of.room([demand] * count, [node(CPU=64.0)]) for count in range(5)] == [3, 2, 1, 0, 0]


def test_a_cluster_that_makes_nodes_is_asked_for_as_many_again_up_to_a_bound():
    of = capacity({}, [], grows=True)
    demand = of.demand(of.asked[0], ())
    assert of.places([]) == QUEUED and of.room([demand] * (QUEUED - 3), []) == 3
    assert of.room([demand] * QUEUED, []) == 0
    assert of.places([node(CPU=40.0)]) == 80 and of.room([demand] * 50, [node(CPU=40.0)]) == 30
    assert of.places([node(CPU=640.0)]) == 640 + MOST_QUEUED


def test_whether_accelerators_are_gpus_or_tpu_chips_is_asked_where_nothing_tells(capsys):
    with pytest.raises(
        UserError, match=r"whether jobs train on GPUs or TPU chips is not said: add --acc.* GPU, TPU"
    ):
        capacity({"accelerators": 4}, [node(CPU=4.0)], grows=True)
    for kind, name in (("GPU", "GPU"), ("TPU", "TPU"), ("TPU-V6E", "TPU"), ("H100", "GPU")):
        of = capacity({"accelerators": 4, "accelerator_type": kind}, [node(CPU=4.0)], grows=True)
        bundle = of.demand(of.asked[0], []).bundles[0]
        assert bundle[name] == 4 and (f"accelerator_type:{kind}" in bundle) == (kind not in ("GPU", "TPU"))
    assert "the jobs are queued" in capsys.readouterr().err


def test_what_nodes_have_told_of_accelerators_holds_when_they_are_gone():
    of = capacity({"accelerators": 4}, [node(CPU=8.0, TPU=4.0)], grows=True)
    assert of.demand(of.asked[0], [node(CPU=4.0)]).bundles[0] == {"CPU": 1.0, "TPU": 4.0}


@pytest.mark.parametrize("launch", [{}, {"accelerators": 1}])
def test_that_accelerators_lie_idle_is_said(launch, capsys):
    capacity(launch, [node(**EIGHT), node(CPU=8.0, TPU=4.0)])
    idle = "the cluster's 8 GPU and 4 TPU lie idle: --accelerators 1 gives each job one"
    assert (idle in capsys.readouterr().err) == (not launch)


def test_hosts_are_avoided_where_others_could_hold_the_job():
    nodes = [
        node(CPU=2.0) | {"NodeID": name, "NodeManagerHostname": name} for name in ("good", "bad", "worse")
    ]
    demand = demand_of(Launch(on="ray", cpus=2), nodes)
    assert demand.away_from(("bad", "worse", "gone"), nodes) == ("bad", "worse")
    assert demand.away_from(("good", "bad", "worse"), nodes) == demand.away_from((), nodes) == ()
    pair = demand_of(Launch(on="ray", hosts=2), nodes)
    assert pair.away_from(("bad",), nodes) == ("bad",) and pair.away_from(("bad", "worse"), nodes) == ()


class Killed:
    """A gang that notes who was killed."""

    ranks = (object(), object())

    def __init__(self):
        self.forced = []

    def cancel(self, force, ranks=None):
        self.forced.append((force, ranks))


@pytest.mark.parametrize(("beats", "patience", "killed"), [(0, 100, 1), (3, 100, 4), (9, 0, 1), (9, 4, 5)])
def test_an_attempt_that_beats_is_killed_later_than_one_that_is_silent(
    tmp_path, monkeypatch, beats, patience, killed
):
    """Looked at once a second after a grace of one second; a beat is good for one second."""
    monkeypatch.setattr(attempts, "BEATS_SECONDS", 0.5)
    order = Order("", "", "t", (), "whole", -1, 1, "", "", {}, {}, {})
    gang, folder = Killed(), StudyFolder(tmp_path)
    one = Attempt(order, demand_of(Launch(), ()), gang, "", None, 0.0, 0.0)
    now = time.monotonic()
    one.end_within(0.5, patience)
    for second in range(1, 9):
        if second <= beats:
            write_beat(
                folder, "t", Beat(attempt=1, count=second, time=0.0, host="h", pid=1, phase="training")
            )
        one.kill_when_due(now + second, folder)
        if gang.forced:
            break
    assert gang.forced == [(True, (0, 1))] and second == killed
