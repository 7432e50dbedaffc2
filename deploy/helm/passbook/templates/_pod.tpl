{{/*
The parts of a pod that services and jobs have in common. All take the same dict, called a workload:
  root       the chart's context
  component  outbox-relay, migrate, …
  secret     the name of its Secret
  login      its name in Kafka
  eventStore, readModel, kafka, http   what it uses
  passwordsSecret   the name of the Secret with everybody's passwords
*/}}

{{- define "passbook.podMetadata" -}}
labels:
  {{- include "passbook.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/part-of: passbook
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "passbook.podSettings" -}}
{{- with .root.Values -}}
automountServiceAccountToken: false
# Kubernetes would set PASSBOOK_…_PORT for every Service of such a name, and services would read it.
enableServiceLinks: false
{{- with .podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "passbook.containerSettings" -}}
image: {{ include "passbook.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- with .root.Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "passbook.env" -}}
- {name: PASSBOOK_LOG_FORMAT, value: json}
- {name: PASSBOOK_LOG_LEVEL, value: {{ .root.Values.logLevel }}}
- {name: PASSBOOK_DATA_DIR, value: /tmp/passbook}
{{- if .eventStore }}
- {name: PASSBOOK_EVENT_STORE_DSN_FILE, value: /run/secrets/passbook/event_store_dsn}
{{- if and .readModel .root.Values.postgresql.separateReadModel }}
- {name: PASSBOOK_READ_MODEL_DSN_FILE, value: /run/secrets/passbook/read_model_dsn}
{{- end }}
{{- with .root.Values.inlineProjections }}
- {name: PASSBOOK_INLINE_PROJECTIONS, value: {{ . | quote }}}
{{- end }}
{{- if .root.Values.archive.existingClaim }}
- {name: PASSBOOK_ARCHIVE_DIR, value: /archive}
{{- end }}
{{- end }}
{{- if .kafka }}
{{- include "passbook.kafkaEnv" . }}
{{- end }}
{{- end }}

{{- define "passbook.kafkaEnv" }}
{{- with .root.Values.kafka }}
- {name: PASSBOOK_KAFKA_BOOTSTRAP, value: {{ .bootstrapServers | quote }}}
- {name: PASSBOOK_TOPIC_PREFIX, value: {{ .topicPrefix | quote }}}
- {name: PASSBOOK_TOPIC_PARTITIONS, value: {{ .partitions | quote }}}
- {name: PASSBOOK_TOPIC_REPLICATION, value: {{ .replicationFactor | quote }}}
- {name: PASSBOOK_TOPIC_MIN_INSYNC_REPLICAS, value: {{ .minInsyncReplicas | quote }}}
- {name: PASSBOOK_KAFKA_SESSION_TIMEOUT_S, value: {{ .sessionTimeoutSeconds | quote }}}
{{- if ne .securityProtocol "PLAINTEXT" }}
- {name: PASSBOOK_KAFKA_SECURITY_PROTOCOL, value: {{ .securityProtocol }}}
{{- end }}
{{- end }}
{{- if include "passbook.sasl" .root }}
- {name: PASSBOOK_KAFKA_SASL_MECHANISM, value: {{ .root.Values.kafka.sasl.mechanism }}}
- {name: PASSBOOK_KAFKA_SASL_USERNAME, value: {{ .login }}}
- {name: PASSBOOK_KAFKA_SASL_PASSWORD_FILE, value: /run/secrets/passbook/kafka_sasl_password}
{{- end }}
{{- if include "passbook.tls" .root }}
{{- with .root.Values.kafka.tls }}
{{- if .caSecret }}
- {name: PASSBOOK_KAFKA_SSL_CA, value: /run/secrets/passbook/kafka_ca.crt}
{{- end }}
{{- if .clientCertificates }}
- {name: PASSBOOK_KAFKA_SSL_CERTIFICATE, value: /run/secrets/passbook/kafka_client.crt}
- {name: PASSBOOK_KAFKA_SSL_KEY, value: /run/secrets/passbook/kafka_client.key}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The files below /run/secrets/passbook: not /run/secrets itself, where Kubernetes mounts, too. */}}
{{- define "passbook.secretSources" -}}
{{- $keys := list }}
{{- if .eventStore }}{{ $keys = append $keys "event_store_dsn" }}{{ end }}
{{- if and .readModel .root.Values.postgresql.separateReadModel }}{{ $keys = append $keys "read_model_dsn" }}{{ end }}
{{- $tls := and .kafka (include "passbook.tls" .root) }}
{{- if and .kafka (include "passbook.sasl" .root) }}{{ $keys = append $keys "kafka_sasl_password" }}{{ end }}
{{- if and $tls .root.Values.kafka.tls.clientCertificates }}
{{- $keys = concat $keys (list "kafka_client.crt" "kafka_client.key") }}
{{- end }}
{{- with $keys }}
- secret:
    name: {{ $.secret }}
    items:
      {{- range . }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- if and $tls .root.Values.kafka.tls.caSecret }}
- secret:
    name: {{ .root.Values.kafka.tls.caSecret }}
    items: [{key: {{ .root.Values.kafka.tls.caKey }}, path: kafka_ca.crt}]
{{- end }}
{{- if and .eventStore .root.Values.postgresql.tls.caSecret }}
- secret:
    name: {{ .root.Values.postgresql.tls.caSecret }}
    items: [{key: {{ .root.Values.postgresql.tls.caKey }}, path: postgresql_ca.crt}]
{{- end }}
{{- end }}

{{- define "passbook.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "passbook.secretSources" . }}
- {name: secrets, mountPath: /run/secrets/passbook, readOnly: true}
{{- end }}
{{- if .passwordsSecret }}
- {name: logins, mountPath: /run/secrets/passbook-logins, readOnly: true}
{{- end }}
{{- if and .eventStore .root.Values.archive.existingClaim }}
- {name: archive, mountPath: /archive, readOnly: true}
{{- end }}
{{- if and .http .root.Values.queryApi.jwt.jwksConfigMap }}
- {name: jwks, mountPath: /etc/passbook, readOnly: true}
{{- end }}
{{- end }}

{{- define "passbook.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with include "passbook.secretSources" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- trim . | nindent 6 }}
{{- end }}
{{- with .passwordsSecret }}
- name: logins
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if and .eventStore .root.Values.archive.existingClaim }}
- name: archive
  persistentVolumeClaim: {claimName: {{ .root.Values.archive.existingClaim }}, readOnly: true}
{{- end }}
{{- if and .http .root.Values.queryApi.jwt.jwksConfigMap }}
- name: jwks
  configMap:
    name: {{ .root.Values.queryApi.jwt.jwksConfigMap }}
    items: [{key: {{ .root.Values.queryApi.jwt.jwksKey }}, path: jwks.json}]
{{- end }}
{{- end }}
