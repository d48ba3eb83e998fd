"""`python -m tests.proof.simulation SEED [SEED...]` replays seeds and tells what happened in each."""

import sys

from tests.proof.simulation.world import World


def main() -> int:
    failed = 0
    for seed in map(int, sys.argv[1:]):
        world, broken = World(seed), None
        try:
            world.run()
        except Exception as error:
            failed, broken = 1, error
        print(world.story(broken))
        print(dict(world.invariants.counts), dict(world.invariants.excused), sep="\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
