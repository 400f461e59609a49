"""The program that speaks with a cluster for a gateway: `cluster/liaison.py`, and what nodes are to be made of."""

from foz.assembly.node import made
from foz.cluster.liaison import main

if __name__ == "__main__":
    main(made)
