"""Is NormDEL a good metric? Its properties, its rankings against other readings of the same numbers, and another one.

`properties` holds what follows from the formula alone; `dominance`, `alpha` and `pareto` hold its rankings against
dominance, against other weights and against the Pareto front; `no_pretraining` asks whether it would choose to
pre-train at all; `multiplier` counts in images of a random selection; `net_benefit` is the metric that is proposed
instead.
"""
