"""Tasks that hold turns without any network, for the driver's end of the conversation."""

import os


def honest(request, link):
    link.phase("timed")
    turns, orders = [], []
    for side in range(len(request["sides"])):
        link.report({"side": side})
    while "order" in (answer := link.report({"turns": turns})):
        orders.append(answer["order"])
        turns = [{"side": side, "seconds": [0.25, 0.5], "kept": side == 0, "inferences": 3} for side in answer["order"]]
    return {"orders": orders}


def dies_at_the_second(request, link):
    link.phase("timed")
    for side in range(len(request["sides"])):
        link.report({"side": side})
        if side == 1:
            os._exit(7)


def dies_in_a_turn(request, link):
    link.phase("timed")
    link.report({"side": 0})
    link.report({"turns": []})
    os._exit(7)
