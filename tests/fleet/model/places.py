"""A tuple with one place changed: all that these frozen states ever do."""

from typing import TypeVar

from tests.fleet.model.state import Holder, Node, State, Wait

T = TypeVar("T")


def put(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])


def with_verifier(state: State, number: int, verifier: Holder) -> State:
    return state._replace(verifiers=put(state.verifiers, number, verifier))


def with_node(state: State, index: int, node: Node) -> State:
    return state._replace(nodes=put(state.nodes, index, node))


def with_wait(state: State, number: int, wait: Wait | tuple[()]) -> State:
    return state._replace(waits=put(state.waits, number, wait))
