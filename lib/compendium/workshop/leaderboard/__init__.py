"""The room's leaderboard: ``python -m compendium.workshop.leaderboard`` takes kept-lists, scores and ranks them.

Lists come in over HTTP (``server``), are read strictly (``kept_list``), wait in a queue in SQLite (``board``), and one
worker scores them one after the other (``worker``, ``scoring``); ``standings`` ranks and ``page`` shows.
"""
