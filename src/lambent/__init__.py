"""Lambent, an open self-hosted AWS Lambda. The map of the house, one line per room:

cli              client: the command `lambent`; speaks the public API, starts the server
app              assembly: builds every object once and starts the loops; the only file that knows everybody
feed             assembly: the store's changes, and who is told of them
routes           assembly: our own operations below /_lambent/
callers          assembly: what calls functions besides schedules and embedded services: CodeCommit, Alexa
served           assembly: other services of AWS that are served here: EventBridge Scheduler, CodeDeploy
aws_names        assembly: AWS's own names inside sandboxes, and the certificates for them
preparation      assembly: what a function version needs before it can run on this node
workers          assembly: processes for CPU work
randomness       assembly: random bytes for ids, by the page
startup          assembly: what must be done before the event loop and before rights are dropped
api              door: HTTP, signatures, routes, errors in AWS's form
gateways         door: HTTP requests that are events for functions: function URLs
functions        control plane: one method for each operation
events           plane: what feeds functions: event source mappings
triggers         plane: other services that call functions, held against policies; schedules
durable          plane: durable executions
images           plane: container images from registries and files to unpacked roots
neighbours       door: the services around Lambda: embedded, or real ones by endpoint
observability    plane: logs and metrics, readings of the one stream of platform events
invocation       data plane: name → version → may it run → an environment → result
environments     data plane: where customer code lives, and its door from inside
store            ground: durable state, code, keys
model            ground: AWS's nouns as frozen types, and pure rules
wire             ground: AWS's protocols without a Lambda rule
settings         ground: frozen, read once from file, environment and flags
setting_bounds   ground: how a setting is declared and what it may be
setting_events   ground: settings of asynchronous invocation and of what calls functions
setting_machine  ground: what is needed of the process's environment besides settings
setting_storage  ground: settings of what is kept, shared and brought in
clock            ground: the only reader of the clock
"""
