{{/* The environment that only services have, and some of them only. */}}
{{- define "passbook.serviceEnv" -}}
- {name: PASSBOOK_METRICS_HOST, value: 0.0.0.0}
- {name: PASSBOOK_METRICS_PORT, value: "9464"}
{{- $groups := int (index .root.Values.services "outbox-relay").groups }}
{{- if and (eq .component "outbox-relay") (gt $groups 1) }}
- {name: PASSBOOK_RELAY_GROUPS, value: {{ $groups | quote }}}
{{- end }}
{{- if .http }}
- {name: PASSBOOK_HTTP_HOST, value: 0.0.0.0}
- {name: PASSBOOK_HTTP_PORT, value: "8080"}
{{- with .root.Values.queryApi }}
- {name: PASSBOOK_HTTP_MAX_REQUESTS, value: {{ .maxRequests | quote }}}
{{- if or .jwt.jwks .jwt.jwksConfigMap }}
- {name: PASSBOOK_JWT_JWKS, value: {{ default "/etc/passbook/jwks.json" .jwt.jwks | quote }}}
- {name: PASSBOOK_JWT_ISSUER, value: {{ .jwt.issuer | quote }}}
- {name: PASSBOOK_JWT_AUDIENCE, value: {{ .jwt.audience | quote }}}
{{- else }}
- {name: PASSBOOK_ALLOW_HTTP_WITHOUT_TOKENS, value: "true"}
{{- end }}
{{- end }}
{{- end }}
{{- with .root.Values.tracing }}
{{- if .enabled }}
- {name: PASSBOOK_TRACING, value: otlp}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ .sampler }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .samplerArg | quote }}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: "k8s.namespace.name={{ $.root.Release.Namespace }},k8s.pod.name=$(POD_NAME)"}
{{- end }}
{{- end }}
{{- end }}
