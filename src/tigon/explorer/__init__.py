"""The explorer: a page on this machine on which one looks around in a run's model.

`hub` holds the run and its newest model; every open page is a `session` with its own chain; one
`worker` thread does all work on models, a turn for each page; `app` is what the browser talks to.
"""
