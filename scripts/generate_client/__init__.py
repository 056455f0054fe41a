"""The generated part of `stemma_client`: types of answers and events, builders of requests.

It is made from docs/openapi.json and the schemas of events, with the standard library only, by
`make setup`, `make contract` and in the image's build; it is not committed.
"""
