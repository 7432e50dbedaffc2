"""Traces: one command followed over all hops, by OpenTelemetry (extra `otel`).

Off unless `PASSBOOK_TRACING=otlp`; then nothing of OpenTelemetry is imported, and a batch costs one
test of an attribute. Everything else is said by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, …). Names and attributes are those of its semantic
conventions for messaging, for Kafka and for databases.

    POST /v1/accounts/{account_id}/deposits   SERVER     query-api
    └─ send bank.commands                     PRODUCER   the client library: its context is the command's
       ├─ process bank.commands               CONSUMER   command-service, until the outcome is published
       │  └─ eventstore.append                CLIENT
       ├─ send bank.events                    CLIENT     outbox-relay
       ├─ process bank.events                 CONSUMER   balance-projector
       └─ process bank.events                 CONSUMER   audit-projector

The context in the command's header `traceparent` is its creation context: it is stored with the event
as it came, and published with it. So an event is the same bytes whether its hops are traced or not, a
retried command's is that of the attempt that was decided, and everything that follows from a command
stands directly below the span that sent it, however often an event is delivered or published again.

Services work on batches, so each batch has a span too, in a trace of its own, with a link to each
command it is about; the spans of the commands link back to it. A command that the sender did not
sample costs a look at its flags. Of one batch up to 128 commands have spans, and 500 in a second
and service: those with the lowest trace ids, so that all services pick the same ones (`Choice`).

What the domain refuses is no error of a span (`passbook.outcome`, `passbook.error.code`); what
infrastructure fails at is, by its class (`error.type`), never by its text. Ids of accounts and commands
are attributes; names, amounts and references never are.
"""
