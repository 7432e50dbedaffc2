{{/*
What each service is, as its card in services/NAME/__init__.py says: facts of the code, not settings.
  login      in PostgreSQL and, with SASL, in Kafka
  readModel  uses the database of the read models
  consumes   the topic whose lag its consumer group has, without the prefix
  http       answers on the port of the public
*/}}
{{- define "passbook.services" -}}
command-service: {login: passbook_command_service, consumes: commands}
outbox-relay: {login: passbook_outbox_relay}
balance-projector: {login: passbook_balance_projector, readModel: true, consumes: events}
audit-projector: {login: passbook_audit_projector, readModel: true, consumes: events}
query-api: {login: passbook_query_api, readModel: true, http: true}
{{- end }}

{{/* "true" when KEDA decides how many there are: (dict "root" $ "name" NAME "facts" FACTS). */}}
{{- define "passbook.scaled" -}}
{{- $service := index .root.Values.services .name }}
{{- if and .root.Values.keda.enabled .facts.consumes $service.enabled $service.autoscaling.enabled }}true{{ end }}
{{- end }}

{{/* "true" when Kafka asks for a password. */}}
{{- define "passbook.sasl" -}}
{{- if hasPrefix "SASL_" .Values.kafka.securityProtocol }}true{{ end }}
{{- end }}

{{/* "true" when the connection to Kafka is encrypted. */}}
{{- define "passbook.tls" -}}
{{- if hasSuffix "SSL" .Values.kafka.securityProtocol }}true{{ end }}
{{- end }}

{{/* "true" when the query API fetches the key set. */}}
{{- define "passbook.jwksByUrl" -}}
{{- if and .Values.queryApi.jwt.jwks (index .Values.services "query-api").enabled }}true{{ end }}
{{- end }}

{{/* The port of a URL. */}}
{{- define "passbook.portOf" -}}
{{- $url := urlParse . }}
{{- default (ternary "443" "80" (eq $url.scheme "https")) (regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host)) }}
{{- end }}

{{/* Refuses a server that no pod would reach: packets to a port that no policy names are dropped, and
     pods wait without a word. */}}
{{- define "passbook.letOut" -}}
{{- if not (has .port (toStrings .ports)) }}
{{- fail (printf "%s: networkPolicy.%s.ports has no %s, so nobody would reach %s" .setting .name .port .server) }}
{{- end }}
{{- end }}

{{/* Refuses what the schema of the values cannot see. */}}
{{- define "passbook.validate" -}}
{{- if not .Values.kafka.bootstrapServers }}
{{- fail "kafka.bootstrapServers is not set: host:port of your brokers" }}
{{- end }}
{{- if and (eq .Values.kafka.securityProtocol "SASL_PLAINTEXT") (eq .Values.kafka.sasl.mechanism "PLAIN") }}
{{- fail "kafka.sasl.mechanism PLAIN sends the password as it is: it needs securityProtocol SASL_SSL" }}
{{- end }}
{{- if gt (int .Values.kafka.minInsyncReplicas) (int .Values.kafka.replicationFactor) }}
{{- fail "kafka.minInsyncReplicas is more than kafka.replicationFactor" }}
{{- end }}
{{- if and .Values.kafka.tls.caSecret (not (include "passbook.tls" .)) }}
{{- fail "kafka.tls.caSecret is set, but kafka.securityProtocol is without TLS" }}
{{- end }}
{{- if gt (int (index .Values.services "outbox-relay").groups) (int .Values.kafka.partitions) }}
{{- fail "services.outbox-relay.groups is more than kafka.partitions" }}
{{- end }}
{{- if and .Values.tracing.enabled (not .Values.tracing.endpoint) }}
{{- fail "tracing.endpoint is not set: OTLP over HTTP, such as http://collector:4318" }}
{{- end }}
{{- range $name, $facts := include "passbook.services" . | fromYaml }}
{{- if include "passbook.scaled" (dict "root" $ "name" $name "facts" $facts) }}
{{- $scaling := (index $.Values.services $name).autoscaling }}
{{- if gt (int $scaling.maxReplicas) (int $.Values.kafka.partitions) }}
{{- fail (printf "services.%s.autoscaling.maxReplicas is more than kafka.partitions: the rest would be idle" $name) }}
{{- end }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{- fail (printf "services.%s.autoscaling.minReplicas is more than maxReplicas" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if .enabled }}
{{- range splitList "," $.Values.kafka.bootstrapServers }}
{{- include "passbook.letOut" (dict "setting" "kafka.bootstrapServers" "server" . "port" (regexFind "[0-9]+$" .) "name" "kafka" "ports" $.Values.networkPolicy.kafka.ports) }}
{{- end }}
{{- if include "passbook.jwksByUrl" $ }}
{{- include "passbook.letOut" (dict "setting" "queryApi.jwt.jwks" "server" $.Values.queryApi.jwt.jwks "port" (include "passbook.portOf" $.Values.queryApi.jwt.jwks) "name" "jwks" "ports" .jwks.ports) }}
{{- end }}
{{- if $.Values.tracing.enabled }}
{{- include "passbook.letOut" (dict "setting" "tracing.endpoint" "server" $.Values.tracing.endpoint "port" (include "passbook.portOf" $.Values.tracing.endpoint) "name" "tracing" "ports" .tracing.ports) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.queryApi }}
{{- $keys := or .jwt.jwks .jwt.jwksConfigMap }}
{{- if and .jwt.jwks .jwt.jwksConfigMap }}
{{- fail "queryApi.jwt.jwks and queryApi.jwt.jwksConfigMap: only one of them" }}
{{- end }}
{{- if and $keys (not (and .jwt.issuer .jwt.audience)) }}
{{- fail "queryApi.jwt needs issuer and audience" }}
{{- end }}
{{- if not (or $keys .allowWithoutTokens (not (index $.Values.services "query-api").enabled)) }}
{{- fail "who may use the query API? Set queryApi.jwt, or queryApi.allowWithoutTokens=true, or services.query-api.enabled=false" }}
{{- end }}
{{- end }}
{{- end }}
