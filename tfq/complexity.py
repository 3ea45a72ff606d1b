"""The former name of `tfq.summary`."""

from tfq.summary import LayerCost, Summary, layer_costs, seed_macs, summarize

__all__ = ["LayerCost", "Summary", "layer_costs", "seed_macs", "summarize"]
