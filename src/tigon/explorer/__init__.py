"""The explorer: a local web page on which you explore the model of a run.

`hub` holds the run and its newest model; every open page is a `session` with its own chain; one
`worker` thread does all work on models, serving pages in turn; `app` talks to the browser.
"""
