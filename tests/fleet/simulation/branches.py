"""One stop in a small fleet, with everything that may befall it and the next few messages."""

from functools import partial

from tests.fleet.simulation.choices import Enumerated
from tests.fleet.simulation.network import Weather
from tests.fleet.simulation.world import GAINS, TERMS, Plan, World

# The node that stops the key counts fast; those that are waited for count slowly.
PLAN = Plan(
    nodes=2,
    verifiers=1,
    weather=Weather(slow=2 * TERMS.length // 3),
    pauses=False,
    forked=True,
    gains=(-GAINS, GAINS, -GAINS),
)
_FAULTS = 6


def play(choices: Enumerated) -> World:
    """The verifier is attached to the first node; the second one stops a key that everybody has in memory."""
    world = World(PLAN, choices)
    serving, stopping = world.nodes
    (verifier,) = world.verifiers
    clockwork = world.clockwork
    clockwork.run(5 * TERMS.length // 4)
    for holder in world.holders:
        world.verify(holder, 1)
    clockwork.run(clockwork.now + TERMS.length // 20)
    choices.is_open = True
    clockwork.run(clockwork.now + choices.pick(3) * TERMS.length // 9)
    fault = choices.pick(_FAULTS)
    if fault == 1 and verifier.stream is not None:
        verifier.stream.cut()
        verifier.cut_until = clockwork.now + 2 * TERMS.length
    elif fault == 2:
        serving.store.cut_until = clockwork.now + 2 * TERMS.length
    elif fault == 3:
        verifier.pause(TERMS.length)
    elif fault == 4:
        serving.pause(TERMS.length)
    elif fault == 5:
        serving.crash()
        world.nodes.remove(serving)
    clockwork.start(stopping, lambda: stopping.stop(1))
    step = TERMS.length // 16
    for at in range(int(2.5 * TERMS.length), 0, -step):
        for holder in world.holders:
            clockwork.at(clockwork.now + at, None, partial(world.verify, holder, 1))
    clockwork.run(clockwork.now + 5 * TERMS.length // 2)
    return world
