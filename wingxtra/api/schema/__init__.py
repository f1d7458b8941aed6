"""Extensions of the OpenAPI generator.

`operations` describes one call: its roles, headers, and the problems that it may answer.
`components` turns the contracts of docs/contracts/ into components. `document` adds what calls
refer to, the examples, the webhooks, and the links from one call to the next. `views` serves it.

Code generators read it: openapi-python-client, openapi-generator and openapi-typescript must make
working clients of it. `make test-clients` proves that.
"""

IDEMPOTENCY_KEY = "IdempotencyKey"
# An operation's extension: {path parameter of other calls: runtime expression of its value in this
# answer}. It becomes links to all calls with that parameter.
NAMES = "x-names"
